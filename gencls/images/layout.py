"""X as users give it: arrays, tensors, lists and columns of images become one array or frame of numbers."""

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

__all__ = ["as_input_errors", "as_numbers", "as_numpy", "check_same_order", "flatten_images", "is_unread"]

LONGEST_ERROR = 600  # characters that are repeated of an error that others raised
RULE = "X must be an array (N, H, W), (N, H, W, C) or (N, n_features), or a list or column of images"
READ = (
    "ReadImages reads image files and Pillow's images: X = ReadImages(size=32).transform(X), or as the first "
    "step of make_pipeline(ReadImages(size=32), GenerativeBayesClassifier())."
)
FILES = (str, bytes, os.PathLike)


def flatten_images(X: Any) -> tuple[Any, tuple[int, ...]]:
    """Fold images to rows, and tell the shape that X has as an array.

    Parameters
    ----------
    X : array-like of shape (N, H, W), (N, H, W, C), (N, C, H, W) or (N, n_features)
        An array, a tensor, a frame of numbers; or a list, a column or another sequence of images.

    Returns
    -------
    rows : ndarray or DataFrame of shape (N, n_features)
    shape : tuple of int
        That of X.

    Raises
    ------
    InvalidInputError
        If X is something else; values of the rows are left to scikit-learn to check.
    """
    _refuse_what_is_no_array(X)
    images = _select_column(X)
    if not _is_frame(images):
        images = as_numbers(_as_array(images))
    shape = tuple(map(int, images.shape))
    if shape == (0,):
        raise InvalidInputError(f"{RULE}, got none. Check where they come from.")
    if len(shape) < 2:
        raise InvalidInputError(
            f"{RULE}, got the shape {shape}. Reshape your data: X.reshape(-1, n_features) for rows, or [X] "
            "for a single one."
        )
    if len(shape) > 4:
        raise InvalidInputError(
            "X must have 2 dimensions (flat rows), 3 (grey images) or 4 (images with channels), "
            f"got {len(shape)}: the shape {shape}."
        )
    return images if len(shape) == 2 else images.reshape(len(images), prod(shape[1:])), shape


def as_numpy(values: Any, name: str = "X") -> NDArray[Any]:
    """An array, a tensor of any device, or what numpy makes of other values."""
    if isinstance(values, np.ma.MaskedArray):
        if values.mask.any():
            raise InvalidInputError(
                f"{name} must have no missing values, but {int(values.mask.sum())} of {values.size} are "
                f"masked. Fill them, as by {name}.filled(0)."
            )
        return np.asarray(values.data)
    try:
        if isinstance(values, torch.Tensor):
            plain = values.detach().cpu().resolve_conj().resolve_neg()
            return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise InvalidInputError(
            f"{name} must be what numpy can make an array of, got {_named(values)} ({_short(error)})."
        ) from error


@contextmanager
def as_input_errors() -> Iterator[None]:
    """Whatever scikit-learn finds wrong in here is an `InvalidInputError`, in scikit-learn's words."""
    try:
        yield
    except GenclsError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError(_short(error)) from error


def check_same_order(first: Any, second: Any, names: str) -> None:
    """Raise if both have an index of pandas, with the same labels in another order.

    All is taken by position, as scikit-learn does. The default index says nothing: a frame that was made from
    the values of a shuffled one has it.
    """
    if not all(hasattr(each, "iloc") for each in (first, second)):
        return
    one, other = first.index, second.index
    counted = [np.array_equal(index, range(len(index))) for index in (one, other)]
    if any(counted) or one.equals(other) or len(one) != len(other):
        return
    if one.is_unique and other.is_unique and one.isin(other).all():
        raise InvalidInputError(
            f"{names} have the same index in another order, but belong together by position. Bring them to "
            "one order, as by .loc, or pass .to_numpy() if the positions are right."
        )


def _refuse_what_is_no_array(X: Any) -> None:
    """Raise if X is no collection of images at all."""
    if issparse(X):
        raise InvalidInputError(f"X must be dense, got a sparse {type(X).__name__}. Use X.toarray().")
    if is_unread(X):
        raise InvalidInputError(f"{RULE}, got {_named(X)}. {READ} A single one goes into a list: [X].")
    if isinstance(X, Mapping):
        raise InvalidInputError(
            f"{RULE}, got a {type(X).__name__} with the keys {shortened(list(X))}. Give the images in it."
        )
    indexed = hasattr(X, "__getitem__") and hasattr(X, "__len__")
    if not (indexed or hasattr(X, "__array__") or np.isscalar(X)):
        advice = " Make a list of the images first." if hasattr(X, "__iter__") else ""
        raise InvalidInputError(f"{RULE}, got {_named(X)}.{advice}")


