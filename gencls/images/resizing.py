"""Images, or boxes of them, brought to a size; antialiased."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["FILTERS", "Box", "resize_images"]

FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")  # of Pillow

Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels
MOST_BANDS = 4  # of an image of Pillow


def resize_images(
    images: NDArray[Any],
    size: tuple[int, int],
    *,
    boxes: Iterable[Box] | None = None,
    resample: str = "bilinear",
) -> NDArray[Any]:
    """Bring images to a size.

    Parameters
    ----------
    images : ndarray of shape (N, H, W, C)
        Finite numbers. Bytes are resized as bytes, other types as float32 and rounded where they are
        integers.
    size : tuple of int
        Rows and columns.
    boxes : iterable of tuple of float, optional
        For each image the part that is resized; without it the whole image.
    resample : str, default="bilinear"
        One of `FILTERS`.

    Returns
    -------
    ndarray of shape (N, rows, columns, C)
        Of the same dtype, within the range of each image.
    """
    if boxes is None and images.shape[1:3] == tuple(size):
        return images
    resized = np.empty((len(images), *size, images.shape[3]), images.dtype)
    method = Image.Resampling[resample.upper()]
    whole = [(0.0, 0.0, float(images.shape[2]), float(images.shape[1]))] * len(images)
    for image, box, result in zip(images, whole if boxes is None else boxes, resized, strict=True):
        _resize(image, box, method, result)
    return resized


def _resize(image: NDArray[Any], box: Box, method: Image.Resampling, result: NDArray[Any]) -> None:
    """Write one image (H, W, C) into (rows, columns, C)."""
    size = result.shape[1::-1]
    if image.dtype == np.uint8 and image.shape[2] <= MOST_BANDS:
        plain = image[:, :, 0] if image.shape[2] == 1 else image
        small = Image.fromarray(plain).resize(size, method, box=box)
        result[...] = np.asarray(small).reshape(result.shape)
        return
    for channel in range(image.shape[2]):
        values = image[:, :, channel]
        resized = np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, method, box=box))
        resized = resized.clip(values.min(), values.max())
        result[:, :, channel] = np.rint(resized) if image.dtype.kind in "biu" else resized
