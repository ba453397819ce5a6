"""Mild conditioning, Algorithm 1 of the paper."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulation, Modulations, Sites, per_site, zero_embedding

__all__ = ["Mild"]


class Mild(Conditioner):
    """A bias for each class after the second convolution of every gated block.

    References
    ----------
    S. Biswas, "Image Classification with Conditional PixelCNN++", Algorithm 1; the class bias of Salimans et
    al. (2017).
    """

    def build(self, n_classes: int, sites: Sites) -> None:
        self.bias = per_site(sites.named("second"), lambda site: zero_embedding(n_classes, site.channels))

    def forward(self, labels: Tensor) -> Modulations:
        return {site: Modulation(shift=bias(labels)) for site, bias in self.bias.items()}
