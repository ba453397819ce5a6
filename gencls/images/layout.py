"""Conversion of X, which may be an array, a tensor, a list or a column of images, to rows of numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse

from .._common.validation import shortened
from ..errors import GenclsError, InvalidInputError

__all__ = [
    "as_input_errors",
    "as_numbers",
    "as_numpy",
    "check_is_collection",
    "check_same_order",
    "flatten_images",
    "holds_objects",
    "is_unread",
    "named",
    "select_column",
]

LONGEST_ERROR = 600  # characters of an error of another package in a message
RULE = "X must be an array (N, H, W), (N, H, W, C) or (N, n_features), or a list or column of images"
READ = (
    "A classifier with the parameter resolution reads image files and Pillow images. Otherwise use "
    "ReadImages: X = ReadImages(size=32).transform(X), or as the first step of "
    "make_pipeline(ReadImages(size=32), GenerativeBayesClassifier())."
)
FILES = (str, bytes, os.PathLike)


def flatten_images(X: Any) -> tuple[Any, tuple[int, ...]]:
    """Flatten images to rows, and return the shape of X as an array.

    Parameters
    ----------
    X : array-like of shape (N, H, W), (N, H, W, C), (N, C, H, W) or (N, n_features)
        An array, a tensor or a DataFrame of numbers; or a list, a column or any other sequence of images.

    Returns
    -------
    rows : ndarray or DataFrame of shape (N, n_features)
    shape : tuple of int
        The shape of X.

    Raises
    ------
    InvalidInputError
        If X has a different type or shape. The values of the rows are not checked.
    """
    check_is_collection(X)
    images = select_column(X)
    if not _is_frame(images):
        images = as_numbers(_as_array(images))
    shape = tuple(map(int, images.shape))
    if shape == (0,):
        raise InvalidInputError(f"{RULE}, got an empty one. Check the source of the images.")
    if len(shape) < 2:
        raise InvalidInputError(
            f"{RULE}, got the shape {shape}. Reshape your data: X.reshape(-1, n_features) for rows, or [X] "
            "for a single row."
        )
    if len(shape) > 4:
        raise InvalidInputError(
            "X must have 2 dimensions (flat rows), 3 (grey images) or 4 (images with channels), "
            f"got {len(shape)}: the shape {shape}."
        )
    return images if len(shape) == 2 else images.reshape(len(images), prod(shape[1:])), shape


def as_numpy(values: Any, name: str = "X") -> NDArray[Any]:
    """Convert arrays, tensors of any device and other values to a NumPy array."""
    if isinstance(values, np.ma.MaskedArray):
        if values.mask.any():
            raise InvalidInputError(
                f"{name} must have no missing values, but {int(values.mask.sum())} of {values.size} are "
                f"masked. Fill them, for example by {name}.filled(0)."
            )
        return np.asarray(values.data)
    try:
        if isinstance(values, torch.Tensor):
            plain = values.detach().cpu().resolve_conj().resolve_neg()
            return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise InvalidInputError(
            f"{name} must be convertible to a NumPy array, got {named(values)} ({_short(error)})."
        ) from error


@contextmanager
def as_input_errors() -> Iterator[None]:
    """Turn errors of scikit-learn into an `InvalidInputError` with the same message."""
    try:
        yield
    except GenclsError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError(_short(error)) from error


def check_same_order(first: Any, second: Any, names: str) -> None:
    """Raise if two pandas objects have the same index labels in a different order.

    Rows are matched by position, as in scikit-learn. A default index is ignored, because a DataFrame created
    from the values of a shuffled one also has it.
    """
    if not all(hasattr(each, "iloc") for each in (first, second)):
        return
    one, other = first.index, second.index
    counted = [np.array_equal(index, range(len(index))) for index in (one, other)]
    if any(counted) or one.equals(other) or len(one) != len(other):
        return
    if one.is_unique and other.is_unique and one.isin(other).all():
        raise InvalidInputError(
            f"{names} have the same index in a different order, but rows are matched by position. Reorder "
            "one of them, for example by .loc, or pass .to_numpy() if the positions are correct."
        )


def check_is_collection(X: Any) -> None:
    """Raise if X is not a collection of images."""
    if issparse(X):
        raise InvalidInputError(f"X must be dense, got a sparse {type(X).__name__}. Use X.toarray().")
    if is_unread(X):
        raise InvalidInputError(f"{RULE}, got {named(X)}. Put a single image into a list: [X]. {READ}")
    if isinstance(X, Mapping):
        raise InvalidInputError(
            f"{RULE}, got a {type(X).__name__} with the keys {shortened(list(X))}. Pass the images in it."
        )
    indexed = hasattr(X, "__getitem__") and hasattr(X, "__len__")
    if not (indexed or hasattr(X, "__array__") or np.isscalar(X)):
        advice = " Convert it to a list." if hasattr(X, "__iter__") else ""
        raise InvalidInputError(f"{RULE}, got {named(X)}.{advice}")


def select_column(X: Any) -> Any:
    """Return the only column of a table if it is not numeric; return other X unchanged."""
    if holds_objects(X) and X.size and X.shape[1:] == (1,) and _may_be_image(X[0, 0]):
        return X[:, 0]
    if not _is_frame(X) or all(dtype.kind in "biufc" for dtype in X.dtypes):
        return X
    if X.shape[1] == 1:
        return X.iloc[:, 0]
    for position, name in enumerate(X.columns):
        first = X.iloc[0, position] if len(X) else None
        if _may_be_image(first):
            raise InvalidInputError(
                f"X must be a DataFrame of numbers, or one column of images, but the column "
                f"{shortened(name)} of {X.shape[1]} has {named(first)}. Select the column of images, "
                f"X[{shortened(name)}], or convert all columns to numbers."
            )
    return X


def _as_array(X: Any) -> NDArray[Any]:
    """Convert X to an array, and stack a sequence of images."""
    if isinstance(X, torch.Tensor | np.ndarray) and not (X.ndim == 1 and holds_objects(X)):
        return as_numpy(X)
    if getattr(X, "ndim", 1) != 1 or not hasattr(X, "__len__") or not len(X):
        return as_numpy(X)
    first = X.iloc[0] if hasattr(X, "iloc") else X[0]
    _check_item(first, 0)
    if np.isscalar(first) or first is None:
        items = list(X)
        for position, item in enumerate(items):
            _check_item(item, position)
        return as_numpy(X)
    if isinstance(X, list | tuple) and _are_nested_numbers(first) and (rows := _rows(X)) is not None:
        return rows
    items = list(X) if hasattr(X, "iloc") or isinstance(X, np.ndarray) else [X[i] for i in range(len(X))]
    return _stack(items)


def _stack(items: Sequence[Any]) -> NDArray[Any]:
    """Stack images of one size to one array."""
    images = []
    for position, item in enumerate(items):
        image = item[0] if isinstance(item, tuple) and len(item) == 1 else item  # from a torch data set
        _check_item(image, position)
        images.append(as_numpy(image, f"X[{position}]"))
        if images[0].ndim and not images[-1].ndim:
            raise InvalidInputError(
                f"X must have only images, but X[{position}] is {named(item)}. Remove it."
            )
    for position, image in enumerate(images):
        if image.shape != images[0].shape:
            raise InvalidInputError(
                f"All images of X must have the same shape, but X[0] has the shape {images[0].shape} and "
                f"X[{position}] the shape {image.shape}. A classifier with the parameter resolution resizes "
                "them. Otherwise use ReadImages(size=32).transform(X)."
            )
    return np.stack(images)


def _check_item(item: Any, position: int) -> None:
    """Raise if an element of a sequence is not an image."""
    name = f"X[{position}]"
    if is_unread(item):
        raise InvalidInputError(f"X must have pixel values, but {name} is {named(item)}. {READ}")
    if isinstance(item, Mapping):
        raise InvalidInputError(
            f"X must have only images, but {name} is a {type(item).__name__} with the keys "
            f"{shortened(list(item))}. Pass a list of the images in them."
        )
    if isinstance(item, tuple | list) and len(item) > 1 and _is_pair(*item[:2]):
        raise InvalidInputError(
            f"X must have only images, but {name} is a pair of {named(item[0])} and {named(item[1])}, such "
            "as an image and its label. Separate them: images, labels = zip(*X)."
        )
    if item is None:
        raise InvalidInputError(f"X must have only images, but {name} is None. Remove it.")


def as_numbers(images: NDArray[Any]) -> NDArray[Any]:
    """Convert objects to numbers, and return numbers unchanged, including complex numbers.

    Raises
    ------
    InvalidInputError
        If values are strings, dates or other non-numeric objects.
    """
    kind = images.dtype.kind
    if kind in "OSTU":
        words = next((value for value in images.ravel() if isinstance(value, str | bytes)), None)
        if words is not None:
            advice = "Convert it: X.astype(float)." if _is_number(words) else READ
            raise InvalidInputError(f"X must have only numbers, got {shortened(words)}. {advice}")
        try:
            return images.astype(np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            reason = _short(error)
            raise InvalidInputError(f"X must have only numbers, got other objects ({reason}).") from error
    if kind not in "biufc":
        what = f"the fields {images.dtype.names}" if kind == "V" else images.dtype
        raise InvalidInputError(f"X must have only numbers, got {what}. Pass the values of the pixels.")
    return images


def is_unread(value: Any) -> bool:
    """Return whether a value is a path, the content of a file, an open file or a Pillow image."""
    return isinstance(value, FILES) or hasattr(value, "read") or hasattr(value, "getbands")


def _rows(X: Sequence[Any]) -> NDArray[Any] | None:
    """Convert nested lists of numbers to an array; return None if they are ragged or not numeric."""
    try:
        rows = np.asarray(X)
    except (ValueError, TypeError, OverflowError):
        return None
    return rows if rows.dtype.kind in "biufc" else None


def _are_nested_numbers(item: Any) -> bool:
    """Return whether an item is a list of numbers, or nested lists of numbers."""
    while isinstance(item, list | tuple):
        if not item:
            return False
        item = item[0]
    return np.isscalar(item)


def _is_pair(first: Any, second: Any) -> bool:
    """Return whether two values may be an image and its label."""
    image = not isinstance(first, FILES) and (is_unread(first) or len(getattr(first, "shape", ())) > 0)
    scalar = np.isscalar(second) or second is None or getattr(second, "ndim", 1) == 0
    return image and scalar


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "iloc")


def _is_number(words: str | bytes) -> bool:
    try:
        float(words)
    except ValueError:
        return False
    return True


def holds_objects(X: Any) -> bool:
    """Return whether X is an array of objects or text."""
    return isinstance(X, np.ndarray) and X.dtype.kind in "OSTU"


def _may_be_image(value: Any) -> bool:
    return is_unread(value) or isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0


def named(value: Any) -> str:
    """Describe a value for a message: its repr if it is a scalar or path, else its type and shape."""
    if isinstance(value, FILES) or np.isscalar(value) or value is None:
        return shortened(value)
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def _short(error: Exception) -> str:
    words = str(error) or type(error).__name__
    return words if len(words) <= LONGEST_ERROR else f"{words[: LONGEST_ERROR - 1]}…"
