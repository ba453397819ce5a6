r"""Images that are equally likely mirrored left to right.

.. math::
    p(x \mid c) = \tfrac12\, q(x \mid c) + \tfrac12\, q(\bar x \mid c)

where q is the density of the network and a bar mirrors an image. Levels are (N, C, H, W) throughout.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["log_mean_exp", "mirror", "mirror_at_random", "mirror_where"]


def mirror(levels: Tensor) -> Tensor:
    """All images, left to right."""
    return levels.flip(-1)


def mirror_where(levels: Tensor, chosen: Tensor) -> Tensor:
    """The images that are chosen, a bool for each (N,), mirrored; the others as they are."""
    return torch.where(chosen[:, None, None, None], mirror(levels), levels)


def mirror_at_random(levels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Flip every image with probability 1/2, by a generator on the CPU or by torch's own stream."""
    return mirror_where(levels, (torch.rand(len(levels), generator=generator) < 0.5).to(levels.device))


def log_mean_exp(one: Tensor, other: Tensor) -> Tensor:
    """The logarithm of the mean of two probabilities that are given as logarithms; exactly symmetric."""
    return torch.logaddexp(one, other) - math.log(2)
