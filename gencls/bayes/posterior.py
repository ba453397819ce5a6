r"""Bayes' theorem, in log space and float64.

.. math::
    \log p(c \mid x) = \log p(x \mid c) + \log p(c) - \log \sum_{k} p(x \mid k)\, p(k)

A temperature divides the joint log-probabilities, so that a model that is too sure becomes less so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = ["joint_log_prob", "log_marginal", "log_posterior"]

Array = NDArray[np.float64]


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


def log_marginal(joint: Array) -> Array:
    """The marginal log p(x), the logarithm of the sum of joint probabilities over the classes, in nats.

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
    """Log p(c | x): the joint log-probability at a temperature, less the marginal, in nats.

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
    return tempered - log_marginal(tempered)[:, None]
