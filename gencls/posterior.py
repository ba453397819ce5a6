r"""Bayes' theorem, in log space and float64.

.. math::
    \log p(c \mid x) = \log p(x \mid c) + \log p(c) - \log \sum_{k} p(x \mid k)\, p(k)

A temperature divides the joint log-probabilities, so that a model that is too sure becomes less so.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

from .errors import InvalidParameterError
from .validation import shortened

__all__ = [
    "class_prior",
    "fit_temperature",
    "joint_log_prob",
    "log_evidence",
    "log_posterior",
    "priors_in_order",
]

Array = NDArray[np.float64]

TEMPERATURES = (1e-2, 1e4)  # between these `fit_temperature` searches


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


def joint_log_prob(log_likelihood: Array, prior: Array) -> Array:
    """log p(x, c) = log p(x | c) + log p(c), in nats.

    Parameters
    ----------
    log_likelihood : ndarray of shape (N, K)
        log p(x | c), nats.
    prior : ndarray of shape (K,) or (N, K)
        p(c), from 0 to 1; a prior of 0 gives -inf.

    Returns
    -------
    ndarray of shape (N, K)
    """
    with np.errstate(divide="ignore"):  # a prior of 0 is log-probability -inf
        return log_likelihood + np.log(prior)


def log_evidence(joint: Array) -> Array:
    """log p(x), the sum of the joint probability over the classes, in nats.

    Parameters
    ----------
    joint : ndarray of shape (N, K)
        log p(x, c), nats.

    Returns
    -------
    ndarray of shape (N,)
    """
    return np.asarray(logsumexp(joint, axis=1))


def log_posterior(joint: Array, temperature: float = 1.0) -> Array:
    """Log p(c | x): the joint log-probability at a temperature, less its evidence, in nats.

    Parameters
    ----------
    joint : ndarray of shape (N, K)
        log p(x, c), nats.
    temperature : float, default=1.0
        Above 0. 1 is Bayes' theorem, a higher one makes the classes more equal; none changes which is the
        most probable one.

    Returns
    -------
    ndarray of shape (N, K)
    """
    best = joint.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):  # what lies too far behind the best class has the probability 0
        tempered = (joint - best) / temperature
    return tempered - log_evidence(tempered)[:, None]


def fit_temperature(joint: Array, codes: NDArray[np.int64]) -> float:
    """The temperature at which `log_posterior` has the smallest log-loss.

    The loss is convex in 1 / T, so that its slope has one root. Images whose own class has a prior of 0 are
    left out: they cost infinitely much at every temperature.

    Parameters
    ----------
    joint : ndarray of shape (N, K)
        log p(x, c) of images that the model was not trained on, nats.
    codes : ndarray of shape (N,)
        Their classes, from 0 to K - 1.

    Returns
    -------
    float
        From 0.01 to 10,000, the latter where the best is to call all classes equally probable. If the classes
        of all images are right, the loss falls for ever as T → 0; as nothing shows then how often the model
        errs, Bayes' theorem is kept: 1.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), "On Calibration of Modern Neural Networks".
    """
    own = joint[np.arange(len(codes)), codes]
    possible = np.isfinite(own)
    leads = joint[possible] - own[possible, None]  # of every class over the image's own, nats

    def slope(log_temperature: float) -> float:
        """Derivative of the summed loss by 1 / T: the mean lead under the posterior."""
        posterior = np.exp(log_posterior(leads, np.exp(log_temperature)))
        return float((posterior * np.where(posterior > 0, leads, 0)).sum())  # 0 times -inf is no number

    coldest, hottest = np.log(TEMPERATURES)
    if slope(coldest) <= 0:
        return 1.0
    if slope(hottest) >= 0:
        return TEMPERATURES[1]
    return float(np.exp(brentq(slope, coldest, hottest)))


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
