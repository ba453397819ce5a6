"""Resizing of images, or of boxes in them, with antialiasing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["FILTERS", "Box", "resize_images"]

FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")  # of Pillow

Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels


def resize_images(
    images: NDArray[Any],
    size: tuple[int, int],
    *,
    boxes: Iterable[Box] | None = None,
    resample: str = "bilinear",
) -> NDArray[Any]:
    """Resize images, or a box of each, with antialiasing; each channel separately.

    Parameters
    ----------
    images : ndarray of shape (N, H, W, C)
        Finite numbers. Bytes are resized as bytes. Other types are resized in float32, after scaling each
        channel of an image to 0 to 1, and rounded if they are integers.
    size : tuple of int
        Rows and columns.
    boxes : iterable of tuple of float, optional
        The part of each image that is resized; by default the whole image.
    resample : str, default="bilinear"
        One of `FILTERS`.

    Returns
    -------
    ndarray of shape (N, rows, columns, C)
        Of the same dtype. Types other than bytes stay within the range of their image.
    """
    if boxes is None and images.shape[1:3] == tuple(size):
        return images
    resized = np.empty((len(images), *size, images.shape[3]), images.dtype)
    method = Image.Resampling[resample.upper()]
    whole = [(0.0, 0.0, float(images.shape[2]), float(images.shape[1]))] * len(images)
    is_bytes = images.dtype == np.uint8
    resize = _resize_plainly if is_bytes else _resize_numbers
    # Three channels are resized at once. Pillow treats the last of two or four as opacity, and mixes it in.
    channels: Iterable[Any] = [slice(None)] if is_bytes and images.shape[3] == 3 else range(images.shape[3])
    for image, box, result in zip(images, whole if boxes is None else boxes, resized, strict=True):
        for channel in channels:
            result[:, :, channel] = resize(image[:, :, channel], size, method, box)
    return resized


def _resize_plainly(
    values: NDArray[Any], size: tuple[int, int], method: Image.Resampling, box: Box
) -> NDArray[Any]:
    """One channel (H, W), or three of bytes (H, W, 3), as (rows, columns) or (rows, columns, 3)."""
    return np.asarray(Image.fromarray(values).resize(size[::-1], method, box=box))


def _resize_numbers(
    values: NDArray[Any], size: tuple[int, int], method: Image.Resampling, box: Box
) -> NDArray[Any]:
    """One channel (H, W) of numbers on any scale, as (rows, columns)."""
    low, high = float(values.min()), float(values.max())
    shares = (values.astype(np.float64) - low) / (high - low or 1.0)
    small = _resize_plainly(shares.astype(np.float32), size, method, box).astype(np.float64).clip(0, 1)
    resized = (1 - small) * low + small * high
    return np.rint(resized) if values.dtype.kind in "biu" else resized