def _select_column(X: Any) -> Any:
    """Of a table whose only column holds no numbers this column; anything else is left as it is."""
    if _holds_objects(X) and X.size and X.shape[1:] == (1,) and _may_be_image(X[0, 0]):
        return X[:, 0]
    if not _is_frame(X) or all(dtype.kind in "biufc" for dtype in X.dtypes):
        return X
    if X.shape[1] == 1:
        return X.iloc[:, 0]
    for position, name in enumerate(X.columns):
        first = X.iloc[0, position] if len(X) else None
        if _may_be_image(first):
            raise InvalidInputError(
                f"X must be a frame of numbers, or one column of images, but the column {shortened(name)} of "
                f"{X.shape[1]} holds {_named(first)}. Select the column of the images, as by "
                f"X[{shortened(name)}], and turn other columns into numbers."
            )
    return X


def _as_array(X: Any) -> NDArray[Any]:
    """An array of X, stacked if it is a sequence of images."""
    if isinstance(X, torch.Tensor | np.ndarray) and not (X.ndim == 1 and _holds_objects(X)):
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
    """Images of one size as one array."""
    images = []
    for position, item in enumerate(items):
        image = item[0] if isinstance(item, tuple) and len(item) == 1 else item  # of a data set of torch
        _check_item(image, position)
        images.append(as_numpy(image, f"X[{position}]"))
        if images[0].ndim and not images[-1].ndim:
            raise InvalidInputError(f"X must hold images, but X[{position}] is {_named(item)}. Leave it out.")
    for position, image in enumerate(images):
        if image.shape != images[0].shape:
            raise InvalidInputError(
                f"All images of X must have one size, but X[0] has the shape {images[0].shape} and "
                f"X[{position}] {image.shape}. ReadImages(size=32) brings images to one size: X = "
                "ReadImages(size=32).transform(X), or as the first step of a pipeline."
            )
    return np.stack(images)


def _check_item(item: Any, position: int) -> None:
    """Raise if what stands in a sequence is no image."""
    name = f"X[{position}]"
    if is_unread(item):
        raise InvalidInputError(f"X must hold pixels, but {name} is {_named(item)}. {READ}")
    if isinstance(item, Mapping):
        raise InvalidInputError(
            f"X must hold images, but {name} is a {type(item).__name__} with the keys "
            f"{shortened(list(item))}. Give a list of the images in them."
        )
    if isinstance(item, tuple | list) and len(item) > 1 and _is_pair(*item[:2]):
        raise InvalidInputError(
            f"X must hold images, but {name} is a pair of {_named(item[0])} and {_named(item[1])}, as of an "
            "image and its label. Give them apart: images, labels = zip(*X)."
        )
    if item is None:
        raise InvalidInputError(f"X must hold images, but {name} is None. Leave it out.")


def as_numbers(images: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they are, and objects as numbers; complex ones are left to scikit-learn.

    Raises
    ------
    InvalidInputError
        If values are strings, dates or the like.
    """
    kind = images.dtype.kind
    if kind in "OSTU":
        words = next((value for value in images.ravel() if isinstance(value, str | bytes)), None)
        if words is not None:
            advice = "Convert it: X.astype(float)." if _is_number(words) else READ
            raise InvalidInputError(f"X must hold numbers, got {shortened(words)}. {advice}")
        try:
            return images.astype(np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            reason = _short(error)
            raise InvalidInputError(f"X must hold numbers, but has other objects ({reason}).") from error
    if kind not in "biufc":
        what = f"the fields {images.dtype.names}" if kind == "V" else images.dtype
        raise InvalidInputError(f"X must hold numbers, got {what}. Give the values of the pixels.")
    return images


def is_unread(value: Any) -> bool:
    """Whether it is a path, the content of a file, an open one, or an image of Pillow."""
    return isinstance(value, FILES) or hasattr(value, "read") or hasattr(value, "getbands")


def _rows(X: Sequence[Any]) -> NDArray[Any] | None:
    """Nested lists of numbers as an array; None if they are ragged or hold something else."""
    try:
        rows = np.asarray(X)
    except (ValueError, TypeError, OverflowError):
        return None
    return rows if rows.dtype.kind in "biufc" else None


def _are_nested_numbers(item: Any) -> bool:
    """Whether it is a list of numbers, or of lists of them."""
    while isinstance(item, list | tuple):
        if not item:
            return False
        item = item[0]
    return np.isscalar(item)


def _is_pair(first: Any, second: Any) -> bool:
    """Whether the first may be an image and the second its label."""
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


def _holds_objects(X: Any) -> bool:
    return isinstance(X, np.ndarray) and X.dtype.kind in "OSTU"


def _may_be_image(value: Any) -> bool:
    return is_unread(value) or isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0


def _named(value: Any) -> str:
    """What came, by its value if it is short, else by its type and shape."""
    if isinstance(value, FILES) or np.isscalar(value) or value is None:
        return shortened(value)
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def _short(error: Exception) -> str:
    words = str(error) or type(error).__name__
    return words if len(words) <= LONGEST_ERROR else f"{words[: LONGEST_ERROR - 1]}…"
