"""The network pixel by pixel, with caches (Ramachandran et al. 2017).

The vertical stream is computed a row at a time and the horizontal one a pixel at a time; at a half and a
quarter of the resolution, they are computed only where a new position begins. Every convolution caches the
two rows that it needs again, and weights are normalised once.

State that outlives a row is kept in tensors that are changed in place and never replaced. The computation of
a row depends only on its kind, so that it can be captured once and replayed; see
`gencls.backends.cuda_graphs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pixelcnn import Modulation, Modulations, PixelCNN, Site
from ..pixelcnn.blocks import GatedResidualBlock
from ..pixelcnn.layers import ShiftedConv2d, UpsamplingConv2d, WeightNormConv2d

__all__ = ["CachedPixelCNN", "kind_of_row"]

# From features of a row or pixel, its row or one of the same kind, and its column; returns None where no
# coarser position begins.
_Step = Callable[[Tensor, int, int], Any]
# From features, those of the shortcut from the way down, row and column.
_Block = Callable[[Tensor, Tensor | None, int, int], Tensor]


def kind_of_row(row: int) -> int:
    """The first row with the same computation as this one, 0 to 4.

    The top row follows zeros. Of the others, every second one begins a row at half the resolution, and every
    fourth one at a quarter.
    """
    return 0 if row == 0 else 1 + (row - 1) % 4


class CachedPixelCNN:
    """A `PixelCNN` that is evaluated pixel by pixel, with caches.

    At every row call :meth:`enter` and :meth:`begin_row`; then, for its columns from left to right,
    :meth:`step`, and :meth:`put` with the drawn or known colours. Only `enter` needs the row itself; the
    others accept any row of the same kind.

    Parameters
    ----------
    network : PixelCNN
        In evaluation mode; its weights must not change meanwhile.
    modulations : dict of Site to Modulation
        Arranged per image.
    n_images : int
        N.
    """

    def __init__(self, network: PixelCNN, modulations: Modulations, n_images: int):
        width = network.head_site.width
        above = network.above.conv
        # This row of pixels and the two above it; rows of zeros above the image and a column of them to its
        # left are the padding. The last channel is 1 outside the padding.
        self._pixels = above.bias.new_zeros(n_images, above.direction.shape[1], 3, width + 1)
        self._pixels[:, -1, 2, 1:] = 1
        self._above, self._row_above = _weights(above), _weights(network.row_above.conv)
        self._left, self._head = _matrix(network.left.conv), _matrix(network.head)
        self._beside = above.bias.new_zeros(width, n_images, len(above.bias))
        self._here = {site: _RowModulation(site, modulations.get(site)) for site in network.sites}
        self._inputs = [self._here[site] for site in network.input_sites]
        self._output = self._here[network.head_site]
        self._vertical, self._horizontal = _levels(network, self._here, n_images)

    def enter(self, row: int) -> None:
        """Enter a row: select it in all modulations that are maps over positions."""
        for modulation in self._here.values():
            modulation.enter(row)

    def begin_row(self, row: int) -> None:
        """Compute the vertical stream of a row from the rows above it."""
        if row > 0:
            _push(self._pixels[:, :, :2], self._pixels[:, :, 2])
        rows = self._pixels[:, :, :2, 1:]
        features = F.conv2d(rows, *self._above, padding=(0, 1))
        beside = F.conv2d(rows[:, :, 1:], *self._row_above, padding=(0, 1))
        if row == 0:  # a shifted convolution begins with zeros, without its bias
            features, beside = torch.zeros_like(features), torch.zeros_like(beside)
        self._beside.copy_(_by_column(beside))
        self._vertical.step(self._inputs[0].apply(features), row, 0)

    def step(self, row: int, column: int) -> Tensor:
        """The parameters of the next pixel's distribution, (N, n_outputs)."""
        features = self._beside[column]
        if column > 0:
            pixels = self._pixels[:, :, 1:, column].transpose(1, 2).flatten(1)
            features = features + _apply(self._left, pixels)
        features = self._inputs[1].apply_to_pixel(features, column)
        features = self._horizontal.step(features, row, column)
        return _apply(self._head, F.elu(self._output.apply_to_pixel(features, column)))

    def put(self, column: int, colours: Tensor) -> None:
        """Set the pixel to colours (N, C) from -1 to 1."""
        self._pixels[:, :-1, 2, column + 1] = colours


