"""The settings of a forward pass, which are chosen once for all of its layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Execution"]


@dataclass(frozen=True)
class Execution:
    """The settings of one forward pass.

    Attributes
    ----------
    compiled : bool
        Whether compiled kernels compute the blocks.
    dtype : torch.dtype or None
        Dtype of the features; None is that of the weights. The weights and the likelihood keep their own
        dtype.
    dropout : float
        Probability of dropping a feature, from 0 to below 1.
    checkpointed : bool
        Whether the backward pass computes the features of each block a second time, which saves memory (Chen
        et al. 2016).
    generator : torch.Generator or None
        Source of random numbers for dropout and for random conditioners, on the CPU; None is torch's default
        generator.
    """

    compiled: bool = False
    dtype: torch.dtype | None = None
    dropout: float = 0.0
    checkpointed: bool = False
    generator: torch.Generator | None = None
