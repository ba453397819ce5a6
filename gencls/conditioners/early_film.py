"""Early conditioning and feature-wise linear modulation together."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulations, Sites
from .early import Early
from .film import Film

__all__ = ["EarlyFilm"]


class EarlyFilm(Conditioner):
    """A bias for each class at the input, and a scale and a bias after both convolutions of every gated block.

    References
    ----------
    J. Han, "UBC CPEN455 Conditional PixelCNN" (2025), the best public entry on the CPEN455 images, without its
    embeddings at the short-cuts and at the head.
    """

    def build(self, n_classes: int, sites: Sites) -> None:
        self.early, self.film = Early(), Film()
        self.early.build(n_classes, sites)
        self.film.build(n_classes, sites)

    def forward(self, labels: Tensor) -> Modulations:
        return self.early(labels) | self.film(labels)
