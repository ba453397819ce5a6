"""The gated residual block, in which the class enters."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..backends.random_numbers import draw_key
from .execution import Execution
from .layers import ShiftedConv2d, ShortcutConv2d, Stream
from .operations import Layers, Plain
from .sites import NOTHING, Modulations, Site

__all__ = ["Features", "GatedResidualBlock", "Pass"]

KERNEL_SIZES = {"vertical": (2, 3), "horizontal": (2, 2)}


class Pass(NamedTuple):
    """Operations and execution, which all blocks of one forward pass share."""

    operations: Plain
    execution: Execution


class Features:
    """Features, and their activation, which is computed on first use and cached.

    Parameters
    ----------
    values : Tensor of shape (G, N, F, H, W)
    current : Pass
        The forward pass that they belong to.
    activated : Tensor of shape (G, N, 2F, H, W), optional
        The concat-ELU, if it is known.
    """

    def __init__(self, values: Tensor, current: Pass, activated: Tensor | None = None):
        self.values = values
        self.current = current
        if activated is not None:
            self.activated = activated

    @cached_property
    def activated(self) -> Tensor:
        """The concat-ELU, (G, N, 2F, H, W)."""
        return self.current.operations.concat_elu(self.values)


class GatedResidualBlock(nn.Module):
    r"""A gated residual block of PixelCNN++ (Salimans et al. 2017), with conditioning at two sites.

    With :math:`\phi` the concat-ELU, :math:`m_1` and :math:`m_2` the modulations of the sites ``first`` and
    ``second``, and :math:`s` the shortcut:

    .. math::
        h = m_1(W_1 * \phi(x)) + W_s \phi(s), \qquad
        (a, b) = m_2(W_2 * \mathrm{dropout}(\phi(h))), \qquad
        y = x + a \odot \sigma(b)

    A shift at ``second`` only is Algorithm 1 (mild) of Biswas; shifts at both are Algorithm 2 (strong).

    Parameters
    ----------
    stream : {"vertical", "horizontal"}
    stage, block : int
        Position of the block, for its sites.
    channels : int
        F; also the number of channels of the result.
    size : tuple of int
        H and W of the features.
    n_shortcuts : int, default=0
        Number of shortcuts, each with F channels.
    """

    def __init__(
        self,
        stream: Stream,
        stage: int,
        block: int,
        channels: int,
        size: tuple[int, int],
        *,
        n_shortcuts: int = 0,
    ):
        super().__init__()
        kernel_size = KERNEL_SIZES[stream]
        self.first = ShiftedConv2d(stream, 2 * channels, channels, kernel_size)
        self.shortcut = ShortcutConv2d(n_shortcuts, channels) if n_shortcuts else None
        self.second = ShiftedConv2d(stream, 2 * channels, 2 * channels, kernel_size, init_scale=0.1)
        self.first_site = Site("first", stream, stage, block, channels, *size)
        self.second_site = Site("second", stream, stage, block, 2 * channels, *size)

    def forward(self, features: Features, modulations: Modulations, *shortcuts: Features) -> Features:
        """Map (G, N, F, H, W) to the same shape; G grows from 1 to K where the class first enters."""
        current, execution = features.current, features.current.execution
        key = draw_key(execution.generator) if execution.dropout > 0 else None
        if execution.checkpointed and torch.is_grad_enabled():
            arguments = key, current, modulations, *(each.values for each in (features, *shortcuts))
            values = checkpoint(self._recomputable, *arguments, use_reentrant=False, preserve_rng_state=False)
            return Features(values, current)
        return self._compute(key, features, modulations, *shortcuts)

    def _recomputable(
        self, key: int | None, current: Pass, modulations: Modulations, *values: Tensor
    ) -> Tensor:
        """Compute the values from values only, without cached activations, for gradient checkpointing."""
        features, *shortcuts = (Features(each, current) for each in values)
        return self._compute(key, features, modulations, *shortcuts).values

    def _compute(
        self, key: int | None, features: Features, modulations: Modulations, *shortcuts: Features
    ) -> Features:
        """Compute the result. A key selects the features that are dropped; None disables dropout."""
        operations, execution = features.current
        first, second = (modulations.get(site, NOTHING) for site in (self.first_site, self.second_site))
        values, activated = operations.block(
            Layers(self.first, self.shortcut, self.second),
            features.values,
            features.activated,
            [each.activated for each in shortcuts],
            first,
            second,
            dropout=0.0 if key is None else execution.dropout,
            key=key or 0,
        )
        return Features(values, features.current, activated)
