"""An augmentation for gencls: images that are equally likely with their channels in reverse order."""

from __future__ import annotations

import torch
from torch import Tensor

from gencls.augmentations import Augmentation

__all__ = ["SwapColours"]


class SwapColours(Augmentation):
    """Reverse the channels, such as red, green, blue, of half of the images; both are equally likely."""

    def per_batch(self, levels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Levels (N, C, H, W), of which half have their channels reversed."""
        chosen = (torch.rand(len(levels), generator=generator) < 0.5).to(levels.device)
        return torch.where(chosen[:, None, None, None], levels.flip(1), levels)

    def orbit(self, levels: Tensor) -> list[Tensor]:
        """The images, and those with reversed channels."""
        return [levels, levels.flip(1)]
