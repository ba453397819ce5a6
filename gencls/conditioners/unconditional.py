"""No conditioning."""

from __future__ import annotations

from torch import Tensor

from .base import Conditioner, Modulations, Sites

__all__ = ["Unconditional"]


class Unconditional(Conditioner):
    """No conditioning: the network models p(x), and the classifier returns the prior.

    It is meant for density estimation, and as the baseline of the other conditioners.

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
