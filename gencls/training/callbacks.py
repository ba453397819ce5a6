"""What happens around the steps of training: averaging, schedule, validation, early stopping, progress."""

from __future__ import annotations

import math
import sys
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback
from tqdm import tqdm

from ..bayes.calibration import fit_temperature
from ..bayes.posterior import joint_log_prob, log_posterior
from ..errors import InvalidParameterError
from ..inference.scoring import class_log_likelihoods
from ..metrics.probabilities import bits_per_dim
from .data import LabelledImages

__all__ = [
    "MONITORS",
    "NEEDED_CALLBACKS",
    "OPTIONAL_CALLBACKS",
    "CosineSchedule",
    "EarlyStopping",
    "Progress",
    "Validation",
    "WeightAveraging",
]

WARMUP = 0.05  # share of all steps in which the learning rate rises

# What early stopping can watch: its key in the history, and whether smaller is better.
MONITORS = {
    "bits_per_dim": ("valid_bpd", True),
    "log_loss": ("valid_log_loss", True),
    "accuracy": ("valid_accuracy", False),
}

# Without these nothing is learned, or nothing recorded; the last two are skorch's own.
NEEDED_CALLBACKS = ("averaging", "validation", "cross_entropy", "train_loss", "epoch_timer")
OPTIONAL_CALLBACKS = ("schedule", "progress", "early_stopping", "print_log")


class WeightAveraging(Callback):
    """Update the averaged weights after every step."""

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        if training:
            net.averaged_.update_parameters(net.module_)


class CosineSchedule(Callback):
    """Let the learning rate rise at first and then fall to 0 on a cosine (Loshchilov and Hutter 2017)."""

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.step_ = 0

    def on_batch_begin(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
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
    temperature : float or "auto", default=1.0
        That of the log-loss; ``"auto"`` is the best one after each epoch.
    """

    def __init__(
        self,
        n_dimensions: int,
        images: LabelledImages | None = None,
        prior: NDArray[np.float64] | None = None,
        temperature: float | str = 1.0,
    ):
        self.n_dimensions = n_dimensions
        self.images = images
        self.prior = prior
        self.temperature = temperature

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.images is not None and self.prior is not None:
            for name, value in self._scores(net, self.images, self.prior).items():
                net.history.record(name, value)
        row = net.history[-1]
        if "train_loss" not in row:
            raise InvalidParameterError(
                "The parameter 'batch_size' of GenerativeBayesClassifier must leave a batch in each epoch, "
                f"got {net.batch_size}. Take smaller batches, or iterator_train of net_params as it was."
            )
        nats = row["train_loss"]
        if net.discrimination_ is not None:
            nats -= net.discrimination_.weight * row["train_cross_entropy"]
        net.history.record("train_bpd", nats / math.log(2))  # last: the row is whole

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.images = None  # a fitted model carries no images along

    def _scores(self, net: NeuralNet, images: LabelledImages, prior: Any) -> dict[str, float]:
        log_likelihood = class_log_likelihoods(net.averaged_model, images.levels)
        joint = joint_log_prob(log_likelihood, prior)
        labels = images.labels.cpu().numpy()
        fixed = self.temperature != "auto"
        temperature = float(self.temperature) if fixed else fit_temperature(joint, labels)
        posterior = log_posterior(joint, temperature)
        chosen = log_likelihood[np.arange(len(labels)), labels]
        return {
            "valid_bpd": bits_per_dim(chosen, self.n_dimensions),
            "valid_accuracy": float((joint.argmax(1) == labels).mean()),
            "valid_log_loss": float(-posterior[np.arange(len(labels)), labels].mean()),
        }


class EarlyStopping(Callback):
    """Stop when a validation figure no longer gets better, and go back to the best weights.

    Parameters
    ----------
    monitor : str, optional
        A key of `MONITORS`; None never stops.
    patience : int, default=10
        Epochs without a new best before training stops.
    """

    def __init__(self, monitor: str | None = None, patience: int = 10):
        self.monitor = monitor
        self.patience = patience

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.best_, self.waited_ = math.inf, 0
        self.best_epoch_ = -1
        self.weights_: list[Any] | None = None

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.monitor is None:
            return
        key, smaller_is_better = MONITORS[self.monitor]
        value = net.history[-1][key] * (1 if smaller_is_better else -1)
        if value < self.best_:
            self.best_, self.waited_ = value, 0
            self.best_epoch_ = len(net.history) - 1
            self.weights_ = deepcopy([net.module_.state_dict(), net.averaged_.state_dict()])
            return
        self.waited_ += 1
        if self.waited_ >= self.patience:
            raise KeyboardInterrupt  # as skorch's own callbacks end training

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_[0])
            net.averaged_.load_state_dict(self.weights_[1])
        self.weights_ = None


class Progress(Callback):
    """Show how far training is: a bar on a terminal, a line an epoch in a log.

    Parameters
    ----------
    shown : bool, default=False
    """

    def __init__(self, shown: bool = False):
        self.shown = shown

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.epochs_ = 0
        self.bar_ = _bar(net.planned_epochs) if self.shown and sys.stderr.isatty() else None

    def on_batch_end(self, net: NeuralNet, batch: Any = None, training: bool = False, **kwargs: Any) -> None:
        if training and self.bar_ is not None:
            self.bar_.update(len(batch[0]["labels"]) / self.n_images_)

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any) -> None:
        self.n_images_ = len(dataset_train)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if not self.shown:
            return
        self.epochs_ += 1
        row = net.history[-1]
        words = f"{row['train_bpd']:.4f} bits/dim"
        if "train_cross_entropy" in row:
            words += f", cross-entropy {row['train_cross_entropy']:.3f} nats"
        if "valid_bpd" in row:
            words += (
                f", held out {row['valid_bpd']:.4f} bits/dim, accuracy {row['valid_accuracy']:.4f}, "
                f"log-loss {row['valid_log_loss']:.3f}"
            )
        if self.bar_ is not None:
            self.bar_.set_postfix_str(words)
        else:
            sys.stderr.write(f"epoch {self.epochs_}/{net.planned_epochs}: {words} ({row['dur']:.1f} s)\n")
            sys.stderr.flush()

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.bar_ is not None:
            self.bar_.close()
        self.bar_ = None


def _bar(n_epochs: int) -> tqdm:
    layout = "{percentage:3.0f}%|{bar:20}| {n:.1f}/{total} epochs [{elapsed}<{remaining}{postfix}]"
    return tqdm(total=n_epochs, bar_format=layout)
