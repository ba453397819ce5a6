"""Feature-wise linear modulation that depends on the location."""

from __future__ import annotations

from torch import Tensor, nn

from .._common.validation import check_parameters, whole
from .base import Conditioner, Modulation, Modulations, Sites, per_site, zeroed
from .spatial import ClassMaps

__all__ = ["SpatialFilm"]


class SpatialFilm(Conditioner):
    """Learned maps over the image for each class, and linear maps from them to scale and bias as in `Film`.

    Parameters
    ----------
    n_maps : int, default=4
        Maps for each class, at least 1.

    References
    ----------
    T. Park, M.-Y. Liu, T.-C. Wang, J.-Y. Zhu (2019), "Semantic Image Synthesis with Spatially-Adaptive
    Normalization", with learned maps of the class instead of segmentation masks.
    """

    def __init__(self, n_maps: int = 4):
        super().__init__()
        self.n_maps = n_maps

    def build(self, n_classes: int, sites: Sites) -> None:
        check_parameters("SpatialFilm", vars(self), {"n_maps": whole(1)})
        self.maps = ClassMaps(n_classes, self.n_maps, sites)
        self.film = per_site(
            sites.named("first", "second"),
            lambda site: zeroed(nn.Conv2d(self.n_maps, 2 * site.channels, 1, bias=False)),
        )

    def forward(self, labels: Tensor) -> Modulations:
        pairs = {site: film(self.maps(labels, site)).chunk(2, dim=1) for site, film in self.film.items()}
        return {site: Modulation(scale=1 + scale, shift=shift) for site, (scale, shift) in pairs.items()}
