"""Early conditioning: at the input."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulation, Modulations, Sites, per_site, zero_embedding

__all__ = ["Early"]


class Early(Conditioner):
    """A bias for each class at the features after the first convolutions.

    Away from the border this is equivalent to concatenating one-hot maps of the class to the pixels.

    References
    ----------
    The one-hot maps of M. Mirza and S. Osindero (2014), "Conditional Generative Adversarial Nets", here for
    an autoregressive network.
    """

    def build(self, n_classes: int, sites: Sites) -> None:
        self.bias = per_site(sites.named("input"), lambda site: zero_embedding(n_classes, site.channels))

    def forward(self, labels: Tensor) -> Modulations:
        return {site: Modulation(shift=bias(labels)) for site, bias in self.bias.items()}
