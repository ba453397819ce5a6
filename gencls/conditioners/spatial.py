"""A bias that depends on the location."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._common.validation import check_parameters, whole
from .base import Conditioner, Modulation, Modulations, Site, Sites, per_site, zeroed

__all__ = ["ClassMaps", "Spatial"]


class Spatial(Conditioner):
    """Learned maps over the image for each class, and in every gated block a linear map from them to a bias.

    Parameters
    ----------
    n_maps : int, default=4
        Maps for each class, at least 1.

    References
    ----------
    A. van den Oord, N. Kalchbrenner, O. Vinyals, L. Espeholt, A. Graves, K. Kavukcuoglu (2016), "Conditional
    Image Generation with PixelCNN Decoders", equation 5; here the maps are parameters, whereas the authors
    compute them from an embedding by a deconvolution.
    """

    def __init__(self, n_maps: int = 4):
        super().__init__()
        self.n_maps = n_maps

    def build(self, n_classes: int, sites: Sites) -> None:
        check_parameters("Spatial", vars(self), {"n_maps": whole(1)})
        self.maps = ClassMaps(n_classes, self.n_maps, sites)
        self.bias = per_site(
            sites.named("second"), lambda site: zeroed(nn.Conv2d(self.n_maps, site.channels, 1, bias=False))
        )

    def forward(self, labels: Tensor) -> Modulations:
        return {site: Modulation(shift=bias(self.maps(labels, site))) for site, bias in self.bias.items()}


class ClassMaps(nn.Module):
    """Learned maps over the image for each class, at the resolution of any site.

    Parameters
    ----------
    n_classes, n_maps : int
    sites : Sites
        Sites of the network; the maps have the largest resolution among them.
    """

    def __init__(self, n_classes: int, n_maps: int, sites: Sites):
        super().__init__()
        height, width = max(site.height for site in sites), max(site.width for site in sites)
        self.maps = nn.Parameter(torch.randn(n_classes, n_maps, height, width))

    def forward(self, labels: Tensor, site: Site) -> Tensor:
        """The maps for labels (N,), averaged to the H and W of the site: (N, n_maps, H, W)."""
        return F.adaptive_avg_pool2d(self.maps[labels], (site.height, site.width))
