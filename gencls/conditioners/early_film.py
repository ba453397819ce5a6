"""Early conditioning and feature-wise linear modulation together."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulations, Sites
from .early import Early
from .film import Film

__all__ = ["EarlyFilm"]


class EarlyFilm(Conditioner):
    """`Early` and `Film`: a bias at the input, and a scale and a bias at both sites of every gated block.

    References
    ----------
    The best public entry on the CPEN455 images, github.com/jhee-han/UBC_CPEN455_Conditional_PixelCNN, without
    its biases at the shortcuts and at the head.
    """

    def build(self, n_classes: int, sites: Sites) -> None:
        self.early, self.film = Early(), Film()
        self.early.build(n_classes, sites)
        self.film.build(n_classes, sites)

    def forward(self, labels: Tensor) -> Modulations:
        return self.early(labels) | self.film(labels)
