r"""Maximum likelihood.

.. math::
    \mathcal L = - \frac{1}{H W C} \log p(x \mid c)

averaged over the images.
"""

from __future__ import annotations

from torch import Tensor

from .base import Objective, Scores

__all__ = ["Likelihood"]


class Likelihood(Objective):
    """Maximum likelihood: the negative log-likelihood of the images under their own classes.

    Its only term is ``nll``, in nats per dimension.
    """

    def terms(self, scores: Scores) -> dict[str, Tensor]:
        return {"nll": scores.nats_per_dim}

    def loss(self, terms: dict[str, Tensor]) -> Tensor:
        return terms["nll"]
