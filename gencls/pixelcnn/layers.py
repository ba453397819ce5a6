"""Causal convolutions with weight normalisation.

Features carry a leading *group* axis: their shape is (G, N, F, H, W), where G is 1 for features that all
classes share and K where each class has features of its own. A convolution folds the groups into the batch;
everything else broadcasts. In memory the channels come last, the fastest layout for convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "ShiftedConv2d",
    "ShortcutConv2d",
    "UpsamplingConv2d",
    "WeightNormConv2d",
    "data_dependent_init",
    "weights_resolved",
]

Stream = Literal["vertical", "horizontal"]
SMALLEST_STD = 0.2


class WeightNormConv2d(nn.Module):
    r"""A convolution with the weights :math:`g\,v / \lVert v \rVert` (Salimans and Kingma 2016).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : tuple of int
        Rows and columns.
    init_scale : float, default=1.0
        Standard deviation of the outputs after :func:`data_dependent_init`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int] = (1, 1),
        init_scale: float = 1.0,
    ):
        super().__init__()
        self.kernel_size = kernel_size
        self.init_scale = init_scale
        self.direction = nn.Parameter(0.05 * torch.randn(out_channels, in_channels, *kernel_size))
        self.gain = nn.Parameter(torch.ones(out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.resolved: Tensor | None = None  # the weights within `weights_resolved`

    @property
    def weight(self) -> Tensor:
        """The normalised weights, (out, in, rows, columns)."""
        return torch._weight_norm(self.direction, self.gain[:, None, None, None], 0)

    def current_weight(self) -> Tensor:
        """The normalised weights, computed at each call except within `weights_resolved`."""
        return self.weight if self.resolved is None else self.resolved

    def forward(
        self, features: Tensor, stride: int = 1, padding: tuple[int, int] = (0, 0), transposed: bool = False
    ) -> Tensor:
        """Convolve (G, N, in, H, W)."""
        images = features.flatten(0, 1)
        if stride > 1:  # bfloat16 on CPUs is slow if transposed, else wrong for one column
            images = images.to(self.bias.dtype)
        weight, bias = self.current_weight().to(images.dtype), self.bias.to(images.dtype)
        if transposed:
            out = F.conv_transpose2d(images, weight.transpose(0, 1), bias, stride)
        else:
            out = F.conv2d(images, weight, bias, stride, padding)
        return out.to(features.dtype).unflatten(0, features.shape[:2])


class ShortcutConv2d(WeightNormConv2d):
    """A 1×1 convolution of several activated features, as if they had been concatenated before activation.

    Parameters
    ----------
    n_parts : int
        Number of parts.
    channels : int
        Channels of each part before its activation, and of the result.
    """

    def __init__(self, n_parts: int, channels: int):
        super().__init__(2 * n_parts * channels, channels)
        self.n_parts = n_parts

    def forward(self, *parts: Tensor) -> Tensor:  # type: ignore[override]
        """Convolve parts (G, N, 2F, H, W) to the sum (G, N, F, H, W)."""
        results: list[Tensor] = []
        for part, weight in zip(parts, self.weights_of_parts(), strict=True):
            bias = None if results else self.bias.to(part.dtype)
            out = F.conv2d(part.flatten(0, 1), weight.to(part.dtype), bias)
            results.append(out.unflatten(0, part.shape[:2]))
        return reduce(torch.add, results)

    def weights_of_parts(self) -> list[Tensor]:
        """The normalised weights of each part, (out, 2F, 1, 1)."""
        # The concat-ELU of the concatenation (v, p) has the channels (v, p, -v, -p).
        parts = self.current_weight().unflatten(1, (2, self.n_parts, -1)).unbind(2)
        return [weight.flatten(1, 2) for weight in parts]


class ShiftedConv2d(nn.Module):
    """A convolution whose filter ends at the current pixel (Salimans et al. 2017, the two streams).

    Parameters
    ----------
    stream : {"vertical", "horizontal"}
        A vertical filter covers the rows up to the current one and is centred in its columns; a horizontal
        filter covers the rows and the columns up to the current ones.
    in_channels, out_channels : int
    kernel_size : tuple of int
        Rows and columns; the columns of a vertical filter are odd.
    stride : int, default=1
        2 halves the resolution, rounding up.
    shift : {None, "down", "right"}, default=None
        Shift the result by one row or column, filled with 0, so that it does not depend on the current row or
        pixel.
    init_scale : float, default=1.0
    """

    def __init__(
        self,
        stream: Stream,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        *,
        stride: int = 1,
        shift: Literal["down", "right"] | None = None,
        init_scale: float = 1.0,
    ):
        super().__init__()
        rows, columns = kernel_size
        self.padding = (rows - 1, columns // 2 if stream == "vertical" else columns - 1)
        self.stride = stride
        self.shift = shift
        self.conv = WeightNormConv2d(in_channels, out_channels, kernel_size, init_scale)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (G, N, in, H, W) to (G, N, out, ⌈H / stride⌉, ⌈W / stride⌉)."""
        height, width = (-(-size // self.stride) for size in features.shape[-2:])
        out = self.uncut(features)[..., :height, :width]
        if self.shift is None:
            return out
        padding = (0, 0, 1, -1) if self.shift == "down" else (1, -1)
        return F.pad(out.flatten(0, 1), padding).unflatten(0, out.shape[:2])

    def uncut(self, features: Tensor) -> Tensor:
        """Convolve without the shift; padding leaves a surplus at the bottom and on the right."""
        out: Tensor = self.conv(features, self.stride, self.padding)
        return out


class UpsamplingConv2d(nn.Module):
    """A causal transposed convolution that doubles the resolution (Salimans et al. 2017).

    Low-resolution row i depends on image rows before 2i only, and contributes to rows 2i and 2i + 1. The same
    holds for the columns of the horizontal stream.

    Parameters
    ----------
    stream : {"vertical", "horizontal"}
    channels : int
    """

    def __init__(self, stream: Stream, channels: int):
        super().__init__()
        self.left = 1 if stream == "vertical" else 0
        self.conv = WeightNormConv2d(channels, channels, (2, 3) if stream == "vertical" else (2, 2))

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Enlarge (G, N, F, h, w) to (G, N, F, *size), with h = ⌈size[0] / 2⌉ and w = ⌈size[1] / 2⌉."""
        height, width = size
        out = self.conv(features, stride=2, transposed=True)
        return out[..., :height, self.left : self.left + width]


def _each_weight(layers: list[WeightNormConv2d]) -> Sequence[Tensor]:
    return [layer.weight for layer in layers]


@contextmanager
def weights_resolved(
    network: nn.Module, normalise: Callable[[list[WeightNormConv2d]], Sequence[Tensor]] = _each_weight
) -> Iterator[None]:
    """Context manager that normalises weights once, not in each pass; they must not change within.

    Inside another such context manager, it has no effect.

    Parameters
    ----------
    network : Module
    normalise : callable, optional
        Returns the weights of layers.
    """
    layers = [module for module in network.modules() if isinstance(module, WeightNormConv2d)]
    layers = [layer for layer in layers if layer.resolved is None]
    for layer, weight in zip(layers, normalise(layers) if layers else [], strict=True):
        layer.resolved = weight
    try:
        yield
    finally:
        for layer in layers:
            layer.resolved = None


@contextmanager
def data_dependent_init(network: nn.Module) -> Iterator[None]:
    """Context manager in which each weight-normalised layer is initialised by the batch it processes.

    The outputs of a layer get mean 0 and standard deviation `init_scale` in each channel (Salimans and Kingma
    2016, equation 6), over all positions, including those in the padding that are removed afterwards. The
    gain of a channel is at most ``init_scale / SMALLEST_STD``, so that channels that hardly vary over the
    batch, as for constant or tiny images, cause neither NaN nor huge gains. Run one forward pass inside; no
    gradients are recorded.
    """

    def normalise(layer: Any, _inputs: object, out: Tensor) -> Tensor:
        std, mean = torch.std_mean(out.double(), dim=(0, 1, 3, 4), correction=0)
        factor = (layer.init_scale / std.clamp(min=SMALLEST_STD)).to(out.dtype)
        mean = mean.to(out.dtype)
        layer.gain.mul_(factor)
        layer.bias.sub_(mean).mul_(factor)
        return (out - mean[:, None, None]) * factor[:, None, None]

    layers = [module for module in network.modules() if isinstance(module, WeightNormConv2d)]
    hooks = [layer.register_forward_hook(normalise) for layer in layers]
    try:
        with torch.no_grad():
            yield
    finally:
        for hook in hooks:
            hook.remove()
