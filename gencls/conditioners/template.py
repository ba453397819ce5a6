"""A learned image for each class."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulation, Modulations, Sites, per_site, zero_embedding

__all__ = ["Template"]


class Template(Conditioner):
    """A learned image for each class, added to the features after the first convolutions.

    References
    ----------
    The public CPEN455 entry github.com/yf-ivanguo/CPEN455-Final, which adds the image to the pixels; here the
    image has F channels and is added to the features.
    """

    def build(self, n_classes: int, sites: Sites) -> None:
        self.image = per_site(
            sites.named("input"),
            lambda site: zero_embedding(n_classes, site.channels * site.height * site.width),
        )

    def forward(self, labels: Tensor) -> Modulations:
        return {
            site: Modulation(shift=image(labels).unflatten(1, (site.channels, site.height, site.width)))
            for site, image in self.image.items()
        }
