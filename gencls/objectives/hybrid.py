r"""What training minimises: the negative log-likelihood, and on demand also the posterior's cross-entropy.

.. math::
    \mathcal L = - \frac{1}{H W C} \log p(x \mid c) - \lambda \log p_\tau(c \mid x) ,
    \qquad p_\tau(c \mid x) \propto p(x, c)^{1 / \tau}

averaged over the images. With :math:`\lambda = 0` this is maximum likelihood; above, it is the hybrid
objective of generative classifiers, which also learns to tell the classes apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Discrimination", "NegativeLogLikelihood"]


class NegativeLogLikelihood(nn.Module):
    """Weighted mean of -log p(x | c), in nats per dimension."""

    def __init__(self, n_dimensions: int):
        super().__init__()
        self.n_dimensions = n_dimensions

    def forward(self, log_prob: Tensor, weights: Tensor) -> Tensor:
        """Log-probabilities (N,) and weights (N,) whose mean over the training set is 1."""
        return -(log_prob * weights).mean() / self.n_dimensions


@dataclass(frozen=True)
class Discrimination:
    r"""The discriminative part of the hybrid objective: the cross-entropy of Bayes' posterior.

    Each image is scored under its own class and under m - 1 others. If these are not all the others, they are
    drawn at random for every image, and stand for all of them with the weight (K - 1) / (m - 1): the expected
    sum over them is that over all, so that only the logarithm of the evidence is a little too small.

    Parameters
    ----------
    weight : float
        :math:`\lambda`, above 0: what a nat of cross-entropy counts beside a nat per dimension.
    prior : ndarray of shape (K,)
        p(c).
    n_contrasted : int, optional
        m, at least 2; None, or K and more, is all classes.
    temperature : float, default=1.0
        :math:`\tau`, above 0: what the joint log-probabilities are divided by. The larger it is, the more
        nats may an image's own class have to be ahead until nothing is left to learn.

    References
    ----------
    L. Ardizzone, R. Mackowiak, C. Rother, U. Köthe (2020), "Training Normalizing Flows with the Information
    Bottleneck for Competitive Generative Classification".

    E. Fetaya, J.-H. Jacobsen, W. Grathwohl, R. Zemel (2020), "Understanding the Limitations of Conditional
    Generative Models".
    """

    weight: float
    prior: NDArray[np.float64]
    n_contrasted: int | None = None
    temperature: float = 1.0

    def candidates(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The classes under which each image is scored.

        Parameters
        ----------
        labels : Tensor of shape (N,)
        generator : torch.Generator, optional
            On the CPU; without it torch's own stream.

        Returns
        -------
        Tensor of shape (m, N)
            The image's own class first, then the others without repetition.
        """
        n_classes = len(self.prior)
        order = torch.rand(n_classes - 1, len(labels), generator=generator).argsort(dim=0)
        others = (labels + 1 + order[: self._n_others].to(labels.device)) % n_classes
        return torch.cat([labels[None], others])

    def cross_entropy(self, log_prob: Tensor, candidates: Tensor, weights: Tensor) -> Tensor:
        r"""Weighted mean of :math:`-\log p_\tau(c \mid x)` over the images, in nats.

        Images of a class with the prior 0 are left out: no weights of the network make them probable.

        Parameters
        ----------
        log_prob : Tensor of shape (m, N)
            log p(x | candidate), nats.
        candidates : Tensor of shape (m, N)
        weights : Tensor of shape (N,)

        Returns
        -------
        Tensor of shape ()
        """
        log_prior = torch.from_numpy(self.prior).to(log_prob).log()[candidates]
        possible = log_prior[0].isfinite()
        joint = (log_prob + log_prior)[:, possible] / self.temperature
        stand_for = math.log((len(self.prior) - 1) / self._n_others)
        evidence = torch.cat([joint[:1], joint[1:] + stand_for]).logsumexp(dim=0)
        return (weights[possible] * (evidence - joint[0])).sum() / len(weights)

    @property
    def _n_others(self) -> int:
        n_classes = len(self.prior)
        return min(self.n_contrasted or n_classes, n_classes) - 1
