"""Sequences of augmentations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .base import Augmentation, changes_epochs, has_orbit

__all__ = ["Composed"]


class Composed(Augmentation):
    """A sequence of augmentations, applied in order; an empty one changes nothing.

    The estimator converts a list for its parameter `augmentation` to a `Composed`. The orbit of an image has
    all combinations of the orbits of the parts.

    Parameters
    ----------
    parts : sequence of Augmentation, default=()
    """

    def __init__(self, parts: Sequence[Augmentation] = ()):
        self.parts = parts

    @property
    def per_epoch_parts(self) -> list[Augmentation]:
        """The parts that change images at the beginning of an epoch."""
        return [part for part in self.parts if changes_epochs(part)]

    def symmetric(self) -> Composed:
        """The parts that make the density symmetric."""
        return Composed([part for part in self.parts if has_orbit(part)])

    def per_epoch(
        self, images: NDArray[Any], size: tuple[int, int], random_state: np.random.RandomState
    ) -> NDArray[Any]:
        for part in self.parts:
            images = part.per_epoch(images, size, random_state)
        return images

    def per_batch(self, levels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        for part in self.parts:
            levels = part.per_batch(levels, generator)
        return levels

    def orbit(self, levels: Tensor) -> list[Tensor]:
        found = [levels]
        for part in self.parts:
            found = [moved for each in found for moved in part.orbit(each)]
        return found

    def places(self, image_shape: tuple[int, int, int]) -> Tensor:
        """Where each pixel of an image is in the members of its orbit.

        Parameters
        ----------
        image_shape : tuple of int
            C, H and W.

        Returns
        -------
        Tensor of shape (G, H · W)
            Positions in the order of rows, of int64.
        """
        channels, height, width = image_shape
        marks = torch.eye(height * width, dtype=torch.uint8).unflatten(1, (1, height, width))
        marks = torch.cat([torch.zeros_like(marks[:1]), marks]).expand(-1, channels, -1, -1)
        moved = [(each[1:] != each[:1]).any(dim=1) for each in self.orbit(marks.contiguous())]
        return torch.stack([each.flatten(1).int().argmax(dim=1) for each in moved])

    def check(self, image_shape: tuple[int, int, int]) -> None:
        for part in self.parts:
            part.check(image_shape)
