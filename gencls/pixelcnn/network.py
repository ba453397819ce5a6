"""The whole network: two streams, three resolutions down and up, and shortcuts between them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Features, GatedResidualBlock, Pass
from .execution import Execution
from .layers import ShiftedConv2d, Stream, UpsamplingConv2d, WeightNormConv2d, data_dependent_init
from .operations import operations_for
from .sites import Modulations, Site, Sites, modulate

__all__ = ["PixelCNN"]

DEFAULT_EXECUTION = Execution()
STREAMS: tuple[Stream, Stream] = ("vertical", "horizontal")
Streams = tuple[Features, Features]


class PixelCNN(nn.Module):
    """PixelCNN++ (Salimans et al. 2017): parameters of the distribution of every pixel.

    The distribution of a pixel depends on the previous pixels: those in the rows above, and to the left in
    the same row.

    Parameters
    ----------
    image_shape : tuple of int
        C, H and W; any H and W from 1.
    n_outputs : int
        Parameters of the distribution at each pixel.
    n_layers : int
        Gated residual blocks in each stream of each of the six stages (one more in the last two, as
        published).
    n_filters : int
        F, the channels of the features.

    Attributes
    ----------
    sites : Sites
        Where a class can enter, in the order of the forward pass.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_outputs: int,
        n_layers: int,
        n_filters: int,
    ):
        super().__init__()
        channels, height, width = image_shape
        sizes = [(-(-height // step), -(-width // step)) for step in (1, 2, 4)]
        marked = channels + 1  # a channel of ones distinguishes the image from the padding
        self.above = ShiftedConv2d("vertical", marked, n_filters, (2, 3), shift="down")
        self.row_above = ShiftedConv2d("vertical", marked, n_filters, (1, 3), shift="down")
        self.left = ShiftedConv2d("horizontal", marked, n_filters, (2, 1), shift="right")
        self.input_sites = tuple(Site("input", stream, 0, 0, n_filters, height, width) for stream in STREAMS)
        self.down = nn.ModuleList(
            Stage(stage, n_layers, n_filters, sizes[stage], down=True) for stage in range(3)
        )
        self.up = nn.ModuleList(
            Stage(stage, n_layers + (stage > 3), n_filters, sizes[5 - stage], down=False)
            for stage in range(3, 6)
        )
        self.head_site = Site("head", "horizontal", 5, 0, n_filters, height, width)
        self.head = WeightNormConv2d(n_filters, n_outputs)

    @property
    def sites(self) -> Sites:
        """Where a class can enter, in the order of the forward pass."""
        stages = [site for stage in (*self.down, *self.up) for site in stage.sites]
        return Sites([*self.input_sites, *stages, self.head_site])

    def forward(
        self, images: Tensor, modulations: Modulations, execution: Execution = DEFAULT_EXECUTION
    ) -> Tensor:
        """Compute the parameters of the distribution of every pixel.

        Parameters
        ----------
        images : Tensor of shape (N, C, H, W)
            Values from -1 to 1. All features have their dtype, which may differ from that of the weights. The
            upper rows of images have the same parameters as in the whole images.
        modulations : dict of Site to Modulation
            Effect of the class, arranged per image or per class; may be empty. For the upper rows of images,
            select those of the modulations with `upper_left`.
        execution : Execution, optional
            Settings of the forward pass; ``Execution()`` by default.

        Returns
        -------
        Tensor of shape (G, N, n_outputs, H, W)
            G is K where the modulations are arranged per class, else 1.
        """
        current = Pass(operations_for(images, execution.compiled), execution)
        # A checkpointed block normalises its weights a second time, in the backward pass.
        together = not (execution.checkpointed and torch.is_grad_enabled())
        with current.operations.weights_resolved(self) if together else nullcontext():
            return self._run(images, modulations, current)

    def _run(self, images: Tensor, modulations: Modulations, current: Pass) -> Tensor:
        streams = self._enter(images, modulations, current)
        passed = [streams]
        for stage in cast("list[Stage]", self.down):
            streams = stage.descend(streams, modulations, passed)
        streams = passed.pop()
        for stage in cast("list[Stage]", self.up):
            streams = stage.ascend(streams, modulations, passed)
        out = modulate(streams[1].values, self.head_site, modulations)
        return self.head(F.elu(out))

    @torch.no_grad()
    def initialise(self, images: Tensor, modulations: Modulations) -> None:
        """Initialise gains and biases from one batch of images; see `data_dependent_init`."""
        with data_dependent_init(self):
            self(images, modulations)  # without compiled kernels, which bypass the layers

    def _enter(self, images: Tensor, modulations: Modulations, current: Pass) -> Streams:
        marked = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
        marked = marked.contiguous(memory_format=torch.channels_last)[None]
        vertical, horizontal = self.above(marked), self.row_above(marked) + self.left(marked)
        return (
            Features(modulate(vertical, self.input_sites[0], modulations), current),
            Features(modulate(horizontal, self.input_sites[1], modulations), current),
        )


class Stage(nn.Module):
    """The blocks of one stage, and the change of resolution before them.

    Parameters
    ----------
    stage : int
        0 to 5; stages 0 and 3 keep the resolution of their input.
    n_blocks, channels : int
    size : tuple of int
        H and W of the features in this stage.
    down : bool
        Whether the stage is on the way down; blocks on the way up have shortcuts from it.
    """

    def __init__(self, stage: int, n_blocks: int, channels: int, size: tuple[int, int], *, down: bool):
        super().__init__()
        self.size = size
        n_shortcuts = (0, 1) if down else (1, 2)
        self.vertical, self.horizontal = (
            nn.ModuleList(
                GatedResidualBlock(stream, stage, block, channels, size, n_shortcuts=number)
                for block in range(n_blocks)
            )
            for stream, number in zip(STREAMS, n_shortcuts, strict=True)
        )
        self.resize = (
            None
            if stage in (0, 3)
            else nn.ModuleList(_resizing(stream, channels, down) for stream in STREAMS)
        )

    @property
    def sites(self) -> Sites:
        """The sites of this stage in the order of the forward pass."""
        blocks = cast("list[list[GatedResidualBlock]]", [self.vertical, self.horizontal])
        pairs = zip(*blocks, strict=True)
        return Sites(
            site for pair in pairs for block in pair for site in (block.first_site, block.second_site)
        )

    def descend(self, streams: Streams, modulations: Modulations, passed: list[Streams]) -> Streams:
        """Run the blocks on the way down, and append every result to `passed`."""
        vertical, horizontal = streams
        if self.resize is not None:
            vertical, horizontal = (
                Features(each.current.operations.shrink(resize, each.values), each.current)
                for resize, each in zip(cast(Any, self.resize), streams, strict=True)
            )
            passed.append((vertical, horizontal))
        for above, left in zip(self.vertical, self.horizontal, strict=True):
            vertical = above(vertical, modulations)
            horizontal = left(horizontal, modulations, vertical)
            passed.append((vertical, horizontal))
        return vertical, horizontal

    def ascend(self, streams: Streams, modulations: Modulations, passed: list[Streams]) -> Streams:
        """Run the blocks on the way up; their shortcuts are popped from the end of `passed`."""
        vertical, horizontal = streams
        if self.resize is not None:
            height, width = passed[-1][0].values.shape[-2:]
            vertical, horizontal = (
                Features(each.current.operations.grow(resize, each.values, (height, width)), each.current)
                for resize, each in zip(cast(Any, self.resize), streams, strict=True)
            )
        for above, left in zip(self.vertical, self.horizontal, strict=True):
            vertical_down, horizontal_down = passed.pop()
            vertical = above(vertical, modulations, vertical_down)
            horizontal = left(horizontal, modulations, vertical, horizontal_down)
        return vertical, horizontal


def _resizing(stream: Stream, channels: int, down: bool) -> nn.Module:
    if not down:
        return UpsamplingConv2d(stream, channels)
    return ShiftedConv2d(stream, channels, channels, (2, 3) if stream == "vertical" else (2, 2), stride=2)
