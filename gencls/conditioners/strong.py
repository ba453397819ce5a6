"""Strong conditioning, Algorithm 2 of the paper."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulation, Modulations, Sites, per_site, zero_embedding

__all__ = ["Strong"]


class Strong(Conditioner):
    """A bias for each class after the first and after the second convolution of every gated block.

    References
    ----------
    S. Biswas, "Image Classification with Conditional PixelCNN++", Algorithm 2.
    """

    def build(self, n_classes: int, sites: Sites) -> None:
        self.bias = per_site(
            sites.named("first", "second"), lambda site: zero_embedding(n_classes, site.channels)
        )

    def forward(self, labels: Tensor) -> Modulations:
        return {site: Modulation(shift=bias(labels)) for site, bias in self.bias.items()}