class _RowModulation:
    """The modulation of a site in one row: a buffer for the row of each map over positions."""

    def __init__(self, site: Site, modulation: Modulation | None):
        self.step = site.step
        self.maps: list[tuple[Tensor, Tensor]] = []
        self.here = modulation and Modulation(
            self._row_of(modulation.shift), self._row_of(modulation.scale), modulation.mix
        )

    def _row_of(self, values: Tensor | None) -> Tensor | None:
        """A buffer for one row of a map; values that are the same in all rows need none."""
        if values is None or values.shape[-2] == 1:
            return values
        here = values[..., :1, :].clone()
        self.maps.append((values, here))
        return here

    def enter(self, row: int) -> None:
        """Enter a row of the image."""
        for values, here in self.maps:
            here.copy_(values[..., row // self.step, None, :])

    def apply(self, features: Tensor) -> Tensor:
        """Modulate the features (N, F, 1, W) of the row."""
        return features if self.here is None else self.here.apply(features[None])[0]

    def apply_to_pixel(self, features: Tensor, column: int) -> Tensor:
        """Modulate the features (N, F) of one of its pixels."""
        if self.here is None:
            return features
        here = self.here.at(slice(None), slice(column, column + 1))
        return here.apply(features[None, :, :, None, None])[0, :, :, 0, 0]


_RowModulations = dict[Site, _RowModulation]


class _Level:
    """The blocks of one resolution, on the way down and up, around the next coarser level.

    Rows and columns count at this resolution; the vertical stream computes whole rows, and its column is 0.
    The results of a row, by column, are kept for the two rows of the finer level.
    """

    def __init__(
        self,
        down: Sequence[_Block],
        up: Sequence[_Block],
        inner: _Level | None,
        enter: _Step | None,
        leave: _Step | None,
        results: Tensor,
    ):
        self.down, self.up, self.inner = down, up, inner
        self.enter, self.leave, self.results = enter, leave, results

    def step(self, features: Tensor, row: int, column: int) -> Tensor:
        """Pass the features of one row or pixel through the blocks."""
        passed = [features]
        for block in self.down:
            features = block(features, None, row, column)
            passed.append(features)
        features = passed.pop() if self.inner is None else self.inner.visit(features, row, column)
        for block in self.up:
            features = block(features, passed.pop(), row, column)
        return features

    def visit(self, features: Tensor, row: int, column: int) -> Tensor:
        """Map features of the finer level, of twice the resolution, to the results at their position."""
        entered = cast(_Step, self.enter)(features, row, column)
        if entered is not None:
            self.results[column // 2].copy_(self.step(entered, row // 2, column // 2))
        return cast(Tensor, cast(_Step, self.leave)(self.results[column // 2], row, column))


class _RowConv:
    """A convolution of the vertical stream, fed row by row: (N, in, 1, W)."""

    def __init__(self, layer: ShiftedConv2d, n_images: int, width: int):
        self.weight, self.bias = _weights(layer.conv)
        self.stride = layer.stride
        self.cached = self.bias.new_zeros(n_images, self.weight.shape[1], 2, width)

    def __call__(self, features: Tensor, row: int, _column: int = 0) -> Any:
        _push(self.cached, features[:, :, 0])
        if row % self.stride:
            return None
        return F.conv2d(self.cached, self.weight, self.bias, (1, self.stride), padding=(0, 1))


class _PixelConv:
    """A convolution of the horizontal stream, fed pixel by pixel: (N, in)."""

    def __init__(self, layer: ShiftedConv2d, n_images: int, width: int):
        self.matrix = _matrix(layer.conv)
        self.stride = layer.stride
        self.cached = self.matrix[1].new_zeros(n_images, 2, width + 1, layer.conv.direction.shape[1])

    def __call__(self, features: Tensor, row: int, column: int) -> Any:
        if column == 0:
            self.cached[:, 0] = self.cached[:, 1]
        self.cached[:, 1, column + 1] = features
        if row % self.stride or column % self.stride:
            return None
        return _apply(self.matrix, self.cached[:, :, column : column + 2].flatten(1))


class _RowUpsampling:
    """From a row of the coarser level to one of the finer level."""

    def __init__(self, layer: UpsamplingConv2d, width: int):
        weight, self.bias = _weights(layer.conv)
        self.weight = weight.transpose(0, 1)
        self.columns = slice(layer.left, layer.left + width)

    def __call__(self, features: Tensor, row: int, _column: int) -> Tensor:
        weight = self.weight[:, :, row % 2, None]
        return F.conv_transpose2d(features, weight, self.bias, stride=(1, 2))[..., self.columns]


class _PixelUpsampling:
    """From a pixel of the coarser level to one of the finer level."""

    def __init__(self, layer: UpsamplingConv2d):
        weight, self.bias = _weights(layer.conv)
        self.weights = weight.permute(2, 3, 1, 0).contiguous()

    def __call__(self, features: Tensor, row: int, column: int) -> Tensor:
        return torch.addmm(self.bias, features, self.weights[row % 2, column % 2])


class _RowBlock:
    """A gated residual block of the vertical stream, a row at a time."""

    def __init__(self, block: GatedResidualBlock, here: _RowModulations, n_images: int):
        width, channels = block.first_site.width, block.first_site.channels
        self.first, self.second = (_RowConv(layer, n_images, width) for layer in (block.first, block.second))
        self.modulations = here[block.first_site], here[block.second_site]
        self.shortcut = None if block.shortcut is None else _weights(block.shortcut)
        self.output = self.first.bias.new_zeros(n_images, channels, 1, width)

    def __call__(self, features: Tensor, passed: Tensor | None, row: int, _column: int) -> Tensor:
        hidden = self.modulations[0].apply(self.first(_concat_elu(features), row))
        if self.shortcut is not None and passed is not None:
            hidden = hidden + F.conv2d(_concat_elu(passed), *self.shortcut)
        hidden = self.modulations[1].apply(self.second(_concat_elu(hidden), row))
        value, gate = hidden.chunk(2, dim=1)
        return self.output.copy_(features + value * torch.sigmoid(gate))


class _PixelBlock:
    """A gated residual block of the horizontal stream, a pixel at a time; `above` is the vertical one."""

    def __init__(self, block: GatedResidualBlock, here: _RowModulations, n_images: int, above: _RowBlock):
        width, channels = block.first_site.width, block.first_site.channels
        self.first, self.second = (
            _PixelConv(layer, n_images, width) for layer in (block.first, block.second)
        )
        self.modulations = here[block.first_site], here[block.second_site]
        self.above = above
        # The shortcuts are the vertical stream and, on the way up, that from the way down: (v, p, -v, -p).
        weight, self.shortcut_bias = _weights(cast(WeightNormConv2d, block.shortcut))
        parts = weight.unflatten(1, (2, -1, channels))
        self.from_above = parts[:, :, 0].flatten(1, 2)
        self.from_passed = parts[:, :, 1].flatten(1).T if parts.shape[2] == 2 else None
        self.beside = weight.new_zeros(width, n_images, channels)

    def __call__(self, features: Tensor, passed: Tensor | None, row: int, column: int) -> Tensor:
        if column == 0:
            vertical = _concat_elu(self.above.output)
            self.beside.copy_(_by_column(F.conv2d(vertical, self.from_above, self.shortcut_bias)))
        hidden = self.first(_concat_elu(features), row, column)
        hidden = self.modulations[0].apply_to_pixel(hidden, column) + self.beside[column]
        if self.from_passed is not None and passed is not None:
            hidden = torch.addmm(hidden, _concat_elu(passed), self.from_passed)
        hidden = self.second(_concat_elu(hidden), row, column)
        value, gate = self.modulations[1].apply_to_pixel(hidden, column).chunk(2, dim=1)
        return features + value * torch.sigmoid(gate)


def _levels(network: PixelCNN, here: _RowModulations, n_images: int) -> tuple[Any, Any]:
    """The finest level of each stream, which contains the coarser ones."""
    vertical: _Level | None = None
    horizontal: _Level | None = None
    for depth in (2, 1, 0):
        rows: list[list[_RowBlock]] = []
        pixels: list[list[_PixelBlock]] = []
        for stage in cast("list[Any]", (network.down[depth], network.up[2 - depth])):
            rows.append([_RowBlock(block, here, n_images) for block in stage.vertical])
            pairs = zip(stage.horizontal, rows[-1], strict=True)
            pixels.append([_PixelBlock(block, here, n_images, above) for block, above in pairs])
        from_rows, from_pixels = _resizing(network, depth, n_images)
        last = rows[1][-1].output, pixels[1][-1].beside  # with the shapes of the results
        vertical = _Level(rows[0], rows[1], vertical, *from_rows, torch.zeros_like(last[0])[None])
        horizontal = _Level(pixels[0], pixels[1], horizontal, *from_pixels, torch.zeros_like(last[1]))
    return vertical, horizontal


def _resizing(network: PixelCNN, depth: int, n_images: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The changes of resolution to a level from the next finer one, if any, and back: of rows, of pixels."""
    if depth == 0:
        return (None, None), (None, None)
    width = cast(Any, network.down[depth - 1]).size[1]
    enter, leave = cast(Any, network.down[depth]).resize, cast(Any, network.up[3 - depth]).resize
    rows = (_RowConv(enter[0], n_images, width), _RowUpsampling(leave[0], width))
    return rows, (_PixelConv(enter[1], n_images, width), _PixelUpsampling(leave[1]))


def _weights(layer: WeightNormConv2d) -> tuple[Tensor, Tensor]:
    return layer.weight.detach(), layer.bias.detach()


def _matrix(layer: WeightNormConv2d) -> tuple[Tensor, Tensor]:
    """A convolution as a product with the flattened (rows, columns, in) of its receptive field."""
    weight, bias = _weights(layer)
    return weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous(), bias


def _apply(matrix: tuple[Tensor, Tensor], values: Tensor) -> Tensor:
    return torch.addmm(matrix[1], values, matrix[0])


def _push(rows: Tensor, row: Tensor) -> None:
    """Move the lower of two rows (N, F, 2, W) up, and replace it by a new one (N, F, W)."""
    rows[:, :, 0] = rows[:, :, 1]
    rows[:, :, 1] = row


def _by_column(features: Tensor) -> Tensor:
    """A row's features (N, F, 1, W), as (W, N, F)."""
    return features[:, :, 0].permute(2, 0, 1)


def _concat_elu(features: Tensor) -> Tensor:
    """As `concat_elu`, for the features (N, F) of a pixel or (N, F, 1, W) of a row."""
    return F.elu(torch.cat([features, -features], dim=1))
