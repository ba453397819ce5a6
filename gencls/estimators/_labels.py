"""Validation of class labels, and their positions among the sorted classes."""

from __future__ import annotations

from collections.abc import Mapping, Set
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

from .._common.validation import check_parameters, listed, shortened, whole
from ..errors import InvalidInputError
from ..images.layout import as_input_errors, as_numpy

__all__ = [
    "are_strings",
    "as_labels",
    "check_classes",
    "check_labels",
    "check_none_missing",
    "check_same_classes",
    "draw_labels",
    "encode_labels",
    "encode_labels_for",
    "unique_classes",
]

MOST_SAMPLES = 10**9


def as_labels(y: Any, name: str = "y") -> Any:
    """Labels of one kind, which scikit-learn checks further; lists become arrays.

    Parameters
    ----------
    y : array-like of shape (N,)
    name : str
        Their name in errors.

    Raises
    ------
    InvalidInputError
        If labels are missing, are both strings and numbers, or neither.
    """
    if y is None or hasattr(y, "iloc"):
        values = y
    elif isinstance(y, str | bytes | Mapping) or not (hasattr(y, "__getitem__") or hasattr(y, "__array__")):
        raise InvalidInputError(f"{name} must be an array or list of classes, got {shortened(y)}.")
    elif isinstance(y, list | tuple) and any(isinstance(label, str | bytes) for label in y):
        values = np.empty(len(y), dtype=object)  # NumPy would turn numbers and NaN into strings
        values[:] = y
    else:
        values = as_numpy(y, name)
    check_none_missing(values, name)
    _check_one_kind(values, name)
    if isinstance(y, list | tuple):
        return as_numpy(list(y), name)
    return as_numpy(values.tolist(), name) if _are_numbers_as_objects(values) else values


def check_none_missing(y: Any, name: str = "y") -> None:
    """Raise if labels are None or NaN."""
    labels = np.asarray(y)
    if labels.dtype.kind not in "fO" or labels.ndim == 0:
        return
    if labels.dtype == object:
        missing = [i for i, label in enumerate(labels.ravel()) if _is_missing(label)]
    else:
        missing = np.flatnonzero(np.isnan(labels)).tolist()
    if missing:
        raise InvalidInputError(
            f"{name} must not have missing classes, but {len(missing)} of {labels.size} are missing (None or "
            f"NaN), the first at position {missing[0]}. Remove them and their images."
        )


def _check_one_kind(y: Any, name: str) -> None:
    """Raise if objects are both strings and numbers, or neither."""
    labels = np.asarray(y)
    if labels.dtype.kind in "mMV":
        raise InvalidInputError(f"{name} must have classes that are numbers or strings, got {labels.dtype}.")
    if labels.dtype != object or labels.ndim == 0:
        return
    firsts: dict[str, tuple[int, Any]] = {}
    for position, label in enumerate(labels.ravel()):
        firsts.setdefault(_kind(label), (position, label))
    other = firsts.get("other")
    if other:
        raise InvalidInputError(
            f"{name} must have classes that are numbers or strings, got {shortened(other[1])} at position "
            f"{other[0]}."
        )
    if len(firsts) > 1:
        found = " and ".join(f"{shortened(label)} at position {i}" for i, label in firsts.values())
        raise InvalidInputError(
            f"{name} must have classes of one kind, all numbers or all strings, got {found}."
        )


def _are_numbers_as_objects(labels: Any) -> bool:
    """Whether labels are numbers in an array of objects, which scikit-learn rejects as classes."""
    found = np.asarray(labels)
    return found.dtype == object and found.ndim == 1 and found.size > 0 and isinstance(found[0], Real)


def _kind(label: Any) -> str:
    for kind, types in (("word", str), ("bytes", bytes), ("number", Real | np.bool_)):
        if isinstance(label, types):
            return kind
    return "other"


