"""Drawing images pixel by pixel, each given those before it: plainly, and with a cache."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from .incremental import IncrementalPixelCNN
from .model import ConditionalPixelCNN

__all__ = ["ancestral_sample", "cached_sample", "draw_noise"]


def draw_noise(
    model: ConditionalPixelCNN, n_samples: int, random_state: np.random.RandomState
) -> NDArray[np.float64]:
    """All random numbers for some images: (N, H, W, M + C), uniform on (0, 1).

    Each image has its own stream, so that the first images are the same however many are drawn.
    """
    _, height, width = model.image_shape
    per_pixel = model.likelihood.n_mixtures + model.likelihood.n_channels
    noise = random_state.random_sample((n_samples, height, width, per_pixel))
    tiny = np.finfo(np.float32).eps / 2  # keeps the logarithms finite in float32
    return noise.clip(tiny, 1 - tiny)


def ancestral_sample(
    model: ConditionalPixelCNN,
    labels: Tensor,
    noise: NDArray[np.float64],
    *,
    batch_size: int = 64,
    verbose: int = 0,
) -> Tensor:
    """Draw an image for each label by a full pass of the network for every pixel: plain, slow, the reference.

    Parameters
    ----------
    model : ConditionalPixelCNN
    labels : Tensor of shape (N,)
        Integers from 0 to K - 1; classes may be mixed.
    noise : ndarray of shape (N, H, W, M + C)
        From `draw_noise`; the same noise gives the same images.
    batch_size : int, default=64
        Images drawn side by side.
    verbose : int, default=0
        Whether progress is shown.

    Returns
    -------
    Tensor of shape (N, C, H, W)
        Levels, uint8.
    """
    return _in_batches(_draw_plainly, model, labels, noise, batch_size, verbose)


def cached_sample(
    model: ConditionalPixelCNN,
    labels: Tensor,
    noise: NDArray[np.float64],
    *,
    batch_size: int = 256,
    verbose: int = 0,
) -> Tensor:
    """Draw the images of `ancestral_sample` by computing only what each new pixel adds.

    In float64 they are the same to the last level; in float32 a rounding difference can move a value by a
    level once in a great while, and then what follows it.

    Parameters
    ----------
    model, labels, noise, batch_size, verbose
        As in `ancestral_sample`.

    Returns
    -------
    Tensor of shape (N, C, H, W)
        Levels, uint8.

    References
    ----------
    P. Ramachandran et al. (2017), "Fast Generation for Convolutional Autoregressive Models".
    """
    return _in_batches(_draw_with_cache, model, labels, noise, batch_size, verbose)


def _in_batches(
    draw: Callable[[ConditionalPixelCNN, Tensor, Tensor, tqdm], Tensor],
    model: ConditionalPixelCNN,
    labels: Tensor,
    noise: NDArray[np.float64],
    batch_size: int,
    verbose: int,
) -> Tensor:
    model.eval()
    _, height, width = model.image_shape
    noises = np.split(noise, range(batch_size, len(noise), batch_size))
    batches = list(zip(labels.split(batch_size), noises, strict=True))
    with (
        torch.inference_mode(),
        tqdm(
            total=len(batches) * height * width, desc="sampling", unit="pixel", disable=not verbose
        ) as progress,
    ):
        return torch.cat(
            [
                draw(
                    model, some.to(model.device), torch.from_numpy(u).to(model.device, model.dtype), progress
                )
                for some, u in batches
            ]
        )


def _draw_plainly(model: ConditionalPixelCNN, labels: Tensor, uniform: Tensor, progress: tqdm) -> Tensor:
    modulations = model.modulate_images(labels)
    levels = _blank(model, labels)
    for row, column in np.ndindex(*model.image_shape[1:]):
        images = model.likelihood.scale(levels, model.dtype)
        parameters = model.network(images, modulations)[0, :, :, row, column]
        levels[:, :, row, column] = model.likelihood.sample(parameters, uniform[:, row, column])
        progress.update()
    return levels


def _draw_with_cache(model: ConditionalPixelCNN, labels: Tensor, uniform: Tensor, progress: tqdm) -> Tensor:
    network = IncrementalPixelCNN(model.network, model.modulate_images(labels), len(labels))
    levels = _blank(model, labels)
    for row, column in np.ndindex(*model.image_shape[1:]):
        if column == 0:
            network.begin_row(row)
        colours = model.likelihood.sample(network.step(row, column), uniform[:, row, column])
        network.put(row, column, model.likelihood.scale(colours, model.dtype))
        levels[:, :, row, column] = colours
        progress.update()
    return levels


def _blank(model: ConditionalPixelCNN, labels: Tensor) -> Tensor:
    return torch.zeros(len(labels), *model.image_shape, dtype=torch.uint8, device=model.device)
