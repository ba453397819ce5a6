r"""Bayes' theorem, in log space and float64.

.. math::
    \log p(c \mid x) = \log p(x \mid c) + \log p(c) - \log \sum_{k} p(x \mid k)\, p(k)

A temperature divides the joint log-probabilities; values above 1 correct an overconfident model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = ["joint_log_prob", "log_marginal", "log_posterior"]

Array = NDArray[np.float64]


def joint_log_prob(log_likelihood: Array, prior: Array) -> Array:
    """Return log p(x, c) = log p(x | c) + log p(c), in nats.

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


def log_marginal(joint: Array) -> Array:
    """Return the marginal log p(x), in nats: the log of the sum of the joint probabilities over classes.

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
    """Return log p(c | x), in nats: the tempered joint log-probability minus its marginal.

    Parameters
    ----------
    joint : ndarray of shape (N, K)
        log p(x, c), nats.
    temperature : float, default=1.0
        Above 0. A value of 1 is Bayes' theorem; higher values make the classes more equally probable. The
        most probable class does not depend on the temperature.

    Returns
    -------
    ndarray of shape (N, K)
    """
    best = joint.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):  # classes too far behind the best one have probability 0
        tempered = (joint - best) / temperature
    return tempered - log_marginal(tempered)[:, None]
