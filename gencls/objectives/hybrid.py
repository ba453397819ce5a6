r"""The likelihood, and the cross-entropy of Bayes' posterior.

.. math::
    \mathcal L = - \frac{1}{H W C} \log p(x \mid c) - \lambda \log p_\tau(c \mid x) ,
    \qquad p_\tau(c \mid x) \propto p(x, c)^{1 / \tau}

averaged over the images: the hybrid objective of generative classifiers, which also learns to separate the
classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._common.validation import as_float, check_parameters, optional, positive, real, whole
from .base import Objective, Scores

__all__ = ["Hybrid"]

RULES = {
    "weight": positive(),
    "temperature": real("a number from 1e-6 to 1e6", lambda value: 1e-6 <= as_float(value) <= 1e6),
    "n_contrasted": optional(whole(2)),
}


class Hybrid(Objective):
    r"""The likelihood and, with a weight, the cross-entropy of Bayes' posterior.

    Each image is scored under its own class and under m - 1 different classes. If m is below K, these are
    drawn at random for every image and weighted by (K - 1) / (m - 1), as in sampled softmax: their sum is an
    unbiased estimate of the sum over all other classes, and only the logarithm of the marginal is slightly
    too small. Its terms are ``nll``, in nats per dimension, and ``cross_entropy``, in nats per image.

    Parameters
    ----------
    weight : float, default=1.0
        :math:`\lambda`, above 0: the weight of the cross-entropy, relative to nats per dimension. It should
        grow with the temperature; at a temperature of 1, weights of 0.02 to 0.05 are usual. The objective
        works best after training by likelihood: classification improves, at the cost of a slightly worse
        density.
    temperature : float, default=8.0
        :math:`\tau`, from 1e-6 to 1e6: the divisor of the joint log-probabilities. The larger it is, the
        larger the margin, in nats, of an image's own class at which the cross-entropy vanishes. The
        temperature that calibrates the model after maximum likelihood is a good value.
    n_contrasted : int, optional
        m, at least 2; None, or a value of at least K, uses all classes. A step takes up to m times as long as
        by likelihood.

    References
    ----------
    L. Ardizzone, R. Mackowiak, C. Rother, U. Köthe (2020), "Training Normalizing Flows with the Information
    Bottleneck for Competitive Generative Classification".

    E. Fetaya, J.-H. Jacobsen, W. Grathwohl, R. Zemel (2020), "Understanding the Limitations of Conditional
    Generative Models".
    """

    def __init__(self, weight: float = 1.0, temperature: float = 8.0, n_contrasted: int | None = None):
        self.weight = weight
        self.temperature = temperature
        self.n_contrasted = n_contrasted

    def candidates(self, labels: Tensor, n_classes: int, generator: torch.Generator | None = None) -> Tensor:
        order = torch.rand(n_classes - 1, len(labels), generator=generator).argsort(dim=0)
        others = (labels + 1 + order[: self._n_others(n_classes)].to(labels.device)) % n_classes
        return torch.cat([labels[None], others])

    def terms(self, scores: Scores) -> dict[str, Tensor]:
        return {"nll": scores.nats_per_dim, "cross_entropy": self._cross_entropy(scores)}

    def loss(self, terms: dict[str, Tensor]) -> Tensor:
        return terms["nll"] + self.weight * terms["cross_entropy"]

    def check(self) -> None:
        check_parameters("Hybrid", self.get_params(), RULES)

    def _cross_entropy(self, scores: Scores) -> Tensor:
        r"""Weighted mean of :math:`-\log p_\tau(c \mid x)` over the images, in nats.

        Images of a class with the prior 0 are ignored, as no weights of the network make them probable.
        """
        log_prior = torch.from_numpy(scores.prior).to(scores.log_prob).log()[scores.candidates]
        possible = log_prior[0].isfinite()
        joint = (scores.log_prob + log_prior)[:, possible] / self.temperature
        stand_for = math.log((scores.n_classes - 1) / self._n_others(scores.n_classes))
        marginal = torch.cat([joint[:1], joint[1:] + stand_for]).logsumexp(dim=0)
        weights = scores.weights
        return (weights[possible] * (marginal - joint[0])).sum() / len(weights)

    def _n_others(self, n_classes: int) -> int:
        return min(self.n_contrasted or n_classes, n_classes) - 1
