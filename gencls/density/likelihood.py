"""The distribution of one pixel given the network's outputs, which are unpacked only here."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["DiscretizedLogisticMixture"]


class DiscretizedLogisticMixture:
    r"""A mixture of logistic distributions over levels, coupled across channels.

    Levels 0 to L - 1 have the values :math:`x = 2\,\mathrm{level} / (L - 1) - 1`; the bin of a level reaches
    half-way to its neighbours, and the outermost bins are open. In mixture component m, channel c has the
    mean :math:`\mu_{mc} + \sum_{j < c} \tanh(\gamma_{mcj}) x_j`. The bin from a to b, in units of the
    component's scale, has

    .. math::
        \log(\sigma(b) - \sigma(a)) = \log \sigma(b) + \log \sigma(-a) + \log(1 - e^{a - b}),

    which is exact and stable everywhere, so that the probabilities of all colours sum to 1. A component's
    scale is :math:`e^{\lambda} + h / 8`, where h is half a bin: a component that narrow has all but 0.0007 of
    its mass in one bin, so that narrower ones would gain nothing and make training unstable.

    Parameters
    ----------
    n_channels : int
        C, 1 to 4.
    n_levels : int
        L, 2 to 256.
    n_mixtures : int
        M.

    Attributes
    ----------
    n_parameters : int
        M (1 + 2 C + C (C - 1) / 2): the network's outputs for a pixel.

    References
    ----------
    T. Salimans, A. Karpathy, X. Chen, D. P. Kingma (2017), "PixelCNN++", sections 2.1 and 2.2.
    """

    def __init__(self, n_channels: int, n_levels: int, n_mixtures: int):
        self.n_channels = n_channels
        self.n_levels = n_levels
        self.n_mixtures = n_mixtures
        self.n_couplings = n_channels * (n_channels - 1) // 2
        self.n_parameters = n_mixtures * (1 + 2 * n_channels + self.n_couplings)

    @property
    def highest_cost(self) -> float:
        """The largest cost of a level, in nats, if the narrowest component in the range predicts it."""
        return 2 * 8 * (self.n_levels - 1)

    def scale(self, levels: Tensor, dtype: torch.dtype) -> Tensor:
        """Scale levels to floats from -1 to 1, the inputs of the network."""
        return levels.to(dtype) * (2 / (self.n_levels - 1)) - 1

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Log-probability of every pixel's colour.

        Parameters
        ----------
        parameters : Tensor of shape (..., n_parameters, H, W)
        levels : Tensor of shape (..., C, H, W)
            Integers from 0 to L - 1.

        Returns
        -------
        Tensor of shape (..., H, W)
            Nats.
        """
        mixture = self._unpack(parameters)
        levels = levels.unsqueeze(-4)  # (..., 1, C, H, W), to broadcast over mixtures
        colours = self.scale(levels, parameters.dtype)
        means = torch.broadcast_tensors(*self._means(mixture, colours.unbind(-3)))
        centred = colours - torch.stack(means, dim=-3)
        log_bins = self._log_bins(centred, mixture.log_scales, levels)
        return torch.logsumexp(F.log_softmax(mixture.logits, dim=-3) + log_bins.sum(-3), dim=-3)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Draw the colour of one pixel; each channel is rounded to a level before the next depends on it.

        Parameters
        ----------
        parameters : Tensor of shape (..., n_parameters)
        noise : Tensor of shape (..., M + C)
            Uniform on (0, 1): M numbers choose the component (Gumbel), C its values.

        Returns
        -------
        Tensor of shape (..., C)
            Levels, int64.
        """
        mixture = self._unpack(parameters[..., None, None])
        choice, quantiles = noise.to(parameters.dtype).split([self.n_mixtures, self.n_channels], dim=-1)
        component = (mixture.logits[..., 0, 0] - (-choice.log()).log()).argmax(-1)
        logistic = quantiles.log() - (-quantiles).log1p()
        levels: list[Tensor] = []
        for channel in range(self.n_channels):
            before = [self.scale(level, parameters.dtype)[..., None, None, None] for level in levels]
            mean = _take(self._mean(mixture, channel, before), component)
            log_scale = self._log_scales(_take(mixture.log_scales[..., channel, :, :], component))
            # Beyond e^60 every value is an extreme already, and the product stays finite.
            value = mean + log_scale.clamp(max=60).exp() * logistic[..., channel]
            levels.append(((value.clamp(-1, 1) + 1) * (self.n_levels - 1) / 2).round().long())
        return torch.stack(levels, dim=-1)

    def _unpack(self, parameters: Tensor) -> _Mixture:
        m, c, k = self.n_mixtures, self.n_channels, self.n_couplings
        logits, means, log_scales, couplings = parameters.split([m, m * c, m * c, m * k], dim=-3)
        return _Mixture(
            logits,
            means.unflatten(-3, (m, c)),
            log_scales.unflatten(-3, (m, c)),
            couplings.unflatten(-3, (m, k)).tanh(),
        )

    def _means(self, mixture: _Mixture, colours: tuple[Tensor, ...]) -> list[Tensor]:
        return [self._mean(mixture, channel, colours[:channel]) for channel in range(self.n_channels)]

    def _mean(self, mixture: _Mixture, channel: int, before: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
        """Means (..., M, H, W) of one channel, given the colours (..., 1, H, W) of the channels before it."""
        mean = mixture.means[..., channel, :, :]
        first = channel * (channel - 1) // 2
        for j, colour in enumerate(before):
            mean = mean + mixture.couplings[..., first + j, :, :] * colour
        return mean

    def _log_scales(self, outputs: Tensor) -> Tensor:
        """Log of e^λ + h/8 for the network's outputs λ."""
        return torch.logaddexp(outputs, outputs.new_full((), -math.log(8 * (self.n_levels - 1))))

    def _log_bins(self, centred: Tensor, outputs: Tensor, levels: Tensor) -> Tensor:
        """Log of σ(b) - σ(a) for the bins of these levels."""
        bottom, top = levels == 0, levels == self.n_levels - 1
        half_bin = 1 / (self.n_levels - 1)
        log_scales = self._log_scales(outputs)
        inverse_scales = torch.exp(-log_scales)
        zero = centred.new_zeros(())
        below_b = torch.where(top, zero, F.logsigmoid((centred + half_bin) * inverse_scales))
        above_a = torch.where(bottom, zero, F.logsigmoid((half_bin - centred) * inverse_scales))
        width = torch.where(bottom | top, zero, _log1mexp(math.log(2 * half_bin) - log_scales))
        return below_b + above_a + width


class _Mixture(NamedTuple):
    """The network's outputs: (..., M, H, W), (..., M, C, H, W) twice, and (..., M, C (C - 1) / 2, H, W)."""

    logits: Tensor
    means: Tensor
    log_scales: Tensor
    couplings: Tensor


def _take(values: Tensor, component: Tensor) -> Tensor:
    """Pick one component's value from (..., M, 1, 1)."""
    return values[..., 0, 0].gather(-1, component[..., None])[..., 0]


def _log1mexp(log_width: Tensor) -> Tensor:
    """Log(1 - e^(-w)) from log w; a series for small w stays accurate where w underflows."""
    width = log_width.exp()
    small = width < 1e-3
    series = log_width - width / 2 + width**2 / 24
    tanh = torch.tanh(torch.where(small, 1.0, width) / 2)
    return torch.where(small, series, torch.log(2 * tanh / (1 + tanh)))  # on CPUs expm1 is slow
