"""Tables of log p(pixel | previous pixels, class), and what they say after each row of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from .posterior import log_posterior

__all__ = ["log_posterior_of_rows", "mixture_table"]

Array = NDArray[np.float64]


def mixture_table(tables: Array) -> Array:
    r"""Return the table of a mixture of densities that read the rows of an image in the same order.

    Given the rows above, a row has the exact probability of the mixture. Its pixels share it: each has the
    mean over the parts, weighted by their probabilities given the rows above, and the same share of the rest.

    Parameters
    ----------
    tables : ndarray of shape (G, ..., H, W)
        log q(pixel | previous pixels) of each part, nats, at the same pixels of the image.

    Returns
    -------
    ndarray of shape (..., H, W)
        Nats. The sum of the upper rows is the logarithm of the mean probability of these rows over the parts.
    """
    if len(tables) == 1:
        return tables[0]
    of_rows = tables.sum(axis=-1)
    upper = np.concatenate(
        [np.zeros_like(of_rows[..., :1]), of_rows.cumsum(axis=-1)], axis=-1
    )  # (G, ..., H + 1)
    exact = np.diff(logsumexp(upper, axis=0), axis=-1)
    weights = np.exp(log_softmax(upper[..., :-1], axis=0))
    shared = (weights[..., None] * tables).sum(axis=0)
    return shared + ((exact - shared.sum(axis=-1)) / tables.shape[-1])[..., None]


def log_posterior_of_rows(rows: Array, prior: Array, temperature: float = 1.0) -> Array:
    """Return log p(c | upper rows), in nats, for each number of rows.

    Parameters
    ----------
    rows : ndarray of shape (N, K, H)
        log p(row | rows above, c), nats.
    prior : ndarray of shape (K,)
        p(c).
    temperature : float, default=1.0
        See `log_posterior`.

    Returns
    -------
    ndarray of shape (H + 1, N, K)
        Given no row, one row, and so on to all rows.
    """
    steps = np.moveaxis(rows, -1, 0)  # (H, N, K)
    upper = np.concatenate([np.zeros_like(steps[:1]), steps.cumsum(axis=0)])
    with np.errstate(divide="ignore"):  # a prior of 0 is log-probability -inf
        joint = upper + np.log(prior)
    return np.stack([log_posterior(each, temperature) for each in joint])
