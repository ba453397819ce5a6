"""For labels only: a small discriminative residual network, from scratch.

It is trained with crops, flips and a cosine schedule. Its features also stand in for those of Inception where
sample quality is measured without them.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

import splits
from experiments import Run
from records import Row
from scores import class_scores, count
from splits import Split

BATCH_SIZE = 64
SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
WARMUP = 0.05  # share of all steps in which the learning rate rises


class CropAndFlip(nn.Module):
    """In training, shift each image by up to an eighth of its size, and flip a share of them."""

    def __init__(self, flipped: float = 0.5):
        super().__init__()
        self.flipped = flipped

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W)."""
        return flip_and_move(images, self.flipped, images.shape[-1] // 8) if self.training else images


def flip_and_move(images: Tensor, flipped: float, most: int) -> Tensor:
    """Flip a share of the images, and shift all by up to `most` pixels; their edges are repeated."""
    n, _, height, width = images.shape
    padded = F.pad(images, (most, most, most, most), mode="replicate")
    rows = torch.randint(2 * most + 1, (n, 1)) + torch.arange(height)
    columns = torch.randint(2 * most + 1, (n, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(n, 1) < flipped, columns.flip(1), columns)
    moved = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


class Scale(nn.Module):
    """Scale a range of pixels to -1 to 1, in the fastest memory layout for convolutions on a CPU."""

    def __init__(self, lowest: float, highest: float):
        super().__init__()
        self.lowest, self.radius = lowest, (highest - lowest) / 2

    def forward(self, images: Tensor) -> Tensor:
        """Images of any dtype, as float32."""
        scaled = (images.float() - self.lowest) / self.radius - 1
        return scaled.contiguous(memory_format=torch.channels_last)


class Block(nn.Module):
    """A residual block with pre-activation (He et al. 2016, "Identity Mappings")."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.BatchNorm2d(n_in), nn.ReLU(), convolution(n_in, n_out, stride)),
            *(nn.BatchNorm2d(n_out), nn.ReLU(), convolution(n_out, n_out)),
        )
        alike = n_in == n_out and stride == 1
        self.shortcut = nn.Identity() if alike else nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, n_in, H, W) to (N, n_out, H / stride, W / stride)."""
        features: Tensor = self.shortcut(x) + self.body(x)
        return features


def convolution(n_in: int, n_out: int, stride: int = 1) -> nn.Conv2d:
    """3×3, without a bias: a normalisation follows."""
    return nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)


class ResidualNetwork(nn.Module):
    """Images (N, C, H, W) to logits (N, K); 0.7 million parameters.

    `features` turns images into the input of the last layer, (N, 128).

    Parameters
    ----------
    n_classes, n_channels : int
    pixel_range : tuple of float
        Lowest and highest pixel.
    flipped : float
        Share of the training images that are flipped.
    dtype : torch.dtype
        The precision of all but the last layer.
    widths : tuple of int
    """

    def __init__(
        self,
        n_classes: int = 4,
        n_channels: int = 3,
        pixel_range: tuple[float, float] = (0, 255),
        flipped: float = 0.5,
        dtype: torch.dtype = torch.float32,
        widths: tuple[int, ...] = (32, 64, 128),
    ):
        super().__init__()
        blocks: list[nn.Module] = []
        for n_in, n_out in zip((widths[0], *widths), widths, strict=False):
            blocks += [Block(n_in, n_out, stride=1 if n_in == n_out else 2), Block(n_out, n_out, stride=1)]
        self.dtype = dtype
        self.augment = CropAndFlip(flipped)
        self.features = nn.Sequential(
            *(Scale(*pixel_range), convolution(n_channels, widths[0]), *blocks),
            *(nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.head = nn.Linear(widths[-1], n_classes)
        nn.Module.to(self, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes."""
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
            features = self.features(self.augment(images))
        logits: Tensor = self.head(features.float())
        return logits


def train(
    images: Split, *, epochs: int, device: str = "cpu", seed: int = 0, **network: Any
) -> NeuralNetClassifier:
    """Train a network; a fitted skorch classifier of images (N, C, H, W)."""
    X = channels_first(images.X)
    schedule = cosine(math.ceil(len(images.X) / BATCH_SIZE) * epochs)
    net = NeuralNetClassifier(
        ResidualNetwork,
        module__n_classes=len(np.unique(images.y)),
        module__n_channels=X.shape[1],
        module__pixel_range=(0, 255) if X.dtype == np.uint8 else (X.min(), X.max()),
        **{f"module__{name}": value for name, value in network.items()},
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        **{name if name == "lr" else f"optimizer__{name}": value for name, value in SGD.items()},
        batch_size=BATCH_SIZE,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks=[LRScheduler(LambdaLR, lr_lambda=schedule, step_every="batch")],
        callbacks__print_log=None,
        device=device,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return net.fit(X, np.unique(images.y, return_inverse=True)[1])


def cosine(n_steps: int) -> Any:
    """The factor of the learning rate at each step: it rises, then falls to 0 on a cosine."""
    warmup = max(1, int(WARMUP * n_steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, n_steps - warmup)))

    return factor


def channels_first(X: NDArray[Any]) -> NDArray[Any]:
    """(N, H, W) or (N, H, W, C) to (N, C, H, W)."""
    return np.ascontiguousarray(X.reshape(*X.shape[:3], -1).transpose(0, 3, 1, 2))


def residual_network(
    run: Run,
    *,
    data: str,
    size: int,
    epochs: int,
    n_train: int | None = None,
    flipped: float = 0.5,
    precision: str = "float32",
) -> Row:
    """Train and score one network."""
    split = splits.load(data, size, n_train, run.seed)
    network = {"flipped": flipped, "dtype": getattr(torch, precision)}
    start = time.process_time()
    net = train(split, epochs=epochs, device=run.device, seed=run.seed, **network)
    fitted = time.process_time()
    log_probabilities = np.log(net.predict_proba(channels_first(split.X_val)).astype(np.float64) + 1e-30)
    scored = time.process_time()
    labels = np.searchsorted(np.unique(split.y), split.y_val)
    return class_scores(log_probabilities, labels) | {
        "epochs_trained": len(net.history),
        "fit_core_seconds": fitted - start,
        "score_core_seconds": scored - fitted,
        "fit_core_minutes": (fitted - start) / 60,
        "n_parameters": count(net.module_),
        "n_held_out": len(labels),
    }
