"""Early exit: the most probable class, without full scores of classes that are far less probable half-way.

The network models an image row by row, so that the probability of its upper half is exact, at half the cost.
A class that is far less probable than the best one for the upper half is rarely the best one for the whole
image.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .scoring import Scorer

__all__ = ["most_probable"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def most_probable(scorer: Scorer, levels: Tensor, margin: float | None = None) -> Codes:
    """The class with the largest joint probability for each image, exactly or by an early exit.

    Parameters
    ----------
    scorer : Scorer
    levels : Tensor of shape (N, C, H, W)
    margin : float, optional
        Nats, above 0: a class is dropped if its joint log-probability of the upper half of the rows is below
        that of the best class by more than this. None or infinity drops no class, and scores images only
        once.

    Returns
    -------
    ndarray of shape (N,)
        From 0 to K - 1; the first of equally probable classes.
    """
    n_rows = levels.shape[2] // 2
    if margin is None or margin == np.inf or n_rows == 0:
        return _best(scorer.joint(levels))
    half_way = scorer.joint(levels, n_rows)
    n_left = _sizes(half_way, margin)
    codes = _best(half_way)
    for size in np.unique(n_left[n_left > 1]):
        chosen = np.flatnonzero(n_left == size)
        codes[chosen] = _decide(scorer, levels[torch.from_numpy(chosen)], half_way[chosen], size)
    return codes


def _sizes(half_way: Floats, margin: float) -> Codes:
    """Number of remaining classes of each image, (N,), rounded up to a power of 2 for batches."""
    n_left = (half_way >= half_way.max(axis=1, keepdims=True) - margin).sum(axis=1)
    return np.minimum(2 ** np.ceil(np.log2(n_left)).astype(np.int64), half_way.shape[1])


def _decide(scorer: Scorer, levels: Tensor, half_way: Floats, size: int) -> Codes:
    """The most probable class among the `size` best ones half-way of each image."""
    if size == half_way.shape[1]:
        return _best(scorer.joint(levels))
    left = np.sort(np.argsort(-half_way, axis=1, kind="stable")[:, :size], axis=1)
    best = _best(scorer.joint(levels, candidates=left))
    return left[np.arange(len(left)), best]


def _best(joint: Floats) -> Codes:
    return joint.argmax(axis=1)