def check_classes(classes: NDArray[Any]) -> NDArray[Any]:
    """The classes; raise if there is only one."""
    if len(classes) < 2:
        raise InvalidInputError(f"y must have at least 2 classes, got 1 class: {listed(classes)}.")
    return classes


def unique_classes(classes: Any) -> NDArray[Any]:
    """The sorted classes of the parameter `classes` of `partial_fit`.

    Raises
    ------
    InvalidInputError
        If the list is empty, or its classes are of several kinds.
    """
    given = list(classes) if isinstance(classes, Set) else classes
    labels = np.asarray(as_labels(given, "classes"))
    if labels.ndim == 0 or not labels.size:
        raise InvalidInputError(f"classes must be a list of all classes, got {shortened(classes)}.")
    return np.unique(labels)


def check_same_classes(given: Any, classes: NDArray[Any]) -> None:
    """Raise if the classes of a later call of `partial_fit` differ from those of the first."""
    if given is not None and not np.array_equal(found := unique_classes(given), classes):
        raise InvalidInputError(
            f"classes must be those of the first call ({listed(classes)}), got {listed(found)}. Omit "
            "classes after the first call."
        )


def check_labels(y: Any, n_samples: int) -> NDArray[Any]:
    """Labels (n_samples,) of one kind.

    Raises
    ------
    InvalidInputError
        If the numbers of labels and images differ, labels are missing, or values are not labels.
    """
    with as_input_errors():
        labels = np.asarray(as_labels(y))
        labels = column_or_1d(labels, warn=True) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (n_samples,):
        got = shortened(y) if labels.ndim == 0 else labels.shape
        raise InvalidInputError(f"y must have the shape ({n_samples},), a class for each image, got {got}.")
    return labels


def encode_labels(y: ArrayLike, classes: NDArray[Any], n_samples: int) -> NDArray[np.int64]:
    """Positions among the classes, one for each of `n_samples` images.

    Raises
    ------
    InvalidInputError
        If the numbers of labels and images differ, labels are missing, or a class is unknown.
    """
    y = check_labels(y, n_samples)
    # Strings and numbers never match; NumPy would convert 10 to "10", which sorts before "2".
    unknown = np.setdiff1d(y, classes) if are_strings(y) == are_strings(classes) else np.unique(y)
    if len(unknown):
        raise InvalidInputError(
            f"y must have classes that fit saw ({listed(classes)}), got also {listed(unknown)}."
        )
    return np.searchsorted(classes, y).astype(np.int64)


def encode_labels_for(n_samples: int, y: ArrayLike, classes: NDArray[Any]) -> NDArray[np.int64]:
    """Positions of the class of each image, or of one class for all images."""
    return encode_labels(np.full(n_samples, y) if _is_one(y) else y, classes, n_samples)


def draw_labels(
    n_samples: int,
    y: ArrayLike | None,
    classes: NDArray[Any],
    prior: NDArray[np.float64],
    rng: np.random.RandomState,
) -> NDArray[np.int64]:
    """Positions of the classes of the images to draw: those of y, or drawn from the prior without y.

    Raises
    ------
    InvalidParameterError
        If `n_samples` is wrong and needed.
    """
    if y is not None and not _is_one(y):
        labels = as_labels(y)
        return encode_labels(labels, classes, len(labels))
    check_parameters("sample", {"n_samples": n_samples}, {"n_samples": whole(1, MOST_SAMPLES)})
    if y is not None:
        return encode_labels_for(n_samples, y, classes)
    return rng.choice(len(classes), size=n_samples, p=prior)


def _is_one(y: Any) -> bool:
    """Whether it is a single class."""
    return bool(np.isscalar(y)) or getattr(y, "ndim", 1) == 0


def are_strings(labels: NDArray[Any]) -> bool:
    """Whether labels are strings."""
    some = labels[:1].tolist()
    return bool(some) and isinstance(some[0], str | bytes)


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # pandas' NA is neither equal nor unequal to itself
        return True
