"""A class embedding that all sites share."""

from __future__ import annotations

from torch import Tensor, nn

from .._common.validation import check_parameters, whole
from .base import Conditioner, Modulation, Modulations, Sites, per_site, zeroed

__all__ = ["Embedding"]


class Embedding(Conditioner):
    """One learned vector for each class, and in every gated block a linear map from it to the bias of `Mild`.

    With many classes it has far fewer parameters than `Mild`, and all classes share the linear maps.

    Parameters
    ----------
    size : int, default=16
        Length of the vector, at least 1.

    References
    ----------
    A. van den Oord, N. Kalchbrenner, O. Vinyals, L. Espeholt, A. Graves, K. Kavukcuoglu (2016),
    "Conditional Image Generation with PixelCNN Decoders", equation 4.
    """

    def __init__(self, size: int = 16):
        super().__init__()
        self.size = size

    def build(self, n_classes: int, sites: Sites) -> None:
        check_parameters("Embedding", vars(self), {"size": whole(1)})
        self.embedding = nn.Embedding(n_classes, self.size)
        self.bias = per_site(
            sites.named("second"), lambda site: zeroed(nn.Linear(self.size, site.channels, bias=False))
        )

    def forward(self, labels: Tensor) -> Modulations:
        embedded = self.embedding(labels)
        return {site: Modulation(shift=bias(embedded)) for site, bias in self.bias.items()}
