"""Images moved by a few pixels: more training images than there are."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["shift_at_random"]


def shift_at_random(levels: Tensor, most: int, generator: torch.Generator | None = None) -> Tensor:
    """Every image moved by up to `most` pixels up or down and left or right; what moves in repeats the edge.

    Parameters
    ----------
    levels : Tensor of shape (N, C, H, W)
    most : int
        Not negative. All moves are equally likely.
    generator : torch.Generator, optional
        On the CPU; without it torch's own stream.

    Returns
    -------
    Tensor of shape (N, C, H, W)
    """
    n_images, n_channels, height, width = levels.shape
    rows, columns = (_moved(n_images, size, most, generator).to(levels.device) for size in (height, width))
    taller = levels.gather(2, rows[:, None, :, None].expand(-1, n_channels, -1, width))
    return taller.gather(3, columns[:, None, None, :].expand(-1, n_channels, height, -1))


def _moved(n_images: int, size: int, most: int, generator: torch.Generator | None) -> Tensor:
    """For each image (N, size), where the pixels along an axis come from."""
    moves = torch.randint(-most, most + 1, (n_images, 1), generator=generator)
    return (torch.arange(size) + moves).clamp(0, size - 1)
