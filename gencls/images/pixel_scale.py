"""Whether images are on the scale of those that were fitted: bytes or floats from 0 to 1, a common slip."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["all_whole", "find_slip", "is_dark", "parts"]

PART = 2**17  # values that are looked at together, so that no copy is as large as all images
DARK = 255  # images within one part of so many of the range are nearly black
WIDE = 4  # ranges from this width cannot be mistaken for that from -1 to 1
FAR = 10  # widths of the range by which values on another scale exceed it


def find_slip(images: NDArray[Any], low: float, high: float, *, whole: bool) -> str | None:
    """What shows that images are on another scale than the fitted ones; all are judged together.

    That is

    - fractions between -1 and 1 where whole numbers over a range of at least 4 were fitted, or standardised
      values, between -5 and 5 and partly below the range, where it is at least 64 wide;
    - integers of a type that cannot hold the range, within 1/255 of it;
    - values that exceed the range by ten times its width, if most values other than 0 and the lowest lie
      outside.

    Parameters
    ----------
    images : ndarray of shape (N, n_features)
        Finite numbers.
    low, high : float
        The fitted range.
    whole : bool
        Whether whole numbers were fitted.

    Returns
    -------
    str or None
        A sentence; None if there is nothing to say.
    """
    lowest, highest = float(images.min()), float(images.max())
    fitted = f"fit saw {'whole numbers' if whole else 'values'} from {low:g} to {high:g}"
    found = f"({images.dtype} from {lowest:g} to {highest:g})"
    if whole and _are_scaled(images, lowest, highest, low, high - low):
        return (
            f"X has fractions {found}, but {fitted}: X is on another scale, as after ToTensor or a division "
            "by the largest value (or it is so dark: then round it, as by np.rint)"
        )
    if _lie_far_outside(images, lowest, highest, low, high):
        return (
            f"Most values of X {found} lie far outside the range, as {fitted}: X is on another scale, such "
            "as bytes instead of floats from 0 to 1"
        )
    if images.dtype.kind in "bui" and _largest(images.dtype) < high and is_dark(images, low, high):
        return f"X {found} is of a type that cannot hold the range, as {fitted}: X is on another scale"
    return None


def is_dark(images: NDArray[Any], low: float, high: float) -> bool:
    """Whether all values lie within 1/255 of the range from the lowest one, and are not all the same."""
    lowest, highest, step = float(images.min()), float(images.max()), (high - low) / DARK
    return lowest < highest and low - step <= lowest and highest <= low + step


def all_whole(images: NDArray[Any]) -> bool:
    """Whether there are no fractions."""
    return images.dtype.kind in "biu" or all(bool((part == np.rint(part)).all()) for part in parts(images))


def parts(images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Some images after the others."""
    n_rows = max(1, PART // max(1, prod(images.shape[1:])))
    for start in range(0, len(images), n_rows):
        yield images[start : start + n_rows]


def _are_scaled(images: NDArray[Any], lowest: float, highest: float, low: float, span: float) -> bool:
    """Whether these are fractions on a scale of a few units."""
    extreme = max(abs(lowest), abs(highest))
    from_0_to_1 = extreme <= 1 and span >= WIDE
    standardised = extreme <= 5 and span >= 64 and lowest < low - 1e-6 * span
    return (from_0_to_1 or standardised) and not all_whole(images)


def _lie_far_outside(images: NDArray[Any], lowest: float, highest: float, low: float, high: float) -> bool:
    """Whether most values that are no background lie outside the range, and some of them far."""
    span = high - low
    if span == 0 or (highest < low + FAR * span and lowest > high - FAR * span):
        return False
    outside = foreground = 0
    for part in parts(images):
        outside += int(((part < low) | (part > high)).sum())
        foreground += int(((part != 0) & (part != low)).sum())
    return 2 * outside > foreground


def _largest(dtype: np.dtype[Any]) -> int:
    """The largest value of an integer type."""
    return 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)
