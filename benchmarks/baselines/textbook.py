"""A textbook PixelCNN++ with mild conditioning, to time `gencls` against: correct, plain and slow.

Written from the papers only, in the most direct way: padding in separate layers, weights normalised at every
call, one pass of the network for each class, and one full pass for each pixel that is drawn. It can copy the
weights of a `ConditionalPixelCNN`, and then returns the same likelihoods and images.

T. Salimans, A. Karpathy, X. Chen, D. P. Kingma (2017), "PixelCNN++"; S. Biswas, "Image Classification with
Conditional PixelCNN++", Algorithm 1.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from gencls import ConditionalPixelCNN
from gencls.pixelcnn.layers import WeightNormConv2d

__all__ = ["Textbook"]


def concat_elu(x: Tensor) -> Tensor:
    """ELU of x and of -x."""
    return F.elu(torch.cat([x, -x], dim=1))


class DownShifted(nn.Module):
    """A convolution over the rows up to the current one; `shift` leaves the current one out too."""

    def __init__(
        self, n_in: int, n_out: int, size: tuple[int, int] = (2, 3), stride: int = 1, shift: bool = False
    ):
        super().__init__()
        self.pad = nn.ZeroPad2d((size[1] // 2, size[1] // 2, size[0] - 1, 0))
        self.conv = weight_norm(nn.Conv2d(n_in, n_out, size, stride))
        self.shift = nn.ZeroPad2d((0, 0, 1, -1)) if shift else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Pad, convolve, shift."""
        return self.shift(self.conv(self.pad(x)))


class DownRightShifted(nn.Module):
    """A convolution over the rows and columns up to the current; `shift` leaves the current pixel out."""

    def __init__(
        self, n_in: int, n_out: int, size: tuple[int, int] = (2, 2), stride: int = 1, shift: bool = False
    ):
        super().__init__()
        self.pad = nn.ZeroPad2d((size[1] - 1, 0, size[0] - 1, 0))
        self.conv = weight_norm(nn.Conv2d(n_in, n_out, size, stride))
        self.shift = nn.ZeroPad2d((1, -1, 0, 0)) if shift else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Pad, convolve, shift."""
        return self.shift(self.conv(self.pad(x)))


class Upsample(nn.Module):
    """A transposed convolution that doubles the resolution."""

    def __init__(self, n: int, size: tuple[int, int], left: int):
        super().__init__()
        self.conv = weight_norm(nn.ConvTranspose2d(n, n, size, stride=2), dim=1)
        self.left = left

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Crop x to this height and width."""
        return self.conv(x)[:, :, :height, self.left : self.left + width]


