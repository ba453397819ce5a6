r"""Images that are equally likely flipped.

.. math::
    p(x \mid c) = \tfrac12\, q(x \mid c) + \tfrac12\, q(\bar x \mid c)

where q is the density of the network, and a bar flips an image left to right.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Augmentation

__all__ = ["Flip"]


class Flip(Augmentation):
    """Flip images left to right, which suits photographs but not digits.

    Training flips each image with probability 1/2 in each batch, and the density is averaged over an image
    and its flipped copy. Scoring takes twice as long.
    """

    def per_batch(self, levels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        chosen = (torch.rand(len(levels), generator=generator) < 0.5).to(levels.device)
        return torch.where(chosen[:, None, None, None], levels.flip(-1), levels)

    def orbit(self, levels: Tensor) -> list[Tensor]:
        return [levels, levels.flip(-1)]
