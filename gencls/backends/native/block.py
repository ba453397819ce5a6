"""A gated residual block as one differentiable function.

Autograd records one step instead of dozens, which saves most of the time for small images.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int64
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .calls import addresses, call
from .functions import factor_of_kept, n_dropped

__all__ = ["Effect", "Filters", "gated_block"]


class Filters(NamedTuple):
    """The weights and biases of the layers of a block; those of its shortcut are None without shortcuts."""

    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor
    shortcut: Tensor | None = None
    shortcut_bias: Tensor | None = None


class Effect(NamedTuple):
    """A modulation of every image: scale and shift (G, N, F, 1, 1), L (G, N, F, R) and R (G, N, R, F)."""

    scale: Tensor | None = None
    shift: Tensor | None = None
    left: Tensor | None = None
    right: Tensor | None = None


def gated_block(
    features: Tensor,
    activated: Tensor,
    shortcuts: Sequence[Tensor],
    filters: Filters,
    first: Effect,
    second: Effect,
    *,
    left: int,
    dropout: float = 0.0,
    key: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return the result of a gated residual block, (G, N, F, H, W), and its concat-ELU.

    Parameters
    ----------
    features, activated : Tensor of shape (G, N, F, H, W) and (G, N, 2F, H, W)
        The input and its concat-ELU.
    shortcuts : sequence of Tensor of shape (G, N, 2F, H, W) or (1, N, 2F, H, W)
        Activated features, at most two; all groups may share them.
    filters : Filters
    first, second : Effect
    left : int
        Columns of the filters before the current one.
    dropout, key : float and int
        See `gencls.backends.native.functions.activate`.
    """
    settings = Settings(left, n_dropped(dropout), key, torch.is_grad_enabled())
    operands = features, activated, *filters, *first, *second, *shortcuts
    found: tuple[Tensor, Tensor] = _Block.apply(settings, *operands)
    return found


class Settings(NamedTuple):
    """What is not differentiated: columns of the filters before the current one, and dropout."""

    left: int
    n_dropped: int
    key: int
    recorded: bool  # whether a gradient may be wanted


