"""Views of an image over which predictions are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .crops import POSITIONS, boxes_of
from .resizing import resize_images

__all__ = ["VIEWS", "views_of"]

CROP = 0.9  # sides of a crop relative to those of the image

Images = NDArray[Any]


def views_of(images: Images, names: str | Sequence[str] | None, size: tuple[int, int]) -> Iterator[Images]:
    """All views of some images.

    Parameters
    ----------
    images : ndarray of shape (N, H, W, C)
    names : str or sequence of str, optional
        Of `VIEWS`; several result in all combinations. By default, the images themselves are the only view.
    size : tuple of int
        Rows and columns of crops.

    Yields
    ------
    ndarray of shape (N, H, W, C) or (N, rows, columns, C)
    """
    given = [] if names is None else [names] if isinstance(names, str) else list(names)
    if not given:
        yield images
        return
    for view in VIEWS[given[0]](images, size):
        yield from views_of(view, given[1:], size)


def _flips(images: Images, size: tuple[int, int]) -> Iterator[Images]:
    """The images, then the images flipped left to right."""
    yield images
    yield images[:, :, ::-1]


def _six_crops(images: Images, size: tuple[int, int]) -> Iterator[Images]:
    """The whole images, their middle and their corners (Krizhevsky et al. 2012, section 4.1)."""
    yield resize_images(images, size)
    for row, column in POSITIONS.values():
        boxes = boxes_of(images.shape[1:3], *np.repeat([[CROP], [row], [column]], len(images), axis=1))
        yield resize_images(images, size, boxes=boxes)


VIEWS: dict[str, Callable[[Images, tuple[int, int]], Iterator[Images]]] = {
    "flips": _flips,
    "six-crops": _six_crops,
}
