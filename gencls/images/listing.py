"""Convert collections of images to a list or an array."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._common.validation import shortened
from ..errors import InvalidInputError
from .layout import is_unread

__all__ = ["listed", "stacked"]


def listed(X: Any, name: str, rule: str) -> list[Any]:
    """Return the images of X in a list.

    Parameters
    ----------
    X : object
    name : str
        The name of the argument, for advice such as ``[X]``.
    rule : str
        A sentence with the name of the parameter, its owner, and its valid values.

    Raises
    ------
    InvalidInputError
        If X is a single image, is ambiguous, is a table of several columns, or contains labels.
    """
    if isinstance(X, str | bytes | bytearray | os.PathLike | Image.Image) or hasattr(X, "read"):
        raise InvalidInputError(f"{rule} Got a single {type(X).__name__}. Put it into a list: [{name}].")
    if isinstance(X, Mapping | Set):
        raise InvalidInputError(f"{rule} Got a {type(X).__name__}. Pass a list, in the order of the labels.")
    X = _column(X)
    is_empty = tuple(getattr(X, "shape", ()))[:1] == (0,)
    if not is_empty:
        _refuse_ambiguous(X, name, rule)
    images = [] if is_empty else _unwrapped(_elements(X, rule))
    if not images:
        raise InvalidInputError(f"{rule} Got an empty one. Check the source of the images.")
    _refuse_labelled(images[0], name, rule)
    return images


def stacked(X: Any, name: str, rule: str) -> NDArray[Any]:
    """Stack arrays of one shape to one array of images.

    Parameters
    ----------
    X, name, rule
        See `listed`.

    Returns
    -------
    ndarray of shape (N, ...)

    Raises
    ------
    InvalidInputError
        As for `listed`, or if images are files, or differ in shape.
    """
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OSTU":
        _refuse_ambiguous(X, name, rule)
        return X
    images = listed(X, name, rule)
    if any(map(is_unread, images)):
        way = f"ReadImages(size=...).transform({name})"
        raise InvalidInputError(f"{rule} Got paths, files or Pillow images. Read them first, by {way}.")
    return _one_array([_array(image, rule) for image in images], rule)


def _array(image: Any, rule: str) -> NDArray[Any]:
    try:
        array = np.asarray(image)
    except (ValueError, TypeError, RuntimeError):  # ragged lists, tensors of other devices
        array = np.array(None)
    if array.ndim == 0:
        raise InvalidInputError(f"{rule} Got a list with {shortened(image)}, which is not an array.")
    return array


def _one_array(arrays: Sequence[NDArray[Any]], rule: str) -> NDArray[Any]:
    usual = arrays[0].shape
    other = next((index for index, array in enumerate(arrays) if array.shape != usual), None)
    if other is not None:
        raise InvalidInputError(
            f"{rule} All images must have the same size and number of channels. Got the shape {usual} at "
            f"position 0, and {arrays[other].shape} at position {other}. Use ReadImages(size=...) to resize "
            "them."
        )
    return np.stack(arrays)


def _column(X: Any) -> Any:
    """Return the column of a table with a single column of text or objects; return other X unchanged."""
    shape = tuple(getattr(X, "shape", (1,)))
    if len(shape) == 2 and shape[1:] == (1,):
        table = np.asarray(X)
        if table.shape == shape and table.dtype.kind in "OSTU":
            return table[:, 0]
    return X


def _refuse_ambiguous(X: Any, name: str, rule: str) -> None:
    """Refuse arrays with a wrong number of axes, and arrays that may be one image or several."""
    shape = tuple(getattr(X, "shape", (1,)))
    if len(shape) in (0, 2):
        raise InvalidInputError(
            f"{rule} Got a {type(X).__name__} of shape {shape}. Select the column of images, reshape rows of "
            f"pixels to (N, height, width, channels), or pass [{name}] for a single grey image."
        )
    if len(shape) == 3 and shape[0] > 0 and 1 <= shape[2] <= 4:
        raise InvalidInputError(
            f"{rule} Got a {type(X).__name__} of shape {shape}, which may be one image of {shape[2]} "
            f"channels, or {shape[0]} grey images of width {shape[2]}. Pass [{name}] for one image, or "
            f"{name}[..., None] for grey images."
        )


def _elements(X: Any, rule: str) -> list[Any]:
    """List the elements of an iterable, or of a torch data set, which supports only indexing."""
    if isinstance(X, Iterable):
        return list(X)
    if hasattr(X, "__len__") and hasattr(X, "__getitem__"):
        return [X[index] for index in range(len(X))]
    raise InvalidInputError(f"{rule} Got {shortened(X)}, which is not iterable.")


def _unwrapped(images: list[Any]) -> list[Any]:
    """Extract images from rows of one field."""
    in_rows = all(isinstance(row, list | tuple) and len(row) == 1 for row in images)
    return [row[0] for row in images] if in_rows else images


def _refuse_labelled(first: Any, name: str, rule: str) -> None:
    """Refuse pairs of image and label, and rows of a table."""
    if isinstance(first, Mapping):
        raise InvalidInputError(
            f"{rule} Got rows with the keys {shortened(list(first))}. Extract the images: "
            f"[row[key] for row in {name}]."
        )
    if isinstance(first, tuple | list) and len(first) > 1 and _is_image(first[0]):
        raise InvalidInputError(
            f"{rule} Got rows of {len(first)} fields, such as the pairs of image and label in torch data "
            f"sets. Extract the images: [row[0] for row in {name}]."
        )


def _is_image(value: Any) -> bool:
    return is_unread(value) or (hasattr(value, "__array__") and not isinstance(value, np.generic))
