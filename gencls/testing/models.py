"""The tiny models on which rules are checked."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ..backends.random_numbers import DrawingFrom, new_generator
from ..conditioners import Conditioner
from ..density.model import ConditionalPixelCNN
from ..pixelcnn import PixelCNN, Sites

__all__ = [
    "CLASSES",
    "TOLERANCE",
    "all_images",
    "images_for",
    "random_images",
    "sites_of",
    "tiny_conditioner",
    "tiny_model",
]

CLASSES = torch.arange(3)
N_FILTERS = 4
TOLERANCE = 1e-9  # in float64


def tiny_model(
    image_shape: tuple[int, int, int] = (1, 4, 4),
    n_levels: int = 3,
    *,
    conditioner: Any = "mild",
    symmetry: Any = None,
    seed: int = 0,
    start: bool = False,
) -> ConditionalPixelCNN:
    """A tiny model of float64 in evaluation mode, with noise on its weights.

    At the `start` the conditioner's weights are those from `build`.
    """
    with DrawingFrom(seed), torch.no_grad():
        model = ConditionalPixelCNN(
            image_shape,
            n_levels,
            len(CLASSES),
            conditioner,
            n_layers=1,
            n_filters=N_FILTERS,
            n_mixtures=2,
            symmetry=symmetry,
        ).double()
        for part in (model.network,) if start else (model.network, model.conditioner):
            _disturb(part)
    return model.eval()


def tiny_conditioner(conditioner: Conditioner, image_shape: tuple[int, int, int], seed: int) -> Conditioner:
    """Build a conditioner as for a tiny model, with noise on its weights, but without the network."""
    with DrawingFrom(seed), torch.no_grad():
        conditioner.build(len(CLASSES), sites_of(image_shape))
        _disturb(conditioner.double())
    return conditioner.eval()


@cache
def sites_of(image_shape: tuple[int, int, int], n_layers: int = 1) -> Sites:
    """The sites of the network of a tiny model."""
    with torch.device("meta"):
        return PixelCNN(image_shape, 1, n_layers, N_FILTERS).sites


def _disturb(part: nn.Module) -> None:
    """Add noise to the weights."""
    for parameter in part.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.5)


def images_for(model: ConditionalPixelCNN, seed: int = 0) -> Tensor:
    """Random levels (6, C, H, W) for a model."""
    return random_images(model.image_shape, model.likelihood.n_levels, seed=seed)


def random_images(
    image_shape: tuple[int, int, int], n_levels: int, n_images: int = 6, seed: int = 0
) -> Tensor:
    """Random levels (N, C, H, W), int64."""
    return torch.randint(n_levels, (n_images, *image_shape), generator=new_generator(seed))


def all_images(image_shape: tuple[int, int, int], n_levels: int) -> Tensor:
    """The levels of every image of a shape, (L^(C·H·W), C, H, W)."""
    values = torch.arange(n_levels)
    n_dimensions = int(torch.Size(image_shape).numel())
    return torch.cartesian_prod(*[values] * n_dimensions).reshape(-1, *image_shape)
