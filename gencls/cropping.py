"""Random windows of larger images, brought to one size: more training images than there are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.utils import check_random_state

from ._decoding import RESAMPLING
from .errors import InvalidInputError
from .validation import check_parameters, choice, real, sides

__all__ = ["crop_at_random"]

Box = tuple[float, float, float, float]  # left, upper, right, lower

RULES = {
    "size": sides(),
    "smallest": real("a number above 0 and at most 1", lambda value: 0 < value <= 1),
    "resample": choice(*RESAMPLING),
}


def crop_at_random(
    images: ArrayLike,
    size: int | tuple[int, int],
    *,
    smallest: float = 0.8,
    resample: str = "bilinear",
    random_state: int | np.random.RandomState | None = None,
) -> NDArray[np.uint8]:
    """Cut a random window out of each image, and bring it to a size.

    A window has the ratio of the sides of its image. Its sides are those of the image times a factor that is
    uniform from `smallest` to 1, and all positions inside the image are equally likely, also those between
    two pixels. No pixel is made up: windows do not reach beyond the edges.

    Parameters
    ----------
    images : array-like of shape (N, H, W) or (N, H, W, C), dtype uint8
        Grey images, or images of C = 1 to 4 channels, best larger than `size`, as photographs usually are.
    size : int or pair of int
        Rows and columns of the result: both sides, or (height, width), at least 1.
    smallest : float, default=0.8
        The smallest factor, above 0 and at most 1. With 1 each window is the whole image, and the result is
        what `ReadImages` gives.
    resample : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default="bilinear"
        Pillow's filter, best the one with which the images to predict are read.
    random_state : int, RandomState or None, default=None
        What the windows are drawn with.

    Returns
    -------
    ndarray of uint8, of shape (N, height, width) or (N, height, width, C)

    Raises
    ------
    InvalidInputError
        `images` has another shape or type, or no pixels.
    InvalidParameterError
        Another parameter is wrong; all that are wrong are reported.

    Examples
    --------
    >>> import numpy as np
    >>> from gencls.cropping import crop_at_random
    >>> photographs = np.random.RandomState(0).randint(256, size=(5, 64, 48, 3)).astype(np.uint8)
    >>> crop_at_random(photographs, (16, 12), random_state=0).shape
    (5, 16, 12, 3)
    """
    check_parameters("crop_at_random", {"size": size, "smallest": smallest, "resample": resample}, RULES)
    checked = _checked(images)
    height, width = size if isinstance(size, tuple | list) else (size, size)
    boxes = _windows(checked.shape[:3], smallest, check_random_state(random_state))
    method = Image.Resampling[resample.upper()]
    cropped = np.empty((len(checked), height, width, *checked.shape[3:]), dtype=np.uint8)
    for image, box, result in zip(checked, boxes, cropped, strict=True):
        plain = image[:, :, 0] if image.shape[2:] == (1,) else image
        small = Image.fromarray(plain).resize((width, height), method, box=box)
        result[...] = np.asarray(small).reshape(result.shape)
    return cropped


def _windows(shape: tuple[int, ...], smallest: float, generator: np.random.RandomState) -> list[Box]:
    """A window for each of N images of H rows and W columns."""
    n_images, height, width = shape
    factors = generator.uniform(smallest, 1, size=n_images)
    rows, columns = factors * height, factors * width
    upper = generator.uniform(size=n_images) * (height - rows)
    left = generator.uniform(size=n_images) * (width - columns)
    right, lower = np.minimum(left + columns, width), np.minimum(upper + rows, height)
    return list(zip(left.tolist(), upper.tolist(), right.tolist(), lower.tolist(), strict=True))


def _checked(images: ArrayLike) -> NDArray[np.uint8]:
    """The images as an array."""
    checked: NDArray[Any] = np.asarray(images)
    rule = "images must be an array of uint8 of shape (N, H, W) or (N, H, W, C) with 1 to 4 channels"
    if checked.dtype != np.uint8:
        raise InvalidInputError(
            f"{rule}, got the type {checked.dtype}. Scale the values to 0 to 255 and round them."
        )
    if checked.ndim not in (3, 4) or not 1 <= (*checked.shape, 1)[3] <= 4 or 0 in checked.shape[1:]:
        raise InvalidInputError(f"{rule}, got the shape {checked.shape}.")
    return checked
