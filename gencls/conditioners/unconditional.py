"""No conditioning."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulations, Sites

__all__ = ["Unconditional"]


class Unconditional(Conditioner):
    """p(x) alone: the network is never told the class, and the classifier returns the prior.

    For work on densities, and the floor for all others.

    References
    ----------
    T. Salimans, A. Karpathy, X. Chen, D. P. Kingma (2017), "PixelCNN++: Improving the PixelCNN with
    Discretized Logistic Mixture Likelihood and Other Modifications".
    """

    ignores_labels = True

    def build(self, n_classes: int, sites: Sites) -> None:
        pass

    def forward(self, labels: Tensor) -> Modulations:
        return {}
