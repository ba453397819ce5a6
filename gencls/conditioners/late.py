"""Late conditioning: in the last blocks."""

from __future__ import annotations

from torch import Tensor

from .._common.validation import check_parameters, whole
from .base import Conditioner, Modulation, Modulations, Sites, per_site, zero_embedding

__all__ = ["Late"]


class Late(Conditioner):
    """A bias for each class in the last gated blocks, as in `Mild`, and before the last 1×1 convolution.

    All classes share the earlier layers, which are computed once for any number of classes.

    Parameters
    ----------
    n_blocks : int, default=2
        Number of blocks of each stream, counted from the end; from 1 to all of them.

    References
    ----------
    The late fusion of the public CPEN455 entry github.com/jhee-han/UBC_CPEN455_Conditional_PixelCNN, which
    applies before the last convolution only.
    """

    def __init__(self, n_blocks: int = 2):
        super().__init__()
        self.n_blocks = n_blocks

    def build(self, n_classes: int, sites: Sites) -> None:
        second = sites.named("second")
        blocks = sorted({(site.stage, site.block) for site in second})
        check_parameters("Late", vars(self), {"n_blocks": whole(1, len(blocks))})
        last = [site for site in second if (site.stage, site.block) in blocks[-self.n_blocks :]]
        self.bias = per_site(
            [*last, *sites.named("head")], lambda site: zero_embedding(n_classes, site.channels)
        )

    def forward(self, labels: Tensor) -> Modulations:
        return {site: Modulation(shift=bias(labels)) for site, bias in self.bias.items()}
