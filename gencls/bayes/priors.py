"""The prior p(class): given in order, given by class, or the frequencies of the classes."""

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
    """The prior p(c).

    Parameters
    ----------
    priors : array-like of shape (K,), mapping or Series, optional
        Given probabilities: in the order of the sorted classes, or by class, as a dict or a Series of pandas
        says; None for the classes' frequencies.
    class_count : array-like of shape (K,)
        Samples, or their total weight, of each class.
    classes : array-like of shape (K,)
        The sorted classes.
    name : str
        What errors call them.

    Returns
    -------
    ndarray of shape (K,)

    Raises
    ------
    InvalidParameterError
        If given priors are not K numbers from 0 that sum to 1, or not those of the classes.
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
            f"{prior.sum():g}. Give shares, such as counts divided by their sum."
        )
    return prior


def priors_in_order(priors: Any, classes: NDArray[Any], rule: str = "priors must") -> Any:
    """Priors in the order of the classes; those that name no classes are left as they are.

    Raises
    ------
    InvalidParameterError
        If they name other classes.
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
            f"{' and '.join(mistakes)}. Give a prior for each class, or a list in the order of classes_."
        )
    return [given[label] for label in wanted]


def _by_label(priors: Any, rule: str) -> dict[Any, Any] | None:
    """The prior of each label, from a mapping or from a Series of pandas; None if there are no labels."""
    if isinstance(priors, Mapping):
        return {_plain(label): share for label, share in priors.items()}
    if hasattr(priors, "squeeze") and getattr(priors, "ndim", 0) == 2 and hasattr(priors, "columns"):
        priors = priors.squeeze(axis=1)  # a frame of one column
    if not (hasattr(priors, "index") and hasattr(priors, "to_numpy") and hasattr(priors, "items")):
        return None
    labels = [_plain(label) for label in priors.index]
    if len(set(labels)) < len(labels):
        raise InvalidParameterError(f"{rule} name each class once, got the index {shortened(labels)}.")
    return dict(zip(labels, priors.to_numpy().tolist(), strict=True))


def _plain(label: Any) -> Any:
    """A label as Python's own number or string; counts of a frame have it in a tuple."""
    if isinstance(label, tuple) and len(label) == 1:
        label = label[0]
    return label.item() if isinstance(label, np.generic) else label


def _is_zero(share: Any) -> bool:
    return isinstance(share, Real) and share == 0


def _as_floats(values: Any) -> Array | None:
    """Real numbers as float64; None if they are none."""
    try:
        numbers = np.asarray(values)
        return numbers.astype(np.float64) if numbers.dtype.kind in "biufO" and _are_real(numbers) else None
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def _are_real(numbers: NDArray[Any]) -> bool:
    return numbers.dtype != object or all(isinstance(each, Real) for each in numbers.ravel())
