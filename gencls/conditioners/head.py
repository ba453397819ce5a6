"""Conditioning before the last layer."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulation, Modulations, Sites, per_site, zero_embedding

__all__ = ["Head"]


class Head(Conditioner):
    """A bias for each class before the last 1×1 convolution only.

    The smallest conditioner. All classes share the network except its last layer, so that scoring many
    classes costs little more than scoring one.

    References
    ----------
    The late fusion of the public CPEN455 entry github.com/jhee-han/UBC_CPEN455_Conditional_PixelCNN.
    """

    def build(self, n_classes: int, sites: Sites) -> None:
        self.bias = per_site(sites.named("head"), lambda site: zero_embedding(n_classes, site.channels))

    def forward(self, labels: Tensor) -> Modulations:
        return {site: Modulation(shift=bias(labels)) for site, bias in self.bias.items()}
