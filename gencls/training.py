"""Training: a skorch net with averaged weights, a cosine schedule, validation by Bayes' theorem, and progress."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Dataset
from tqdm import tqdm

from .errors import NonFiniteLossError, TrainingInterruptedWarning
from .metrics import bits_per_dim
from .model import ConditionalPixelCNN
from .posterior import joint_log_prob, log_posterior
from .scoring import class_log_likelihoods

__all__ = ["GenerativeNet", "LabelledImages", "MONITORS"]

INIT_BATCH = 128  # images for the data-dependent initialisation
WARMUP = 0.05  # share of all steps in which the learning rate rises

# What early stopping can watch: its key in the history, and whether smaller is better.
MONITORS = {
    "bits_per_dim": ("valid_bpd", True),
    "log_loss": ("valid_log_loss", True),
    "accuracy": ("valid_accuracy", False),
}


@dataclass(frozen=True)
class LabelledImages(Dataset):
    """Levels (N, C, H, W) with labels (N,) and weights (N,); whole batches are taken at once."""

    levels: Tensor
    labels: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[dict[str, Tensor], Tensor]:
        return {"levels": self.levels[index], "labels": self.labels[index]}, self.weights[index]

    def __getitems__(self, indices: list[int]) -> tuple[dict[str, Tensor], Tensor]:
        return self[torch.tensor(indices)]


def as_is(batch: Any) -> Any:
    """Collate nothing: `LabelledImages` hands out whole batches."""
    return batch


class NegativeLogLikelihood(nn.Module):
    """Weighted mean of -log p(x | c), in nats per dimension."""

    def __init__(self, n_dimensions: int):
        super().__init__()
        self.n_dimensions = n_dimensions

    def forward(self, log_prob: Tensor, weights: Tensor) -> Tensor:
        """Log-probabilities (N,) and weights (N,) whose mean over the training set is 1."""
        return -(log_prob * weights).mean() / self.n_dimensions


class MovingAverage:
    """Exponential moving average whose memory grows with the number of steps up to the given decay."""

    def __init__(self, decay: float):
        self.decay = decay

    def __call__(self, averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor) -> None:
        steps = int(n_averaged)
        decay = min(self.decay, (1 + steps) / (10 + steps))
        get_ema_multi_avg_fn(decay)(averaged, current, n_averaged)


class GenerativeNet(NeuralNet):
    """The skorch net that trains a `ConditionalPixelCNN` by maximum likelihood.

    Parameters
    ----------
    *args, **kwargs
        As for `skorch.NeuralNet`.
    ema_decay : float, default=0.999
        Of the averaged weights.
    gradient_clip : float, optional
        Largest norm of the gradient of the loss in nats per dimension.

    Attributes
    ----------
    averaged_ : torch.optim.swa_utils.AveragedModel
        The averaged weights; all predictions use them.
    """

    def __init__(self, *args: Any, ema_decay: float = 0.999, gradient_clip: float | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.ema_decay = ema_decay
        self.gradient_clip = gradient_clip

    @property
    def averaged_model(self) -> ConditionalPixelCNN:
        """The model with averaged weights."""
        return self.averaged_.module

    def learn(self, images: LabelledImages, epochs: int, *, schedule: bool = True) -> None:
        """Train for some epochs, on from where the net is; its learning rate follows the cosine if `schedule`."""
        steps = math.ceil(len(images) / self.batch_size) * epochs
        self.planned_steps = steps if schedule else None
        self.planned_epochs = epochs
        self.partial_fit(images, None, epochs=epochs)

    def initialise_weights(self, images: LabelledImages) -> None:
        """Set the weights by some images, chosen at random (Salimans and Kingma 2016)."""
        chosen = torch.randperm(len(images))[:INIT_BATCH]
        self.module_.initialise(images.levels[chosen].to(self.device), images.labels[chosen].to(self.device))
        self.averaged_model.load_state_dict(self.module_.state_dict())

    def initialize_module(self) -> GenerativeNet:
        """Build the model and its average."""
        super().initialize_module()
        self.averaged_ = AveragedModel(self.module_, multi_avg_fn=MovingAverage(self.ema_decay))
        self.averaged_.requires_grad_(False)
        return self

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters of the model; those of its average are not optimised."""
        yield from self.module_.named_parameters()

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute loss and gradients, clip them, and refuse those that are not finite."""
        step = super().train_step_single(batch, **fit_params)
        limit = math.inf if self.gradient_clip is None else self.gradient_clip
        norm = nn.utils.clip_grad_norm_(self.module_.parameters(), limit)
        if not torch.isfinite(step["loss"] + norm):
            raise NonFiniteLossError(
                f"The training loss or its gradient is not finite (loss {step['loss'].item():g}, gradient norm {norm:g}) in "
                f"epoch {len(self.history)}. Try a smaller lr (now {self.lr:g}) or a smaller gradient_clip (now "
                f"{self.gradient_clip}). The weights from before this step are kept, and predictions use them."
            )
        return step

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **fit_params: Any) -> GenerativeNet:
        """Train; an interruption ends training, and what was learned is kept."""
        before = len(self.history)
        try:
            super().fit_loop(X, y, epochs=epochs, **fit_params)
        except KeyboardInterrupt:
            if self.history and "dur" not in self.history[-1]:
                self._forget_unfinished_epoch()
                warnings.warn(
                    f"Training was interrupted after {len(self.history) - before} of {self.planned_epochs} epochs; what was "
                    "learned is kept.",
                    TrainingInterruptedWarning,
                    stacklevel=2,
                )
        except NonFiniteLossError:
            self._forget_unfinished_epoch()
            raise
        return self

    def _forget_unfinished_epoch(self) -> None:
        del self.history[-1]


class WeightAveraging(Callback):
    """Update the averaged weights after every step."""

    def on_batch_end(self, net: GenerativeNet, training: bool = False, **kwargs: Any) -> None:
        if training:
            net.averaged_.update_parameters(net.module_)


class CosineSchedule(Callback):
    """Let the learning rate rise for the first steps and then fall to 0 on a cosine (Loshchilov and Hutter 2017)."""

    def on_train_begin(self, net: GenerativeNet, **kwargs: Any) -> None:
        self.step_ = 0

    def on_batch_begin(self, net: GenerativeNet, training: bool = False, **kwargs: Any) -> None:
        if not training:
            return
        factor = 1.0 if net.planned_steps is None else self._factor(net.planned_steps)
        for group in net.optimizer_.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * factor
        self.step_ += 1

    def _factor(self, planned: int) -> float:
        warmup = max(1, int(WARMUP * planned))
        if self.step_ < warmup:
            return (self.step_ + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (self.step_ - warmup) / max(1, planned - warmup)))


class Validation(Callback):
    """Record bits per dimension in training, and on held-out images also accuracy and log-loss.

    Parameters
    ----------
    n_dimensions : int
    images : LabelledImages, optional
        Held-out images.
    prior : ndarray of shape (K,), optional
    """

    def __init__(
        self, n_dimensions: int, images: LabelledImages | None = None, prior: NDArray[np.float64] | None = None
    ):
        self.n_dimensions = n_dimensions
        self.images = images
        self.prior = prior

    def on_epoch_end(self, net: GenerativeNet, **kwargs: Any) -> None:
        net.history.record("train_bpd", net.history[-1]["train_loss"] / math.log(2))
        if self.images is not None:
            for name, value in self._scores(net, self.images).items():
                net.history.record(name, value)

    def on_train_end(self, net: GenerativeNet, **kwargs: Any) -> None:
        self.images = None  # a fitted model carries no images along

    def _scores(self, net: GenerativeNet, images: LabelledImages) -> dict[str, float]:
        log_likelihood = class_log_likelihoods(net.averaged_model, images.levels)
        posterior = log_posterior(joint_log_prob(log_likelihood, self.prior))
        labels = images.labels.cpu().numpy()
        chosen = log_likelihood[np.arange(len(labels)), labels]
        return {
            "valid_bpd": bits_per_dim(chosen, self.n_dimensions),
            "valid_accuracy": float((posterior.argmax(1) == labels).mean()),
            "valid_log_loss": float(-posterior[np.arange(len(labels)), labels].mean()),
        }


class EarlyStopping(Callback):
    """Stop when a validation figure no longer gets better, and go back to the best weights.

    Parameters
    ----------
    monitor : str
        A key of `MONITORS`.
    patience : int
        Epochs without a new best before training stops.
    """

    def __init__(self, monitor: str, patience: int):
        self.monitor = monitor
        self.patience = patience

    def on_train_begin(self, net: GenerativeNet, **kwargs: Any) -> None:
        self.best_, self.waited_, self.weights_ = math.inf, 0, None

    def on_epoch_end(self, net: GenerativeNet, **kwargs: Any) -> None:
        key, smaller_is_better = MONITORS[self.monitor]
        value = net.history[-1][key] * (1 if smaller_is_better else -1)
        if value < self.best_:
            self.best_, self.waited_ = value, 0
            self.weights_ = deepcopy([net.module_.state_dict(), net.averaged_.state_dict()])
            return
        self.waited_ += 1
        if self.waited_ >= self.patience:
            raise KeyboardInterrupt  # as skorch's own callbacks end training

    def on_train_end(self, net: GenerativeNet, **kwargs: Any) -> None:
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_[0])
            net.averaged_.load_state_dict(self.weights_[1])
        self.weights_ = None


class Progress(Callback):
    """Show how far training is: a bar on a terminal, a line an epoch in a log."""

    def on_train_begin(self, net: GenerativeNet, **kwargs: Any) -> None:
        self.epochs_ = 0
        self.bar_ = tqdm(total=net.planned_epochs, unit="epoch") if sys.stderr.isatty() else None

    def on_batch_end(self, net: GenerativeNet, X: Any = None, training: bool = False, **kwargs: Any) -> None:
        if training and self.bar_ is not None:
            self.bar_.update(len(X["labels"]) / self.n_images_)

    def on_epoch_begin(self, net: GenerativeNet, dataset_train: Any = None, **kwargs: Any) -> None:
        self.n_images_ = len(dataset_train)

    def on_epoch_end(self, net: GenerativeNet, **kwargs: Any) -> None:
        self.epochs_ += 1
        row = net.history[-1]
        words = f"{row['train_bpd']:.4f} bits/dim"
        if "valid_bpd" in row:
            words += (
                f", held out {row['valid_bpd']:.4f} bits/dim, accuracy {row['valid_accuracy']:.4f}, "
                f"log-loss {row['valid_log_loss']:.3f}"
            )
        if self.bar_ is not None:
            self.bar_.set_postfix_str(words)
        else:
            print(f"epoch {self.epochs_}/{net.planned_epochs}: {words} ({row['dur']:.1f} s)", file=sys.stderr, flush=True)

    def on_train_end(self, net: GenerativeNet, **kwargs: Any) -> None:
        if self.bar_ is not None:
            self.bar_.close()
        self.bar_ = None
