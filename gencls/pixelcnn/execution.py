"""How a forward pass computes, which is decided once for all of its layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Execution"]


@dataclass(frozen=True)
class Execution:
    """How one forward pass computes.

    Attributes
    ----------
    compiled : bool
        Whether compiled kernels compute the blocks.
    dtype : torch.dtype or None
        Of the features; None is that of the weights. Weights and likelihood keep theirs.
    dropout : float
        Probability of dropping a feature, from 0 to below 1.
    checkpointed : bool
        Whether the backward pass computes the features of each block a second time, so that they need not be
        kept (Chen et al. 2016).
    generator : torch.Generator or None
        Source of random numbers for dropout, and for conditioners that draw, on the CPU; None is torch's own
        stream.
    """

    compiled: bool = False
    dtype: torch.dtype | None = None
    dropout: float = 0.0
    checkpointed: bool = False
    generator: torch.Generator | None = None
