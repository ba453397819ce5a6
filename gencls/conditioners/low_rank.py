"""A linear map of the features for each class."""

from __future__ import annotations

from torch import Tensor, nn

from .._common.validation import check_parameters, whole
from .base import Conditioner, Modulation, Modulations, Site, Sites, per_site, zero_embedding

__all__ = ["LowRank"]


class LowRank(Conditioner):
    """The bias of `Mild`, and a linear map of low rank that mixes the features of each position.

    For each class, the features x of a position become x + LRx + b.

    Parameters
    ----------
    rank : int, default=2
        Columns of L and rows of R, at least 1.
    first_stage : int, default=3
        The first of the network's six stages that depends on the class, from 0 (all stages) to 5 (only the
        last stage). Earlier stages are computed once for all classes; with 3 these are the stages on the way
        down, a third of the network.

    References
    ----------
    E. J. Hu, Y. Shen, P. Wallis, Z. Allen-Zhu, Y. Li, S. Wang, L. Wang, W. Chen (2022), "LoRA: Low-Rank
    Adaptation of Large Language Models", equation 3: L starts at 0, R at random; here there is a pair for
    each class, trained jointly with the network.
    """

    def __init__(self, rank: int = 2, first_stage: int = 3):
        super().__init__()
        self.rank = rank
        self.first_stage = first_stage

    def build(self, n_classes: int, sites: Sites) -> None:
        second = sites.named("second")
        last = max(site.stage for site in second)
        check_parameters("LowRank", vars(self), {"rank": whole(1), "first_stage": whole(0, last)})
        second = second.in_stages(range(self.first_stage, last + 1))
        self.bias = per_site(second, lambda site: zero_embedding(n_classes, site.channels))
        self.left = per_site(second, lambda site: zero_embedding(n_classes, site.channels * self.rank))
        self.right = per_site(second, lambda site: nn.Embedding(n_classes, self.rank * site.channels))

    def forward(self, labels: Tensor) -> Modulations:
        return {
            site: Modulation(shift=bias(labels), mix=self._mix(site, labels))
            for site, bias in self.bias.items()
        }

    def _mix(self, site: Site, labels: Tensor) -> tuple[Tensor, Tensor]:
        left = self.left[site](labels).unflatten(1, (site.channels, self.rank))
        right = self.right[site](labels).unflatten(1, (self.rank, site.channels))
        return left, right / site.channels**0.5
