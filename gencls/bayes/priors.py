"""The class prior: given in the order of the classes, given by class, or estimated from frequencies."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._common.validation import shortened
from ..errors import InvalidParameterError

__all__ = ["class_prior", "priors_in_order"]

Array = NDArray[np.float64]


def class_prior(
    priors: Any, class_count: ArrayLike, classes: ArrayLike, *, name: str = "parameter 'priors'"
) -> Array:
    """Return the prior p(c).

    Parameters
    ----------
    priors : array-like of shape (K,), mapping or Series, optional
        Probabilities in the order of the sorted classes, or by class, as a dict or a pandas Series. None uses
        the class frequencies.
    class_count : array-like of shape (K,)
        Number, or total weight, of the samples of each class.
    classes : array-like of shape (K,)
        The sorted classes.
    name : str
        The name of `priors` in error messages.

    Returns
    -------
    ndarray of shape (K,)

    Raises
    ------
    InvalidParameterError
        If `priors` are not K non-negative numbers that sum to 1, or do not match the classes.
    """
    counts = np.asarray(class_count, dtype=np.float64)
    if priors is None:
        return counts / counts.sum()
    rule = f"The {name} of GenerativeBayesClassifier must"
    prior = _as_floats(priors_in_order(priors, np.asarray(classes), rule))
    if prior is None or prior.shape != counts.shape:
        got = shortened(priors) if prior is None else f"an array of shape {prior.shape}"
        raise InvalidParameterError(f"{rule} have a number for each of the {counts.size} classes, got {got}.")
    if not (prior >= 0).all() or not np.isclose(prior.sum(), 1.0, rtol=0, atol=1e-8):
        raise InvalidParameterError(
            f"{rule} be non-negative and sum to 1, got {shortened(prior.tolist())}, which sums to "
            f"{prior.sum():g}. Divide the values by their sum."
        )
    return prior


def priors_in_order(priors: Any, classes: NDArray[Any], rule: str = "priors must") -> Any:
    """Return the priors in the order of the classes; priors without labels are returned unchanged.

    Raises
    ------
    InvalidParameterError
        If the labels of the priors differ from the classes.
    """
    given = _by_label(priors, rule)
    if given is None:
        return priors
    wanted = dict.fromkeys(classes.tolist())
    missing = [label for label in wanted if label not in given]
    unknown = [label for label, share in given.items() if label not in wanted and not _is_zero(share)]
    mistakes = [
        f"{verb} {shortened(labels)}" for verb, labels in (("lacks", missing), ("has", unknown)) if labels
    ]
    if mistakes:
        raise InvalidParameterError(
            f"{rule} name the classes {shortened(list(wanted))}, as a dict or a Series does, but it "
            f"{' and '.join(mistakes)}. Pass a prior for each class, or a list in the order of classes_."
        )
    return [given[label] for label in wanted]


def _by_label(priors: Any, rule: str) -> dict[Any, Any] | None:
    """Return the prior of each label of a mapping or pandas Series; None if there are no labels."""
    if isinstance(priors, Mapping):
        return {_plain(label): share for label, share in priors.items()}
    if hasattr(priors, "squeeze") and getattr(priors, "ndim", 0) == 2 and hasattr(priors, "columns"):
        priors = priors.squeeze(axis=1)  # a DataFrame with one column
    if not (hasattr(priors, "index") and hasattr(priors, "to_numpy") and hasattr(priors, "items")):
        return None
    labels = [_plain(label) for label in priors.index]
    if len(set(labels)) < len(labels):
        raise InvalidParameterError(f"{rule} name each class once, got the index {shortened(labels)}.")
    return dict(zip(labels, priors.to_numpy().tolist(), strict=True))


def _plain(label: Any) -> Any:
    """Convert a label to a Python scalar; the counts of a DataFrame have labels in tuples."""
    if isinstance(label, tuple) and len(label) == 1:
        label = label[0]
    return label.item() if isinstance(label, np.generic) else label


def _is_zero(share: Any) -> bool:
    return isinstance(share, Real) and share == 0


def _as_floats(values: Any) -> Array | None:
    """Convert real numbers to float64; return None for any other values."""
    try:
        numbers = np.asarray(values)
        return numbers.astype(np.float64) if numbers.dtype.kind in "biufO" and _are_real(numbers) else None
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def _are_real(numbers: NDArray[Any]) -> bool:
    return numbers.dtype != object or all(isinstance(each, Real) for each in numbers.ravel())
