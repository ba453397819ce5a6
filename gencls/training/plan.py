"""The plan of a training: stages whose settings are resolved before the first step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..augmentations import Augmentation, Composed
from ..objectives import Objective
from ..pixelcnn import Execution

if TYPE_CHECKING:
    from pathlib import Path

    from .data import TrainingData

__all__ = ["MONITORS", "Plan", "PlannedStage", "Stage"]

WARMUP = 0.05  # share of all steps in which the learning rate rises

# Figures that early stopping can monitor: the key in the history, and whether smaller is better.
MONITORS = {
    "bits_per_dim": ("valid_bpd", True),
    "log_loss": ("valid_log_loss", True),
    "accuracy": ("valid_accuracy", False),
}


@dataclass(frozen=True, repr=False)
class Stage:
    """A part of a training with its own settings, which default to those of the estimator.

    Parameters
    ----------
    epochs : int
        At least 1.
    lr : float, optional
        Peak learning rate.
    objective : str, type or Objective, optional
    augmentation : str, type, Augmentation or list of these, optional
        ``[]`` applies none.
    resolution : int or tuple of int, optional
        Rows and columns that images are reduced to: both sides, or (H, W). A stage at a resolution different
        from that of the stage before it begins with the averaged weights and a fresh optimizer.
    batch_size : int, optional
        Images in a training step.
    n_images : int, optional
        Images in an epoch: if there are more, each epoch draws this number of them. None is all images.

    Examples
    --------
    >>> from gencls import GenerativeBayesClassifier, Stage
    >>> from gencls.objectives import Hybrid
    >>> stages = [Stage(16, lr=3e-3), Stage(8, lr=1e-3, objective=Hybrid(weight=1.0, temperature=4.0))]
    >>> clf = GenerativeBayesClassifier(resolution=8, stages=stages)
    """

    epochs: int
    lr: float | None = field(default=None, kw_only=True)
    objective: str | type[Objective] | Objective | None = field(default=None, kw_only=True)
    augmentation: str | type[Augmentation] | Augmentation | list[Any] | None = field(
        default=None, kw_only=True
    )
    resolution: int | tuple[int, int] | None = field(default=None, kw_only=True)
    batch_size: int | None = field(default=None, kw_only=True)
    n_images: int | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        settings = [f"{name}={value!r}" for name, value in vars(self).items() if value is not None]
        return f"Stage({', '.join([repr(self.epochs), *settings[1:]])})"


@dataclass(frozen=True)
class PlannedStage:
    """A stage with all settings resolved.

    Attributes
    ----------
    epochs, batch_size : int
    lr : float
        Peak learning rate.
    objective : Objective
    augmentation : Composed
    size : tuple of int
        H and W of the images that are learned.
    is_scheduled : bool
        Whether the learning rate rises for the first 5 % of all steps and then falls to 0 on a cosine
        (Loshchilov and Hutter 2017); else it is constant.
    n_images : int, optional
        Images drawn for each epoch; None is all.
    """

    epochs: int
    batch_size: int
    lr: float
    objective: Objective
    augmentation: Composed
    size: tuple[int, int]
    is_scheduled: bool = True
    n_images: int | None = None

    def as_stage(self) -> Stage:
        """The same settings as a `Stage`."""
        return Stage(
            self.epochs,
            lr=self.lr,
            objective=self.objective,
            augmentation=list(self.augmentation.parts),
            resolution=self.size,
            batch_size=self.batch_size,
            n_images=self.n_images,
        )

    def images_per_epoch(self, n_images: int) -> int:
        """Images that an epoch learns, of this number."""
        return n_images if self.n_images is None else min(self.n_images, n_images)

    def n_steps(self, n_images: int) -> int:
        """Steps of all epochs with this number of images."""
        return math.ceil(self.images_per_epoch(n_images) / self.batch_size) * self.epochs

    def rate_factor(self, step: int, n_images: int) -> float:
        """The learning rate of a step, from 0, relative to its peak, with this number of images."""
        if not self.is_scheduled:
            return 1.0
        n_steps = self.n_steps(n_images)
        warmup = max(1, int(WARMUP * n_steps))
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, n_steps - warmup)))


@dataclass(frozen=True)
class Plan:
    """All settings of a training.

    Attributes
    ----------
    stages : tuple of PlannedStage
    prior : ndarray of shape (K,)
        p(class).
    seed : int
        Seed of all random numbers: the order of the images, dropout, augmentations, candidates.
    execution : Execution
        How training computes, including its dropout.
    scoring : Execution
        How held-out images are scored.
    ema_decay : float
        Decay of the averaged weights, from 0 to below 1.
    gradient_clip : float or None
        Largest norm of the gradient of the loss.
    held_out : TrainingData, optional
        Images that are scored after each epoch.
    temperature : float or "auto"
        Temperature of the log-loss of held-out images; ``"auto"`` is the best one after each epoch.
    monitor : str, optional
        A key of `MONITORS` that early stopping monitors; None disables it.
    patience : int
        Epochs without a new best before a stage stops.
    shows_progress : bool
    checkpoint_dir : Path, optional
        A folder for a checkpoint after each epoch.
    identity : dict
        What must agree with a checkpoint, by names for messages.
    """

    stages: tuple[PlannedStage, ...]
    prior: NDArray[np.float64]
    seed: int
    execution: Execution = field(default_factory=Execution)
    scoring: Execution = field(default_factory=Execution)
    ema_decay: float = 0.999
    gradient_clip: float | None = 5.0
    held_out: TrainingData | None = None
    temperature: float | str = 1.0
    monitor: str | None = None
    patience: int = 10
    shows_progress: bool = False
    checkpoint_dir: Path | None = None
    identity: dict[str, str] = field(default_factory=dict)

    @property
    def n_epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)
