"""Pointwise operations, between the convolutions.

On a CPU they take half of the time, mostly for memory access. Where a compiler is available,
`gencls.backends.compilation.fused` compiles each function to one kernel.

Features have the shape (G, N, H, W, F) here, as in memory: compilers generate slow kernels for permuted
tensors. `channels_last` converts from (G, N, F, H, W), and `channels_first` converts back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backends.random_numbers import new_generator

__all__ = [
    "activate",
    "channels_first",
    "channels_last",
    "concat_elu",
    "dropout_mask",
    "gate",
    "scale_and_shift",
]

N_BITS = 16  # random bits for each feature that may be dropped


@overload
def channels_last(features: Tensor) -> Tensor: ...
@overload
def channels_last(features: Tensor | None) -> Tensor | None: ...
def channels_last(features: Tensor | None) -> Tensor | None:
    """Features (..., F, H, W) with the channels last: (..., H, W, F)."""
    return None if features is None else features.movedim(-3, -1)


def channels_first(features: Tensor) -> Tensor:
    """Features (..., H, W, F) with the channels first: (..., F, H, W)."""
    return features.movedim(-1, -3)


def concat_elu(features: Tensor) -> Tensor:
    """ELU of x and of -x, concatenated: (..., F) becomes (..., 2F) (Salimans et al. 2017)."""
    return F.elu(torch.cat([features, -features], dim=-1), inplace=True)


def scale_and_shift(features: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    """Scale, then shift, by tensors that broadcast."""
    if scale is not None:
        features = features * scale.to(features.dtype)
    if shift is not None:
        features = features + shift.to(features.dtype)
    return features


def activate(
    hidden: Tensor,
    size: tuple[int, int],
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    shortcut: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """The input of the second convolution of a gated residual block, from the results of the first.

    Parameters
    ----------
    hidden : Tensor of shape (G, N, H or more, W or more, F)
        Positions beyond `size` are ignored.
    size : tuple of int
        H and W.
    scale, shift, shortcut : Tensor, optional
        Applied to `hidden` in this order; they broadcast.
    kept : Tensor, optional
        From `dropout_mask`: a factor for each feature of the result.

    Returns
    -------
    Tensor of shape (G, N, H, W, 2F)
    """
    hidden = scale_and_shift(_cut(hidden, size), scale, shift)
    activated = concat_elu(hidden if shortcut is None else hidden + shortcut)
    return activated if kept is None else activated * kept


def gate(
    features: Tensor, hidden: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """The result of a gated residual block: its input (G, N, H, W, F), plus (G, N, H, W, 2F) gated.

    Positions of `hidden` beyond H and W are ignored.
    """
    hidden = scale_and_shift(_cut(hidden, features.shape[-3:-1]), scale, shift)
    values, gates = hidden.chunk(2, dim=-1)
    return features + values * torch.sigmoid(gates.contiguous())  # slow if not contiguous


def dropout_mask(shape: Sequence[int], probability: float, key: int, like: Tensor) -> Tensor:
    """Factors that drop single features, and scale up the rest (Srivastava et al. 2014).

    The probability is rounded to a multiple of 1 / 65,536. As random numbers take most of the time on a CPU,
    each feature uses only 16 bits, drawn 64 at once.

    Parameters
    ----------
    shape : sequence of int
    probability : float
        Of dropping a feature.
    key : int
        The same key returns the same factors.
    like : Tensor
        The factors have its dtype and device.

    Returns
    -------
    Tensor of this shape
    """
    size = torch.Size(shape).numel()
    words = torch.empty(-(-size * N_BITS // 64), dtype=torch.int64, device=like.device)
    generator = new_generator(key, like.device)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)[:size].view(*shape)
    n_dropped = min(round(probability * 2**N_BITS), 2**N_BITS - 1)
    kept = bits.ge_(n_dropped - 2 ** (N_BITS - 1))  # in place, as numbers: faster than booleans
    return kept.to(like.dtype).mul_(2**N_BITS / (2**N_BITS - n_dropped))


def _cut(features: Tensor, size: Sequence[int]) -> Tensor:
    """The upper left (G, N, H, W, F) of larger features."""
    return features[:, :, : size[0], : size[1]]
