"""What is computed of every feature by itself, between the convolutions.

On a CPU that takes half of the time, most of it on the way to memory and back. Each function here is one
kernel where a compiler is at hand; `fused` gives it compiled.

Features have the shape (G, N, F, H, W), with the channels last in memory; see `layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["activate", "concat_elu", "drop", "fused", "gate", "random_bits", "scale_and_shift"]

N_BITS = 16  # of chance for each feature that may be dropped


@cache
def fused(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function as one kernel, for all sizes; it is compiled when it is first called."""
    return torch.compile(function, dynamic=True)


def concat_elu(features: Tensor) -> Tensor:
    """ELU of x and of -x, side by side: (..., F, H, W) becomes (..., 2F, H, W) (Salimans et al. 2017)."""
    images = features.flatten(0, 1)
    return F.elu(torch.cat([images, -images], dim=1), inplace=True).unflatten(0, features.shape[:2])


def scale_and_shift(features: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    """Scale, then shift, by what broadcasts."""
    if scale is not None:
        features = features * scale.to(features.dtype)
    if shift is not None:
        features = features + shift.to(features.dtype)
    return features


def activate(
    hidden: Tensor,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    shortcut: Tensor | None = None,
    bits: Tensor | None = None,
    probability: float = 0.0,
) -> Tensor:
    """What goes into the second convolution of a gated residual block, from the results of the first.

    Parameters
    ----------
    hidden : Tensor of shape (G, N, F, H, W)
    scale, shift, shortcut : Tensor, optional
        Applied to `hidden` in this order; they broadcast.
    bits : Tensor, optional
        Of `random_bits`, for the result's features: what to drop; None drops nothing.
    probability : float
        Of dropping a feature.

    Returns
    -------
    Tensor of shape (G, N, 2F, H, W)
    """
    hidden = scale_and_shift(hidden, scale, shift)
    activated = concat_elu(hidden if shortcut is None else hidden + shortcut)
    return activated if bits is None else drop(activated, bits, probability)


def gate(
    features: Tensor, hidden: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """What comes out of a gated residual block: its input (G, N, F, H, W), and (G, N, 2F, H, W) gated."""
    return features + F.glu(scale_and_shift(hidden, scale, shift), dim=-3)


def random_bits(shape: Sequence[int], device: torch.device) -> Tensor:
    """Chance for dropping features (N, F, H, W): 16 bits for each, drawn 64 at once.

    Drawing them is what takes the time on a CPU.

    Returns
    -------
    Tensor of shape (1, N, F, H, W)
        int16.
    """
    n_images, channels, height, width = shape
    size = n_images * height * width * channels
    words = torch.empty(-(-size * N_BITS // 64), dtype=torch.int64, device=device).random_(-(2**63), None)
    channels_last = words.view(torch.int16)[:size].view(1, n_images, height, width, channels)
    return channels_last.movedim(-1, 2)


def drop(features: Tensor, bits: Tensor, probability: float) -> Tensor:
    """Drop single features, and scale the others up (Srivastava et al. 2014).

    All groups of an image lose the same features, so that chance adds little to how its classes differ. The
    probability is rounded to a multiple of 1 / 65,536.
    """
    n_dropped = min(round(probability * 2**N_BITS), 2**N_BITS - 1)
    kept = bits >= n_dropped - 2 ** (N_BITS - 1)
    return features * kept.to(features.dtype).mul_(2**N_BITS / (2**N_BITS - n_dropped))
