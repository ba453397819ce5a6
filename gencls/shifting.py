"""Images moved by a few pixels: more training images than there are."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["shift_at_random"]


def shift_at_random(levels: Tensor, most: int) -> Tensor:
    """Every image moved by up to `most` pixels up or down and left or right; what moves in repeats the edge.

    Parameters
    ----------
    levels : Tensor of shape (N, C, H, W)
    most : int
        Not negative. All moves are equally likely, by torch's random numbers on the device of the levels.

    Returns
    -------
    Tensor of shape (N, C, H, W)
    """
    n_images, n_channels, height, width = levels.shape
    rows, columns = (_moved(n_images, size, most, levels.device) for size in (height, width))
    taller = levels.gather(2, rows[:, None, :, None].expand(-1, n_channels, -1, width))
    return taller.gather(3, columns[:, None, None, :].expand(-1, n_channels, height, -1))


def _moved(n_images: int, size: int, most: int, device: torch.device) -> Tensor:
    """For each image (N, size), where the pixels along an axis come from."""
    moves = torch.randint(-most, most + 1, (n_images, 1), device=device)
    return (torch.arange(size, device=device) + moves).clamp(0, size - 1)
