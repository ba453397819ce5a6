"""An objective for gencls: the likelihood, and comparisons with one different class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gencls.objectives import Objective, Scores

__all__ = ["Pairwise"]


class Pairwise(Objective):
    """The likelihood and, with a weight, the logistic loss of the own class against a random other class."""

    def __init__(self, weight: float = 1.0, temperature: float = 8.0) -> None:
        self.weight = weight
        self.temperature = temperature

    def candidates(self, labels: Tensor, n_classes: int, generator: torch.Generator | None = None) -> Tensor:
        """The own class of each image, and a different one, (2, N)."""
        steps = torch.randint(1, n_classes, labels.shape, generator=generator)
        return torch.stack([labels, (labels + steps.to(labels.device)) % n_classes])

    def terms(self, scores: Scores) -> dict[str, Tensor]:
        """Nats per dimension, and the mean logistic loss."""
        own, other = scores.log_prob / self.temperature
        return {"nll": scores.nats_per_dim, "pairwise": (scores.weights * softplus(other - own)).mean()}

    def loss(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return terms["nll"] + self.weight * terms["pairwise"]
