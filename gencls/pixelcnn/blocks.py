"""The gated residual block: where the class enters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .layers import Dropout, ShiftedConv2d, Stream, WeightNormConv2d, concat_elu
from .sites import Modulations, Site, modulate

__all__ = ["GatedResidualBlock"]

KERNELS = {"vertical": (2, 3), "horizontal": (2, 2)}


class GatedResidualBlock(nn.Module):
    r"""A gated residual block of PixelCNN++ (Salimans et al. 2017), open to conditioning at two sites.

    With :math:`\phi` the concat-ELU, :math:`m_1` and :math:`m_2` the modulations of the sites ``first`` and
    ``second``, and :math:`s` the short-cut:

    .. math::
        h = m_1(W_1 * \phi(x)) + W_s \phi(s), \qquad
        (a, b) = m_2(W_2 * \mathrm{dropout}(\phi(h))), \qquad
        y = x + a \odot \sigma(b)

    A shift at ``second`` alone is Algorithm 1 (mild) of Biswas, shifts at both are Algorithm 2 (strong).

    Parameters
    ----------
    stream : {"vertical", "horizontal"}
    stage, block : int
        Where the block stands, for its sites.
    channels : int
        F; also the number of channels of the result.
    size : tuple of int
        H and W of the features.
    shortcut_channels : int, default=0
        Channels of the short-cut; 0 for none.
    dropout : float, default=0.0
        Probability of dropping a single feature.

    Attributes
    ----------
    checkpointed : bool
        Whether what backward needs is computed again there instead of being kept (Chen et al. 2016).
    """

    def __init__(
        self,
        stream: Stream,
        stage: int,
        block: int,
        channels: int,
        size: tuple[int, int],
        *,
        shortcut_channels: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.checkpointed = False
        kernel = KERNELS[stream]
        self.first = ShiftedConv2d(stream, 2 * channels, channels, kernel)
        self.shortcut = WeightNormConv2d(2 * shortcut_channels, channels) if shortcut_channels else None
        self.dropout = Dropout(dropout)
        self.second = ShiftedConv2d(stream, 2 * channels, 2 * channels, kernel, init_scale=0.1)
        self.first_site = Site("first", stream, stage, block, channels, *size)
        self.second_site = Site("second", stream, stage, block, 2 * channels, *size)

    def forward(self, features: Tensor, modulations: Modulations, shortcut: Tensor | None = None) -> Tensor:
        """Map (G, N, F, H, W) to the same shape; G grows from 1 to K where the class first enters."""
        if self.checkpointed and torch.is_grad_enabled():
            return checkpoint(self._compute, features, modulations, shortcut, use_reentrant=False)
        return self._compute(features, modulations, shortcut)

    def _compute(self, features: Tensor, modulations: Modulations, shortcut: Tensor | None) -> Tensor:
        hidden = modulate(self.first(concat_elu(features)), self.first_site, modulations)
        if self.shortcut is not None and shortcut is not None:
            hidden = hidden + self.shortcut(concat_elu(shortcut))
        hidden = self.second(self.dropout(concat_elu(hidden)))
        return features + F.glu(modulate(hidden, self.second_site, modulations), dim=-3)
