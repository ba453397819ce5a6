"""Drawing images: pixel by pixel, each given those before it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from .model import ConditionalPixelCNN

__all__ = ["ancestral_sample", "draw_noise"]


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
    model.eval()
    batches = list(
        zip(labels.split(batch_size), np.split(noise, range(batch_size, len(noise), batch_size)), strict=True)
    )
    n_steps = len(batches) * model.image_shape[1] * model.image_shape[2]
    with (
        torch.inference_mode(),
        tqdm(total=n_steps, desc="sampling", unit="pixel", disable=not verbose) as progress,
    ):
        return torch.cat([_sample_batch(model, *batch, progress) for batch in batches])


def _sample_batch(
    model: ConditionalPixelCNN, labels: Tensor, noise: NDArray[np.float64], progress: tqdm
) -> Tensor:
    _, height, width = model.image_shape
    labels = labels.to(model.device)
    uniform = torch.from_numpy(noise).to(model.device, model.dtype)
    modulations = model.modulate_images(labels)
    levels = torch.zeros(len(labels), *model.image_shape, dtype=torch.uint8, device=model.device)
    for row in range(height):
        for column in range(width):
            images = model.likelihood.scale(levels, model.dtype)
            parameters = model.network(images, modulations)[0, :, :, row, column]
            colours = model.likelihood.sample(parameters, uniform[:, row, column])
            levels[:, :, row, column] = colours.to(torch.uint8)
            progress.update()
    return levels
