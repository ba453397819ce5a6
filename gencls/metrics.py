"""Bits per dimension, and scorers for scikit-learn's model selection."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["bits_per_dim", "neg_bits_per_dim_scorer"]


def bits_per_dim(log_likelihood: ArrayLike, n_dimensions: int) -> float:
    """Average bits per dimension: -log p / (C · H · W · ln 2).

    Parameters
    ----------
    log_likelihood : array-like of shape (N,)
        Nats per image.
    n_dimensions : int
        C · H · W.

    Returns
    -------
    float
        Lower is better; log2(L) is what equally likely levels cost.
    """
    return float(-np.mean(np.asarray(log_likelihood)) / (n_dimensions * math.log(2)))


def neg_bits_per_dim_scorer(estimator: Any, X: ArrayLike, y: ArrayLike | None = None) -> float:
    """Negative bits per dimension of p(x | y), or of p(x) without y: a scorer, larger is better.

    Examples
    --------
    ``GridSearchCV(clf, grid, scoring=neg_bits_per_dim_scorer)``
    """
    return -float(estimator.bits_per_dim(X, y))
