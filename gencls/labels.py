"""Class labels, as users give them, and their positions among the sorted classes, as the model takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidInputError, InvalidParameterError
from .validation import listed, shortened, whole

__all__ = [
    "check_classes",
    "check_none_missing",
    "check_same_classes",
    "draw_labels",
    "encode_labels",
    "encode_labels_for",
]


def check_none_missing(y: Any) -> None:
    """Raise if labels are None or NaN among objects; NaN among numbers is found by scikit-learn."""
    labels = np.asarray(y)
    if labels.dtype != object or labels.ndim == 0:
        return
    missing = [i for i, label in enumerate(labels.ravel()) if _is_missing(label)]
    if missing:
        raise InvalidInputError(
            f"y must have a class for each image, but {len(missing)} of {labels.size} are missing (None or "
            f"NaN), the first at position {missing[0]}. Leave these images out."
        )


def check_classes(classes: NDArray[Any]) -> NDArray[Any]:
    """The classes; raise if there is one alone."""
    if len(classes) < 2:
        raise InvalidInputError(f"y must have at least 2 classes, got 1 class: {listed(classes)}.")
    return classes


def check_same_classes(given: ArrayLike | None, classes: NDArray[Any]) -> None:
    """Raise if a later call of `partial_fit` is given other classes than the first."""
    if given is not None and not np.array_equal(np.unique(given), classes):
        raise InvalidInputError(
            f"classes must be those of the first call ({listed(classes)}), got "
            f"{listed(np.unique(given))}. Leave classes out after the first call."
        )


def encode_labels(y: ArrayLike, classes: NDArray[Any], n_samples: int) -> NDArray[np.int64]:
    """Positions among the classes, one for each of `n_samples` images.

    Raises
    ------
    InvalidInputError
        If there are more or fewer labels than images, some are missing, or of a class that there is not.
    """
    y = np.asarray(y)
    if y.shape != (n_samples,):
        raise InvalidInputError(
            f"y must have the shape ({n_samples},), a class for each image, got {y.shape}."
        )
    check_none_missing(y)
    # Words and numbers never match; numpy would take 10 for "10", and sort it before "2".
    unknown = np.setdiff1d(y, classes) if _are_words(y) == _are_words(classes) else np.unique(y)
    if len(unknown):
        raise InvalidInputError(
            f"y must have classes that fit saw ({listed(classes)}), got also {listed(unknown)}."
        )
    return np.searchsorted(classes, y).astype(np.int64)


def encode_labels_for(n_samples: int, y: ArrayLike, classes: NDArray[Any]) -> NDArray[np.int64]:
    """Positions of a class for each image, or of one for all."""
    return encode_labels(np.full(n_samples, y) if np.ndim(y) == 0 else y, classes, n_samples)


def draw_labels(
    n_samples: int,
    y: ArrayLike | None,
    classes: NDArray[Any],
    prior: NDArray[np.float64],
    rng: np.random.RandomState,
) -> NDArray[np.int64]:
    """Positions of the classes whose images are to be drawn: those of y, or by the prior without it.

    Raises
    ------
    InvalidParameterError
        If `n_samples` is wrong and needed.
    """
    if y is not None and np.ndim(y) > 0:
        return encode_labels(y, classes, len(np.asarray(y)))
    if not whole(1).accepts(n_samples):
        raise InvalidParameterError(
            f"The parameter 'n_samples' of sample must be an int of at least 1, got {shortened(n_samples)}."
        )
    if y is not None:
        return encode_labels_for(n_samples, y, classes)
    return rng.choice(len(classes), size=n_samples, p=prior)


def _are_words(labels: NDArray[Any]) -> bool:
    some = labels[:1].tolist()
    return bool(some) and isinstance(some[0], str | bytes)


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # pandas' NA is neither equal nor unequal to itself
        return True
