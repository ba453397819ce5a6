r"""Bayes' theorem, in log space and float64.

.. math::
    \log p(c \mid x) = \log p(x \mid c) + \log p(c) - \log \sum_{k} p(x \mid k)\, p(k)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from .errors import InvalidParameterError

__all__ = ["class_prior", "joint_log_prob", "log_evidence", "log_posterior"]

Array = NDArray[np.float64]


def class_prior(priors: ArrayLike | None, class_count: ArrayLike) -> Array:
    """The prior p(c).

    Parameters
    ----------
    priors : array-like of shape (K,), optional
        Given probabilities, in the order of the sorted classes; None for the classes' frequencies.
    class_count : array-like of shape (K,)
        Samples, or their total weight, of each class.

    Returns
    -------
    ndarray of shape (K,)

    Raises
    ------
    InvalidParameterError
        If given priors are not K numbers from 0 that sum to 1.
    """
    counts = np.asarray(class_count, dtype=np.float64)
    if priors is None:
        return counts / counts.sum()
    prior = _as_floats(priors)
    if prior is None or prior.shape != counts.shape:
        got = repr(priors) if prior is None else f"an array of shape {prior.shape}"
        raise InvalidParameterError(
            "The parameter 'priors' of GenerativeBayesClassifier must have a number for each of the "
            f"{counts.size} classes, got {got}."
        )
    if not (prior >= 0).all() or not np.isclose(prior.sum(), 1.0, rtol=0, atol=1e-8):
        raise InvalidParameterError(
            "The parameter 'priors' of GenerativeBayesClassifier must be non-negative and sum to 1, got "
            f"{prior.tolist()}, which sums to {prior.sum():g}."
        )
    return prior


def joint_log_prob(log_likelihood: Array, prior: Array) -> Array:
    """log p(x, c) = log p(x | c) + log p(c), in nats: (N, K) and (K,) give (N, K)."""
    with np.errstate(divide="ignore"):  # a prior of 0 is log-probability -inf
        return log_likelihood + np.log(prior)


def log_evidence(joint: Array) -> Array:
    """log p(x), the sum of the joint probability over the classes: (N, K) gives (N,)."""
    return np.asarray(logsumexp(joint, axis=1))


def log_posterior(joint: Array) -> Array:
    """log p(c | x): the joint log-probability less the evidence, (N, K)."""
    return joint - log_evidence(joint)[:, None]


def _as_floats(values: Any) -> Array | None:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
