r"""The evidence of single pixels for a class: sequential Bayes.

.. math::
    e_i(a) = \log p(a \mid x_{\le i}) - \log p(a \mid x_{<i}), \qquad
    \sum_i e_i(a) = \log p(a \mid x) - \log p(a)

For a against b it is the change of their log-odds, the difference of :math:`\log p(x_i \mid x_{<i}, c)`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = ["evidence_against", "evidence_for"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]


def evidence_for(table: Array, prior: Array, codes: Codes, temperature: float = 1.0) -> Array:
    """Return the evidence of each pixel for a class against all classes.

    Parameters
    ----------
    table : ndarray of shape (N, K, H, W)
        log p(pixel | previous pixels, c), nats.
    prior : ndarray of shape (K,)
        p(c).
    codes : ndarray of shape (N,)
        The class of each image, from 0 to K - 1, of a prior above 0.
    temperature : float, default=1.0
        Divisor of the joint log-probabilities.

    Returns
    -------
    ndarray of shape (N, H, W)
        Nats, in the order of rows: their sum is the change of the log-probability of the class from the prior
        to the posterior, both at this temperature.
    """
    n_images, n_classes, height, width = table.shape
    steps = table.reshape(n_images, n_classes, height * width) / temperature
    with np.errstate(divide="ignore"):  # a prior of 0 is log-probability -inf
        start = np.broadcast_to(np.log(prior)[None, :, None] / temperature, (n_images, n_classes, 1))
    joint = np.concatenate([start, start + steps.cumsum(axis=-1)], axis=-1)
    posterior = joint[np.arange(n_images), codes] - logsumexp(joint, axis=1)
    return np.diff(posterior, axis=-1).reshape(n_images, height, width)


def evidence_against(table: Array, codes: Codes, others: Codes, temperature: float = 1.0) -> Array:
    """Return the evidence of each pixel for a class against one different class of each image.

    Parameters
    ----------
    table : ndarray of shape (N, K, H, W)
        log p(pixel | previous pixels, c), nats.
    codes, others : ndarray of shape (N,)
        Classes, from 0 to K - 1.
    temperature : float, default=1.0
        Divisor of the log-probabilities.

    Returns
    -------
    ndarray of shape (N, H, W)
        Nats: their sum is the change of the log-odds of the two classes.
    """
    images = np.arange(len(table))
    return (table[images, codes] - table[images, others]) / temperature
