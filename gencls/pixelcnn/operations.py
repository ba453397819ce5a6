"""Three implementations of the gated residual block: plain torch, compiled by torch, native kernels.

All return the same results up to rounding. Inputs and results are features of shape (G, N, F, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backends import native
from ..backends.compilation import fused
from ..backends.native import functions
from ..backends.native.block import Effect, Filters, gated_block
from . import pointwise
from .layers import ShiftedConv2d, ShortcutConv2d, UpsamplingConv2d, WeightNormConv2d, weights_resolved
from .pointwise import channels_first, channels_last, dropout_mask
from .sites import Modulation

__all__ = ["Fused", "Layers", "Native", "Plain", "operations_for"]


def operations_for(features: Tensor, compiled: bool) -> Plain:
    """Select the operations for blocks with these features.

    On a CPU, plain torch is used where the native kernels do not apply: compilation by torch takes a minute
    there and does not speed up training.
    """
    if not compiled:
        return PLAIN
    if features.device.type != "cpu":
        return FUSED
    return NATIVE if features.dtype == torch.float32 and native.why_unavailable() is None else PLAIN


class Layers(NamedTuple):
    """The layers of a gated residual block."""

    first: ShiftedConv2d
    shortcut: ShortcutConv2d | None
    second: ShiftedConv2d


class Plain:
    """Plain torch operators."""

    def weights_resolved(self, network: nn.Module) -> AbstractContextManager[None]:
        """Context manager of a forward pass, which may normalise the weights of all layers together."""
        return nullcontext()

    def concat_elu(self, features: Tensor) -> Tensor:
        """ELU of x and of -x: (G, N, F, H, W) becomes (G, N, 2F, H, W)."""
        return channels_first(self._kernel(pointwise.concat_elu)(channels_last(features)))

    def convolve(self, layer: ShiftedConv2d, features: Tensor) -> Tensor:
        """Convolve; the result may have a surplus at the bottom and on the right."""
        return layer.uncut(features)

    def shrink(self, layer: ShiftedConv2d, features: Tensor) -> Tensor:
        """Halve the resolution."""
        return layer(features)

    def grow(self, layer: UpsamplingConv2d, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Double the resolution, and cut to the upper left H and W."""
        return layer(features, size)

    def join(self, layer: ShortcutConv2d, *parts: Tensor) -> Tensor:
        """Sum the results of the 1×1 convolution of a shortcut over its parts."""
        return layer(*parts)

    def activate(
        self,
        hidden: Tensor,
        size: tuple[int, int],
        modulation: Modulation,
        added: Tensor | None,
        dropout: float,
        key: int,
    ) -> Tensor:
        """Modulate the upper left H and W, add, activate, and drop features that a key selects.

        The same features are dropped in all groups of an image, so that dropout adds little noise to the
        differences between its classes.
        """
        hidden = modulation.mixed(hidden)
        _, n_images, channels, _, _ = hidden.shape
        kept = dropout_mask((1, n_images, *size, 2 * channels), dropout, key, hidden) if dropout else None
        scale, shift, added = map(channels_last, (modulation.scale, modulation.shift, added))
        activated = self._kernel(pointwise.activate)(channels_last(hidden), size, scale, shift, added, kept)
        return channels_first(activated)

    def block(
        self,
        layers: Layers,
        features: Tensor,
        activated: Tensor,
        shortcuts: list[Tensor],
        first: Modulation,
        second: Modulation,
        *,
        dropout: float,
        key: int,
    ) -> tuple[Tensor, Tensor | None]:
        """A gated residual block: its result (G, N, F, H, W), and the concat-ELU of the result or None.

        `activated` is the concat-ELU of the input `features`, and `shortcuts` are activated features.
        """
        hidden = self.convolve(layers.first, activated)
        added = None if layers.shortcut is None else self.join(layers.shortcut, *shortcuts)
        height, width = features.shape[-2:]
        hidden = self.activate(hidden, (height, width), first, added, dropout, key)
        return self.gate(features, self.convolve(layers.second, hidden), second), None

    def gate(self, features: Tensor, hidden: Tensor, modulation: Modulation) -> Tensor:
        """Modulate the upper left H and W, gate half of the channels by the other half, add the features."""
        features, hidden = channels_last(features), channels_last(modulation.mixed(hidden))
        scale, shift = channels_last(modulation.scale), channels_last(modulation.shift)
        return channels_first(self._kernel(pointwise.gate)(features, hidden, scale, shift))

    def _kernel(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return function


class Fused(Plain):
    """Torch compiles the operators between the convolutions, one kernel for each part."""

    def _kernel(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return fused(function)


class Native(Plain):
    """Native kernels for all operations, for features in float32 on a CPU."""

    def weights_resolved(self, network: nn.Module) -> AbstractContextManager[None]:
        return weights_resolved(network, _normalised)

    def block(
        self,
        layers: Layers,
        features: Tensor,
        activated: Tensor,
        shortcuts: list[Tensor],
        first: Modulation,
        second: Modulation,
        *,
        dropout: float,
        key: int,
    ) -> tuple[Tensor, Tensor | None]:
        """One step of autograd, unless maps over positions or different numbers of groups meet."""
        effects = _effect(first), _effect(second)
        if not _alike(features, shortcuts, effects):
            return super().block(
                layers, features, activated, shortcuts, first, second, dropout=dropout, key=key
            )
        weights: list[Any] = []
        for layer in (layers.first.conv, layers.second.conv, layers.shortcut):
            weights += (None, None) if layer is None else (layer.current_weight(), layer.bias)
        left = layers.first.padding[1]
        return gated_block(
            features, activated, shortcuts, Filters(*weights), *effects, left=left, dropout=dropout, key=key
        )

    def concat_elu(self, features: Tensor) -> Tensor:
        return _grouped(functions.concat_elu(_images(features)), features)

    def convolve(self, layer: ShiftedConv2d, features: Tensor) -> Tensor:
        weight, bias = layer.conv.current_weight(), layer.conv.bias
        return _grouped(functions.convolve(_images(features), weight, bias, layer.padding[1]), features)

    def shrink(self, layer: ShiftedConv2d, features: Tensor) -> Tensor:
        """Sum over the positions of the filter, each of which reads every other row and column."""
        weight, images = layer.conv.current_weight(), _images(features)
        height, width = (-(-size // 2) for size in images.shape[1:3])
        n_rows, n_columns = weight.shape[2:]
        padded = F.pad(images, (0, 0, 1, 2, 1, 1))
        positions = [(row, column) for row in range(n_rows) for column in range(n_columns)]
        seen = [padded[:, r : r + 2 * height : 2, c : c + 2 * width : 2].contiguous() for r, c in positions]
        weights = [weight[:, :, row, column] for row, column in positions]
        return _grouped(functions.linear(weights, layer.conv.bias, seen), features)

    def grow(self, layer: UpsamplingConv2d, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Each position becomes 2×2; a filter of three columns also reads the position to its right."""
        weight, images = layer.conv.current_weight().permute(2, 3, 0, 1), _images(features)
        weights, seen = [weight[:, -2:].flatten(0, 2)], [images]
        if layer.left:
            weights.append(F.pad(weight[:, :1], (0, 0, 0, 0, 1, 0)).flatten(0, 2))
            seen.append(F.pad(images[:, :, 1:], (0, 0, 0, 1)))
        out = functions.linear(weights, layer.conv.bias.repeat(4), seen)
        out = out.unflatten(-1, (2, 2, -1)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return _grouped(out[:, : size[0], : size[1]], features)

    def join(self, layer: ShortcutConv2d, *parts: Tensor) -> Tensor:
        weights = [weight[..., 0, 0] for weight in layer.weights_of_parts()]
        if len({part.shape for part in parts}) == 1:
            return _grouped(functions.linear(weights, layer.bias, list(map(_images, parts))), parts[0])
        biases = [layer.bias] + [torch.zeros_like(layer.bias)] * (len(parts) - 1)
        joined = (
            _grouped(functions.linear([weight], bias, [_images(part)]), part)
            for weight, bias, part in zip(weights, biases, parts, strict=True)
        )
        return reduce(torch.add, joined)

    def activate(
        self,
        hidden: Tensor,
        size: tuple[int, int],
        modulation: Modulation,
        added: Tensor | None,
        dropout: float,
        key: int,
    ) -> Tensor:
        hidden, scale, shift = _prepared(hidden[..., : size[0], : size[1]], modulation)
        if added is not None and added.shape != hidden.shape:
            shape = torch.broadcast_shapes(added.shape, hidden.shape)
            hidden, added = hidden.expand(shape), added.expand(shape)
            scale, shift = (_to_images(each, shape) for each in (scale, shift))
        activated = functions.activate(
            _images(hidden),
            _flat(scale),
            _flat(shift),
            None if added is None else _images(added),
            dropout=dropout,
            key=key,
            n_different=hidden.shape[1],
        )
        return _grouped(activated, hidden)

    def gate(self, features: Tensor, hidden: Tensor, modulation: Modulation) -> Tensor:
        height, width = features.shape[-2:]
        hidden, scale, shift = _prepared(hidden[..., :height, :width], modulation)
        alike = features.shape[:2] == hidden.shape[:2]
        before = _images(features) if alike else None
        gated = _grouped(functions.gate(before, _images(hidden), _flat(scale), _flat(shift)), hidden)
        return gated if alike else features + gated


PLAIN, FUSED, NATIVE = Plain(), Fused(), Native()


def _normalised(layers: list[WeightNormConv2d]) -> Sequence[Tensor]:
    return functions.normalise([each.direction for each in layers], [each.gain for each in layers])


def _effect(modulation: Modulation) -> Effect:
    return Effect(modulation.scale, modulation.shift, *(modulation.mix or ()))


def _alike(features: Tensor, shortcuts: list[Tensor], effects: tuple[Effect, Effect]) -> bool:
    """Whether modulations have the groups of the features and no positions, and shortcuts these or one."""
    groups, channels = features.shape[:2], features.shape[2]
    if any(each.shape[0] not in (1, groups[0]) for each in shortcuts):
        return False
    for effect, size in zip(effects, (channels, 2 * channels), strict=True):
        for part in effect:
            if part is not None and (part.shape[:2] != groups or part.dtype != torch.float32):
                return False
        for part in (effect.scale, effect.shift):
            if part is not None and part.shape[2:] != (size, 1, 1):
                return False
    return True


def _prepared(hidden: Tensor, modulation: Modulation) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Features, and the remaining scale and shift for each image of each group: (G, N, F, 1, 1).

    Operations that the kernels do not support are applied here: linear maps, maps over positions, and the
    step from one group of features to several.
    """
    hidden = _mixed(hidden, modulation.mix)
    scale, shift = modulation.scale, modulation.shift
    parts = [part for part in (scale, shift) if part is not None]
    if any(part.shape[-2:] != (1, 1) or part.shape[0] > hidden.shape[0] for part in parts):
        return pointwise.scale_and_shift(hidden, scale, shift), None, None
    scale, shift = (_to_images(each, hidden.shape) for each in (scale, shift))
    return hidden, scale, shift


def _mixed(hidden: Tensor, mix: tuple[Tensor, Tensor] | None) -> Tensor:
    """See `Modulation.mixed`."""
    if mix is None:
        return hidden
    groups = torch.broadcast_shapes(hidden.shape[:2], mix[0].shape[:2])
    hidden = hidden.expand(*groups, -1, -1, -1)
    left, right = (part.expand(*groups, -1, -1).flatten(0, 1).float().contiguous() for part in mix)
    return _grouped(functions.mix(_images(hidden), left, right), hidden)


def _to_images(part: Tensor | None, shape: torch.Size) -> Tensor | None:
    """A scale or shift for each feature of each image of each group."""
    return None if part is None else part.expand(*shape[:3], 1, 1)


def _flat(part: Tensor | None) -> Tensor | None:
    """(G, N, F, 1, 1) as (B, F), in float32 for any dtype of the conditioner."""
    return None if part is None else part.flatten(0, 1)[..., 0, 0].float().contiguous()


def _images(features: Tensor) -> Tensor:
    """(G, N, F, H, W) as (B, H, W, F)."""
    return channels_last(features).flatten(0, 1).contiguous()


def _grouped(images: Tensor, like: Tensor) -> Tensor:
    """(B, H, W, F) as (G, N, F, H, W)."""
    return channels_first(images.unflatten(0, like.shape[:2]))
