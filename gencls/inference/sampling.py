"""Drawing images pixel by pixel, each given the pixels before it: plainly, and with a cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ..backends.cuda_graphs import CudaCapture, ReplayedCalls
from ..density.model import ConditionalPixelCNN
from ..pixelcnn import Execution
from .cached_network import CachedPixelCNN, kind_of_row

__all__ = ["ancestral_sample", "cached_sample", "draw_images", "draw_noise"]

DEFAULT_EXECUTION = Execution()


def draw_images(
    model: ConditionalPixelCNN,
    labels: Tensor,
    random_state: np.random.RandomState,
    *,
    known: Tensor | None = None,
    execution: Execution = DEFAULT_EXECUTION,
    verbose: int = 0,
) -> Tensor:
    """Draw an image from the density of the model for each label, given its known upper rows if any.

    Without a symmetry, the density is that of the network. With one, the position of each image in its orbit
    is drawn first, by Bayes' theorem given the upper rows, and the network draws the image at that position.

    Parameters
    ----------
    model : ConditionalPixelCNN
    labels : Tensor of shape (N,)
        Integers from 0 to K - 1.
    random_state : RandomState
        Each image has its own random numbers, so that the first images do not depend on how many are drawn.
    known : Tensor of shape (N, C, R, W), optional
        Levels of the upper R rows, which are kept.
    execution : Execution, optional
        With compiled kernels on a GPU, rows are replayed as CUDA graphs; the features are always float32.
    verbose : int, default=0
        Whether progress is shown.

    Returns
    -------
    Tensor of shape (N, C, H, W)
        Levels, uint8.
    """
    if not model.symmetry.parts:
        noise = draw_noise(model, len(labels), random_state)
        return cached_sample(model, labels, noise, known=known, execution=execution, verbose=verbose)
    known = (_no_rows(model, len(labels)) if known is None else known).to(model.device)
    quantiles = np.random.RandomState(random_state.randint(2**31 - 1)).random_sample(len(labels))
    noise = draw_noise(model, len(labels), random_state)
    positions = _draw_positions(model, labels, quantiles, known)
    moved = _at_position(model, known, positions)
    drawn = cached_sample(model, labels, noise, known=moved, execution=execution, verbose=verbose)
    return _undone(model, drawn, positions)


def draw_noise(
    model: ConditionalPixelCNN, n_samples: int, random_state: np.random.RandomState
) -> NDArray[np.float64]:
    """All random numbers for some images: (N, H, W, M + C), uniform on (0, 1).

    Each image has its own random numbers, so that the first images do not depend on how many are drawn.
    """
    _, height, width = model.image_shape
    noise = random_state.random_sample((n_samples, height, width, _noise_per_pixel(model)))
    tiny = np.finfo(np.float32).eps / 2  # keeps the logarithms finite in float32
    return noise.clip(tiny, 1 - tiny, out=noise)


def _noise_per_pixel(model: ConditionalPixelCNN) -> int:
    return model.likelihood.n_mixtures + model.likelihood.n_channels


def ancestral_sample(
    model: ConditionalPixelCNN,
    labels: Tensor,
    noise: NDArray[np.float64],
    *,
    batch_size: int = 64,
    verbose: int = 0,
) -> Tensor:
    """Draw an image for each label by a full pass of the network for every pixel: the slow reference.

    Parameters
    ----------
    model : ConditionalPixelCNN
    labels : Tensor of shape (N,)
        Integers from 0 to K - 1; classes may be mixed.
    noise : ndarray of shape (N, H, W, M + C)
        From `draw_noise`; the same noise results in the same images.
    batch_size : int, default=64
        Images drawn at once.
    verbose : int, default=0
        Whether progress is shown.

    Returns
    -------
    Tensor of shape (N, C, H, W)
        Levels, uint8.
    """
    parts = _batches(model, batch_size, labels, noise)
    with _progress(model, len(parts), verbose) as progress:
        return torch.cat([_draw_by_full_passes(model, progress, *part) for part in parts])


def cached_sample(
    model: ConditionalPixelCNN,
    labels: Tensor,
    noise: NDArray[np.float64],
    *,
    known: Tensor | None = None,
    execution: Execution = DEFAULT_EXECUTION,
    batch_size: int = 256,
    verbose: int = 0,
) -> Tensor:
    """Draw the images of `ancestral_sample`, and compute only the contribution of each new pixel.

    In float64 the images are identical. In float32 a rounding difference can, rarely, change a value by one
    level, and as a result the following pixels.

    Parameters
    ----------
    model, labels, noise, batch_size, verbose
        As in `ancestral_sample`.
    known : Tensor of shape (N, C, R, W), optional
        Levels of the upper R rows, which are kept; the rest is drawn given these.
    execution : Execution, optional
        With compiled kernels on a GPU, rows are replayed as CUDA graphs.

    Returns
    -------
    Tensor of shape (N, C, H, W)
        Levels, uint8.

    References
    ----------
    P. Ramachandran et al. (2017), "Fast Generation for Convolutional Autoregressive Models".
    """
    if known is None:
        known = _no_rows(model, len(labels))
    parts = _batches(model, batch_size, labels, noise, known)
    with _progress(model, len(parts), verbose) as progress:
        return torch.cat([_draw_with_cache(model, execution, progress, *part) for part in parts])


def _no_rows(model: ConditionalPixelCNN, n_images: int) -> Tensor:
    """Zero upper rows of images."""
    return torch.empty(n_images, model.image_shape[0], 0, model.image_shape[2], dtype=torch.uint8)


def _draw_positions(
    model: ConditionalPixelCNN, labels: Tensor, quantiles: NDArray[np.float64], known: Tensor
) -> Tensor:
    """Draw the position (N,) of each image in its orbit, by quantiles (N,), given the known rows."""
    with torch.inference_mode():
        parts = [_positions(model, *part) for part in _batches(model, 64, labels, quantiles, known)]
        return torch.cat(parts)


def _positions(model: ConditionalPixelCNN, labels: Tensor, quantiles: Tensor, known: Tensor) -> Tensor:
    modulations, n_rows = model.modulate_images(labels), known.shape[2]
    orbit = model.symmetry.orbit(known)
    scores = torch.stack([model.network_log_prob(each, modulations, n_rows)[0] for each in orbit])
    bounds = scores.softmax(dim=0).flip(0).cumsum(dim=0)  # from the last position to the first
    return len(orbit) - 1 - (quantiles >= bounds[:-1]).sum(dim=0)


def _at_position(model: ConditionalPixelCNN, levels: Tensor, positions: Tensor) -> Tensor:
    """The image of each orbit (N, C, R, W) at a position (N,)."""
    orbit = torch.stack(model.symmetry.orbit(levels))
    return orbit[positions, torch.arange(len(positions), device=positions.device)]


def _undone(model: ConditionalPixelCNN, levels: Tensor, positions: Tensor) -> Tensor:
    """Undo `_at_position`: each transformation is its own inverse, and the last one is undone first."""
    each = torch.arange(len(positions), device=positions.device)
    for part in reversed(list(model.symmetry.parts)):
        orbit = torch.stack(part.orbit(levels))
        levels, positions = orbit[positions % len(orbit), each], positions // len(orbit)
    return levels


def _batches(
    model: ConditionalPixelCNN, batch_size: int, labels: Tensor, noise: NDArray[np.float64], *more: Tensor
) -> list[tuple[Tensor, ...]]:
    """Labels, noise and further tensors, in batches on the device of the model."""
    model.eval()
    uniform = torch.from_numpy(noise).to(model.dtype)
    columns = [values.to(model.device).split(batch_size) for values in (labels, uniform, *more)]
    return list(zip(*columns, strict=True))


@contextmanager
def _progress(model: ConditionalPixelCNN, n_batches: int, verbose: int) -> Iterator[tqdm]:
    """Context manager without gradients, with a progress bar over the pixels of each batch."""
    n_pixels = n_batches * model.image_shape[1] * model.image_shape[2]
    with (
        torch.inference_mode(),
        tqdm(total=n_pixels, desc="sampling", unit="pixel", disable=not verbose) as progress,
    ):
        yield progress


def _draw_by_full_passes(
    model: ConditionalPixelCNN, progress: tqdm, labels: Tensor, uniform: Tensor
) -> Tensor:
    modulations = model.modulate_images(labels)
    levels = _blank(model, labels)
    for row, column in np.ndindex(*model.image_shape[1:]):
        images = model.likelihood.scale(levels, model.dtype)
        parameters = model.network(images, modulations)[0, :, :, row, column]
        levels[:, :, row, column] = model.likelihood.sample(parameters, uniform[:, row, column])
        progress.update()
    return levels


def _draw_with_cache(
    model: ConditionalPixelCNN,
    execution: Execution,
    progress: tqdm,
    labels: Tensor,
    uniform: Tensor,
    known: Tensor,
) -> Tensor:
    drawn = _Row(model, labels)
    draw = ReplayedCalls(drawn.draw, _capture_for(model, execution))
    levels = _blank(model, labels)
    n_known = known.shape[2]
    levels[:, :, :n_known] = known
    for row in range(levels.shape[2]):
        drawn.enter(row, levels[:, :, row], uniform[:, row])
        draw(kind_of_row(row), row < n_known)
        levels[:, :, row] = drawn.levels
        progress.update(levels.shape[3])
    return levels


def _capture_for(model: ConditionalPixelCNN, execution: Execution) -> CudaCapture | None:
    """The capture of rows as CUDA graphs, if compiled kernels are used on a GPU."""
    wanted = execution.compiled and model.device.type == "cuda"
    return CudaCapture(model.device) if wanted else None


class _Row:
    """The current row of some images, in buffers that all rows share."""

    def __init__(self, model: ConditionalPixelCNN, labels: Tensor):
        self.model = model
        self.network = CachedPixelCNN(model.network, model.modulate_images(labels), len(labels))
        self.levels = _blank(model, labels)[:, :, 0].clone()
        self.noise = torch.zeros(
            len(labels), self.levels.shape[2], _noise_per_pixel(model), dtype=model.dtype, device=model.device
        )

    def enter(self, row: int, levels: Tensor, noise: Tensor) -> None:
        """Enter a row with levels (N, C, W), which are used if they are known, and noise (N, W, M + C)."""
        self.network.enter(row)
        self.levels.copy_(levels)
        self.noise.copy_(noise)

    def draw(self, kind: int, is_known: bool) -> None:
        """Draw the levels of a row of this kind, or only update the caches if they are known."""
        likelihood = self.model.likelihood
        self.network.begin_row(kind)
        for column in range(self.levels.shape[2]):
            parameters = self.network.step(kind, column)
            if not is_known:
                self.levels[:, :, column] = likelihood.sample(parameters, self.noise[:, column])
            self.network.put(column, likelihood.scale(self.levels[:, :, column], self.model.dtype))


def _blank(model: ConditionalPixelCNN, labels: Tensor) -> Tensor:
    return torch.zeros(len(labels), *model.image_shape, dtype=torch.uint8, device=model.device)
