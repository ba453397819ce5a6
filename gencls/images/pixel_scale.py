"""Detection of images whose scale differs from `fit`, such as floats from 0 to 1 instead of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["all_whole", "find_slip", "is_dark", "parts"]

PART = 2**17  # values per chunk, to avoid copies of all images
DARK = 255  # images within 1 / DARK of the range are nearly black
WIDE = 4  # minimum width of ranges that cannot be confused with [-1, 1]
FAR = 10  # multiple of the width by which values on a different scale exceed the range


def find_slip(images: NDArray[Any], low: float, high: float, *, whole: bool) -> str | None:
    """Describe how the scale of the images differs from the fitted scale, if it does.

    All images are judged together. The scale differs for

    - fractions between -1 and 1, if integers over a range of at least 4 were fitted, or standardised values
      between -5 and 5 and partly below the range, if its width is at least 64;
    - integers within 1/255 of the range, of a dtype that cannot represent the range;
    - values that exceed the range by ten times its width, if most values other than 0 and the lowest value
      are outside the range.

    Parameters
    ----------
    images : ndarray of shape (N, n_features)
        Finite numbers.
    low, high : float
        The fitted range.
    whole : bool
        Whether integers were fitted.

    Returns
    -------
    str or None
        A sentence without a final full stop; None if the scale does not differ.
    """
    lowest, highest = float(images.min()), float(images.max())
    fitted = f"fit saw {'integers' if whole else 'values'} from {low:g} to {high:g}"
    found = f"({images.dtype} from {lowest:g} to {highest:g})"
    if whole and _are_scaled(images, lowest, highest, low, high - low):
        return (
            f"X has fractions {found}, but {fitted}: X is on a different scale, as after ToTensor or a "
            "division by the largest value (if the images are that dark, round them with np.rint)"
        )
    if _are_far_outside(images, lowest, highest, low, high):
        return (
            f"Most values of X {found} are far outside the range, because {fitted}: X is on a different "
            "scale, such as bytes instead of floats from 0 to 1"
        )
    if images.dtype.kind in "bui" and _largest(images.dtype) < high and is_dark(images, low, high):
        return (
            f"X {found} has a dtype that cannot represent the range, because {fitted}: X is on a different "
            "scale"
        )
    return None


def is_dark(images: NDArray[Any], low: float, high: float) -> bool:
    """Return whether all values are within 1/255 of the range from its lower end, and not all equal."""
    lowest, highest, step = float(images.min()), float(images.max()), (high - low) / DARK
    return lowest < highest and low - step <= lowest and highest <= low + step


def all_whole(images: NDArray[Any]) -> bool:
    """Return whether all values are integers."""
    return images.dtype.kind in "biu" or all(bool((part == np.rint(part)).all()) for part in parts(images))


def parts(images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the images in chunks."""
    n_rows = max(1, PART // max(1, prod(images.shape[1:])))
    for start in range(0, len(images), n_rows):
        yield images[start : start + n_rows]


def _are_scaled(images: NDArray[Any], lowest: float, highest: float, low: float, span: float) -> bool:
    """Return whether the images are fractions on a scale of a few units."""
    extreme = max(abs(lowest), abs(highest))
    from_0_to_1 = extreme <= 1 and span >= WIDE
    standardised = extreme <= 5 and span >= 64 and lowest < low - 1e-6 * span
    return (from_0_to_1 or standardised) and not all_whole(images)


def _are_far_outside(images: NDArray[Any], lowest: float, highest: float, low: float, high: float) -> bool:
    """Return whether most values except background are outside the range, and some are far outside."""
    span = high - low
    if span == 0 or (highest < low + FAR * span and lowest > high - FAR * span):
        return False
    outside = foreground = 0
    for part in parts(images):
        outside += int(((part < low) | (part > high)).sum())
        foreground += int(((part != 0) & (part != low)).sum())
    return 2 * outside > foreground


def _largest(dtype: np.dtype[Any]) -> int:
    """Return the largest value of an integer dtype."""
    return 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)
