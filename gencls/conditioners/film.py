"""Feature-wise linear modulation."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulation, Modulations, Sites, per_site, zero_embedding

__all__ = ["Film"]


class Film(Conditioner):
    """A scale, 1 + learned, and a bias for each class after both convolutions of every gated block.

    References
    ----------
    E. Perez, F. Strub, H. de Vries, V. Dumoulin, A. Courville (2018), "FiLM: Visual Reasoning with a General
    Conditioning Layer", equation 2.
    """

    def build(self, n_classes: int, sites: Sites) -> None:
        self.film = per_site(
            sites.named("first", "second"), lambda site: zero_embedding(n_classes, 2 * site.channels)
        )

    def forward(self, labels: Tensor) -> Modulations:
        pairs = {site: film(labels).chunk(2, dim=1) for site, film in self.film.items()}
        return {site: Modulation(scale=1 + scale, shift=shift) for site, (scale, shift) in pairs.items()}