class _Block(torch.autograd.Function):
    """The kernel takes operands and intermediate results in the order of `Block` and `Kept`."""

    @staticmethod
    def forward(
        ctx: Any, settings: Settings, features: Tensor, activated: Tensor, *operands: Any
    ) -> tuple[Tensor, Tensor]:
        filters, first, second = Filters(*operands[:6]), Effect(*operands[6:10]), Effect(*operands[10:14])
        shortcuts = operands[14:]
        inputs: list[Any] = [
            *(_images(features), _images(activated)),
            *(
                filters.first.contiguous(),
                filters.first_bias,
                filters.second.contiguous(),
                filters.second_bias,
            ),
            *(*_of_images(first), *_of_images(second)),
            filters.shortcut_bias,
            *_filled(_parts(filters.shortcut, len(shortcuts))),
            *_filled([_images(each) for each in shortcuts]),
        ]
        ranks = [0 if each.right is None else each.right.shape[2] for each in (first, second)]
        kept = (_kept if settings.recorded else _passing)(inputs[0], ranks, bool(shortcuts))
        kept += torch.empty_like(inputs[0]), torch.empty_like(inputs[1])
        n_images, height, width, channels = inputs[0].shape
        sizes = n_images, height, width, channels, filters.first.shape[3], settings.left, *ranks
        sizes = *sizes, features.shape[1], settings.n_dropped, settings.key
        sizes = *sizes, *(0 if each is None else len(each) for each in inputs[-2:])
        ctx.numbers = (c_int64 * len(sizes))(*sizes), factor_of_kept(settings.n_dropped)
        ctx.workspace = n_images * height * width * (4 * channels + max(ranks))
        call("block", addresses(inputs), addresses(kept), *ctx.numbers)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *kept)
        ctx.n_inputs, ctx.shortcuts = len(inputs), [each.shape[:2] for each in shortcuts]
        ctx.groups, ctx.effects = (
            features.shape[:2],
            [None if each is None else each.shape for each in operands[6:14]],
        )
        return _grouped(kept[-2], ctx.groups), _grouped(kept[-1], ctx.groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        saved = ctx.saved_tensors
        inputs, kept = saved[: ctx.n_inputs], saved[ctx.n_inputs :]
        found: list[Any] = [None if each is None else torch.empty_like(each) for each in inputs]
        given = [None if each is None else _images(each) for each in gradients]
        workspace = inputs[0].new_empty(ctx.workspace)
        call(
            "block_gradient",
            addresses(inputs),
            addresses(kept),
            *ctx.numbers,
            *given,
            addresses(found),
            workspace,
        )
        features, activated, *filters = found[:6]
        effects, (bias, *weights), shortcuts = found[6:14], found[14:17], found[17:]
        return (
            None,
            *(_grouped(each, ctx.groups) for each in (features, activated)),
            *filters,
            _joined(weights[: len(ctx.shortcuts)]),
            bias,
            *(
                None if each is None else (each.mT if number % 4 == 2 else each).reshape(shape)
                for number, (each, shape) in enumerate(zip(effects, ctx.effects, strict=True))
            ),
            *(_grouped(each, groups) for each, groups in zip(shortcuts, ctx.shortcuts, strict=False)),
        )


def _images(features: Tensor) -> Tensor:
    """(G, N, F, H, W) as (B, H, W, F)."""
    return features.movedim(-3, -1).flatten(0, 1).contiguous()


def _grouped(values: Tensor, groups: Sequence[int]) -> Tensor:
    """(B, H, W, F) as (G, N, F, H, W)."""
    return values.unflatten(0, groups).movedim(-1, -3)


def _of_images(effect: Effect) -> list[Tensor | None]:
    """Scale and shift (B, F), the transpose of L (B, R, F), and R (B, R, F)."""
    parts = [None if each is None else each.flatten(0, 1) for each in effect]
    parts[2] = None if parts[2] is None else parts[2].mT
    return [None if each is None else each.contiguous() for each in parts]


def _parts(shortcut: Tensor | None, number: int) -> list[Tensor]:
    """The weights of each part of a shortcut, (F, 2F); see `ShortcutConv2d`."""
    if shortcut is None:
        return []
    return [each.flatten(1) for each in shortcut.unflatten(1, (2, number, -1)).unbind(2)]


def _joined(parts: list[Tensor]) -> Tensor | None:
    """The reverse of `_parts`."""
    if not parts:
        return None
    return torch.stack([each.unflatten(1, (2, -1)) for each in parts], dim=2).flatten(1)[..., None, None]


def _filled(tensors: list[Tensor]) -> list[Tensor | None]:
    """Two tensors or None."""
    return [*tensors, *[None] * (2 - len(tensors))]


def _kept(features: Tensor, ranks: Sequence[int], joins: bool) -> list[Any]:
    """Memory for all intermediate results; without a linear map, its result is its input."""
    *positions, channels = features.shape
    kept: list[Any] = []
    for rank, size in zip(ranks, (channels, 2 * channels), strict=True):
        hidden = features.new_empty(*positions, size)
        mixed, inner = (
            (torch.empty_like(hidden), features.new_empty(*positions, rank)) if rank else (hidden, None)
        )
        kept += hidden, mixed, inner
        if size == channels:
            kept += (
                torch.empty_like(features) if joins else None,
                features.new_empty(*positions, 2 * channels),
            )
    return kept


def _passing(features: Tensor, ranks: Sequence[int], joins: bool) -> list[Any]:
    """Less memory for the same, where later results may overwrite earlier ones."""
    hidden, dropped = features.new_empty(2, 2, features.numel())
    inner = features.new_empty(features.numel() // features.shape[-1], max(ranks))
    return [hidden[0], hidden[0], inner, hidden[1] if joins else None, dropped, hidden, hidden, inner]