class GatedBlock(nn.Module):
    """A gated residual block; the class adds a bias before the gate."""

    def __init__(self, conv: type[nn.Module], n: int, n_shortcut: int, n_classes: int, dropout: float):
        super().__init__()
        self.first = conv(2 * n, n)
        self.shortcut = weight_norm(nn.Conv2d(2 * n_shortcut, n, 1)) if n_shortcut else None
        self.dropout = nn.Dropout(dropout)
        self.second = conv(2 * n, 2 * n)
        self.bias = nn.Embedding(n_classes, 2 * n)

    def forward(self, x: Tensor, labels: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Map features to features of the same shape."""
        hidden = self.first(concat_elu(x))
        if self.shortcut is not None and shortcut is not None:
            hidden = hidden + self.shortcut(concat_elu(shortcut))
        hidden = self.second(self.dropout(concat_elu(hidden)))
        hidden = hidden + self.bias(labels)[:, :, None, None]
        value, gate = torch.chunk(hidden, 2, dim=1)
        return x + value * torch.sigmoid(gate)


class Stage(nn.Module):
    """The blocks of one resolution: stages 0 to 2 on the way down, 3 to 5 on the way up."""

    def __init__(self, stage: int, n_layers: int, n: int, n_classes: int, dropout: float):
        super().__init__()
        n_blocks = n_layers + (stage > 3)
        shortcuts = (0, n) if stage < 3 else (n, 2 * n)
        self.vertical, self.horizontal = (
            nn.ModuleList(GatedBlock(conv, n, shortcut, n_classes, dropout) for _ in range(n_blocks))
            for conv, shortcut in zip((DownShifted, DownRightShifted), shortcuts, strict=True)
        )
        self.resize: nn.ModuleList | None = None
        if stage in (1, 2):
            self.resize = nn.ModuleList([DownShifted(n, n, stride=2), DownRightShifted(n, n, stride=2)])
        if stage in (4, 5):
            self.resize = nn.ModuleList([Upsample(n, (2, 3), 1), Upsample(n, (2, 2), 0)])


class Textbook(nn.Module):
    """The model.

    Parameters
    ----------
    image_shape : tuple of int
        C, H and W.
    n_levels, n_classes, n_layers, n_filters, n_mixtures : int
    dropout : float
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_levels: int,
        n_classes: int,
        n_layers: int,
        n_filters: int,
        n_mixtures: int,
        dropout: float = 0.0,
    ):
        super().__init__()
        channels, n = image_shape[0], n_filters
        self.image_shape, self.n_levels = image_shape, n_levels
        self.n_classes, self.n_mixtures = n_classes, n_mixtures
        self.above = DownShifted(channels + 1, n, (2, 3), shift=True)
        self.row_above = DownShifted(channels + 1, n, (1, 3), shift=True)
        self.left = DownRightShifted(channels + 1, n, (2, 1), shift=True)
        self.stages = nn.ModuleList(Stage(stage, n_layers, n, n_classes, dropout) for stage in range(6))
        self.head = weight_norm(
            nn.Conv2d(n, n_mixtures * (1 + 2 * channels + channels * (channels - 1) // 2), 1)
        )

    def parameters_of(self, x: Tensor, labels: Tensor) -> Tensor:
        """The mixture's parameters at every pixel, from images between -1 and 1."""
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        vertical, horizontal = self.above(x), self.row_above(x) + self.left(x)
        passed = [(vertical, horizontal)]
        stages = cast("list[Stage]", list(self.stages))
        for stage in stages[:3]:
            if stage.resize is not None:
                vertical, horizontal = stage.resize[0](vertical), stage.resize[1](horizontal)
                passed.append((vertical, horizontal))
            for v, h in zip(stage.vertical, stage.horizontal, strict=True):
                vertical = v(vertical, labels)
                horizontal = h(horizontal, labels, vertical)
                passed.append((vertical, horizontal))
        vertical, horizontal = passed.pop()
        for stage in stages[3:]:
            if stage.resize is not None:
                size = passed[-1][0].shape[-2:]
                vertical, horizontal = stage.resize[0](vertical, *size), stage.resize[1](horizontal, *size)
            for v, h in zip(stage.vertical, stage.horizontal, strict=True):
                v_down, h_down = passed.pop()
                vertical = v(vertical, labels, v_down)
                horizontal = h(horizontal, labels, torch.cat([vertical, h_down], dim=1))
        return self.head(F.elu(horizontal))

    def forward(self, levels: Tensor, labels: Tensor) -> Tensor:
        """Log p(image | its class) in nats, (N,): levels (N, C, H, W) and labels (N,)."""
        x = self.scaled(levels)
        logits, means, scales, couplings = self.unpack(self.parameters_of(x, labels))
        coupled = [
            sum((couplings[:, :, c * (c - 1) // 2 + j] * x[:, None, j] for j in range(c)), means[:, :, c])
            for c in range(x.shape[1])
        ]
        half = 1 / (self.n_levels - 1)
        centred = x[:, None] - torch.stack(coupled, dim=2)
        below, above = torch.sigmoid((centred + half) / scales), torch.sigmoid((centred - half) / scales)
        edges = levels[:, None]
        below = torch.where(edges == self.n_levels - 1, torch.ones_like(below), below)
        above = torch.where(edges == 0, torch.zeros_like(above), above)
        log_bins = torch.log((below - above).clamp(min=1e-12)).sum(dim=2)
        log_prob = torch.logsumexp(torch.log_softmax(logits, dim=1) + log_bins, dim=1)
        return log_prob.sum(dim=(1, 2))

    @torch.no_grad()
    def score_all(self, levels: Tensor) -> Tensor:
        """Log p(image | class) for every class, (N, K), by a pass for each."""
        passes = [
            self(levels, torch.full((len(levels),), k, device=levels.device)) for k in range(self.n_classes)
        ]
        return torch.stack(passes, dim=1)

    @torch.no_grad()
    def sample(self, labels: Tensor, noise: Tensor, n_pixels: int | None = None) -> Tensor:
        """Draw images (N, C, H, W) by a full pass for each pixel, or only their first `n_pixels`.

        The noise (N, H, W, M + C), uniform on (0, 1), chooses the mixture's component and the values in it.
        """
        _, height, width = self.image_shape
        levels = torch.zeros(len(labels), *self.image_shape, dtype=torch.uint8, device=labels.device)
        for pixel in range(height * width if n_pixels is None else n_pixels):
            row, column = divmod(pixel, width)
            parameters = self.parameters_of(self.scaled(levels), labels)[:, :, row, column, None, None]
            levels[:, :, row, column] = self.draw(parameters, noise[:, row, column])
        return levels

    def draw(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """The levels (N, C) of one pixel from its parameters (N, n, 1, 1)."""
        logits, means, scales, couplings = (values[..., 0, 0] for values in self.unpack(parameters))
        chosen = (logits - torch.log(-torch.log(noise[:, : self.n_mixtures]))).argmax(dim=1)
        rows = torch.arange(len(chosen), device=chosen.device)
        values: list[Tensor] = []
        for c in range(self.image_shape[0]):
            u = noise[:, self.n_mixtures + c]
            x = means[rows, chosen, c] + scales[rows, chosen, c] * (torch.log(u) - torch.log1p(-u))
            for j in range(c):
                x = x + couplings[rows, chosen, c * (c - 1) // 2 + j] * self.scaled(values[j])
            values.append(torch.round((x.clamp(-1, 1) + 1) * (self.n_levels - 1) / 2))
        return torch.stack(values, dim=1).to(torch.uint8)

    def scaled(self, levels: Tensor) -> Tensor:
        """Levels as values from -1 to 1."""
        return levels.to(self.above.conv.bias.dtype) * (2 / (self.n_levels - 1)) - 1

    def unpack(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (N, M, H, W); means, scales and couplings (N, M, one for each or each pair, H, W)."""
        m, c = self.n_mixtures, self.image_shape[0]
        sizes = (1, c, c, c * (c - 1) // 2)
        parts = parameters.split([m * size for size in sizes], dim=1)
        shape = parameters.shape[-2:]
        logits, means, scales, couplings = (
            part.reshape(len(parameters), m, size, *shape) for part, size in zip(parts, sizes, strict=True)
        )
        narrowest = 1 / (8 * (self.n_levels - 1))  # as in gencls: the scale is bounded from below
        return logits[:, :, 0], means, scales.exp() + narrowest, couplings.tanh()

    @torch.no_grad()
    def adopt(self, model: ConditionalPixelCNN) -> Textbook:
        """Copy the weights of a model with the conditioner `mild`."""
        theirs = [module for module in model.network.modules() if isinstance(module, WeightNormConv2d)]
        mine = [module for module in self.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
        for ours, other in zip(mine, theirs, strict=True):
            swap = isinstance(ours, nn.ConvTranspose2d)
            gain, direction = other.gain[:, None, None, None], other.direction
            weight: Any = cast("Any", ours.parametrizations).weight
            weight.original0.copy_(gain.transpose(0, 1) if swap else gain)
            weight.original1.copy_(direction.transpose(0, 1) if swap else direction)
            cast("Tensor", ours.bias).copy_(other.bias)
        for site, modulation in model.conditioner(torch.arange(self.n_classes)).items():
            block = getattr(self.stages[site.stage], site.stream)[site.block]
            block.bias.weight.copy_(modulation.shift)
        return self
