"""Callbacks of training: averaging, schedule, figures, early stopping, progress."""

from __future__ import annotations

import sys
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from ..backends.random_numbers import draw_key
from ..bayes import fit_temperature, log_posterior
from ..errors import InvalidParameterError
from ..inference.scoring import Scorer
from ..metrics import bits_per_dim
from .data import LabelledImages
from .forecast import as_duration, seconds_left
from .plan import MONITORS, Plan

__all__ = [
    "NEEDED_CALLBACKS",
    "OPTIONAL_CALLBACKS",
    "CosineSchedule",
    "EarlyStopping",
    "EpochAugmentation",
    "Figures",
    "Progress",
    "WeightAveraging",
]

REPEATED = ("train_bpd", "train_nll")  # the same figure in different units

# Training or its history needs these callbacks; the last two are skorch's.
NEEDED_CALLBACKS = ("augmentation", "averaging", "figures", "checkpoint", "train_loss", "epoch_timer")
OPTIONAL_CALLBACKS = ("schedule", "forecast", "progress", "early_stopping", "print_log")


class EpochAugmentation(Callback):
    """Draw the images of an epoch at its beginning, if its stage learns some of them, or varies them."""

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any) -> None:
        stage, n_images = net.stage_, len(net.data_)
        if stage.augmentation.per_epoch_parts or stage.images_per_epoch(n_images) < n_images:
            random_state = np.random.RandomState(draw_key(net.generator_))
            vars(dataset_train).update(vars(net.data_.drawn(stage, random_state)))


class WeightAveraging(Callback):
    """Update the averaged weights after every step, as `AveragedModel.update_parameters` does.

    The tensors are listed once in a training: a search takes longer than averaging those of a small network.
    """

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        models = net.averaged_model, net.module_
        self.parameters_ = [list(model.parameters()) for model in models]
        self.buffers_ = [list(model.buffers()) for model in models]

    @torch.no_grad()
    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        if not training:
            return
        n_averaged = net.averaged_.n_averaged
        if n_averaged == 0:
            _copy(*self.parameters_)
        else:
            net.averaged_.multi_avg_fn(*self.parameters_, n_averaged)
        _copy(*self.buffers_)
        n_averaged += 1

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.parameters_, self.buffers_ = [], []


def _copy(to: list[Tensor], values: list[Tensor]) -> None:
    for each, value in zip(to, values, strict=True):
        each.copy_(value)


class CosineSchedule(LRScheduler):
    """Set the learning rate of each step by the schedule of the stage."""

    def __init__(self) -> None:
        super().__init__(policy=LambdaLR, step_every="batch", event_name=None)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.lr_scheduler_ = None

    def _get_scheduler(self, net: NeuralNet, policy: Any, **kwargs: Any) -> LambdaLR:
        return LambdaLR(net.optimizer_, net.rate_factor)


class Figures(Callback):
    """Record the terms of the objective and bits per dimension, and figures of held-out images.

    Those of held-out images are bits per dimension, accuracy and log-loss and, if the temperature is learned,
    the one with the smallest log-loss.
    """

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if net.held_out_ is not None:
            for name, value in _scores(net, net.plan_, net.held_out_).items():
                net.history.record(name, value)
        batches = net.history[-1, "batches"]
        if not batches:
            raise InvalidParameterError(
                "The parameter 'batch_size' of GenerativeBayesClassifier must leave a batch in each epoch, "
                f"got {net.batch_size}. Use smaller batches, or do not set iterator_train in net_params."
            )
        sizes = [batch["train_batch_size"] for batch in batches]
        for name in net.recorded_:
            values = [batch[name] for batch in batches]
            net.history.record(name, float(np.average(values, weights=sizes)))
        net.n_finished_ = len(net.history)


def _scores(net: NeuralNet, plan: Plan, images: LabelledImages) -> dict[str, float]:
    """Figures of held-out images."""
    scorer = Scorer(net.averaged_model, plan.prior, plan.scoring)
    log_likelihood = scorer.log_likelihood(images.levels)
    joint = scorer.with_prior(log_likelihood)
    labels = images.labels.cpu().numpy()
    learned = plan.temperature == "auto"
    expected = net.stage_.objective.temperature
    temperature = fit_temperature(joint, labels, expected=expected) if learned else float(plan.temperature)
    own = np.arange(len(labels)), labels
    figures = {
        "valid_bpd": bits_per_dim(log_likelihood[own], net.averaged_model.n_dimensions),
        "valid_accuracy": float((joint.argmax(1) == labels).mean()),
        "valid_log_loss": float(-log_posterior(joint, temperature)[own].mean()),
    }
    return figures | ({"valid_temperature": temperature} if learned else {})


class EarlyStopping(SkorchEarlyStopping):
    """Stop a stage when the monitored figure no longer improves, and restore the best weights."""

    def __init__(self) -> None:
        super().__init__(threshold=0.0, threshold_mode="abs")

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.patience = net.plan_.patience
        if net.plan_.monitor is not None:
            self.monitor, self.lower_is_better = MONITORS[net.plan_.monitor]
        super().on_train_begin(net, **kwargs)
        self.best_weights_: list[Any] | None = None

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if net.plan_.monitor is None or net.held_out_ is None:
            return
        try:
            super().on_epoch_end(net, **kwargs)
        except KeyboardInterrupt:  # as skorch's callbacks end a training
            net.stop_reason_ = "early stopping"
            raise
        if self.misses_ == 0:
            net.best_row_ = len(net.history) - 1
            self.best_weights_ = deepcopy([net.module_.state_dict(), net.averaged_.state_dict()])

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.best_weights_ is not None:
            net.module_.load_state_dict(self.best_weights_[0])
            net.averaged_.load_state_dict(self.best_weights_[1])
        self.best_weights_ = None


class Progress(Callback):
    """Show the progress of a stage: a bar on a terminal, a line per epoch in a log."""

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.bar_ = _bar(net) if net.plan_.shows_progress and sys.stderr.isatty() else None

    def on_batch_end(self, net: NeuralNet, batch: Any = None, training: bool = False, **kwargs: Any) -> None:
        if training and self.bar_ is not None:
            part = len(batch[0]["labels"]) / net.stage_.images_per_epoch(len(net.data_))
            self.bar_.update(min(part, self.bar_.total - self.bar_.n))  # rounding would exceed the total

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if not net.plan_.shows_progress:
            return
        words = _summary(net)
        if self.bar_ is not None:
            self.bar_.set_postfix_str(words)
        else:
            done = len(net.history) - net.rows_before_
            left = f", {as_duration(seconds_left(net))} left" if done < net.plan_.n_epochs else ""
            seconds = net.history[-1]["dur"]
            sys.stderr.write(f"epoch {done}/{net.plan_.n_epochs}: {words} ({seconds:.1f} s{left})\n")
            sys.stderr.flush()

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.bar_ is not None:
            self.bar_.close()
        self.bar_ = None


def _summary(net: NeuralNet) -> str:
    """The figures of the last epoch in words."""
    row = net.history[-1]
    words = f"{row['train_bpd']:.4f} bits/dim"
    for name in net.recorded_:
        if name not in REPEATED:
            words += f", {name.removeprefix('train_').replace('_', '-')} {row[name]:.3f}"
    if "valid_bpd" in row:
        words += (
            f", held out {row['valid_bpd']:.4f} bits/dim, accuracy {row['valid_accuracy']:.4f}, "
            f"log-loss {row['valid_log_loss']:.3f}"
        )
    return words


def _bar(net: NeuralNet) -> tqdm:
    layout = "{desc}{percentage:3.0f}%|{bar:20}| {n:.1f}/{total} epochs [{elapsed}<{remaining}{postfix}]"
    n_stages = len(net.plan_.stages)
    name = f"stage {net.stage_number_ + 1} of {n_stages} " if n_stages > 1 else ""
    done = len(net.history) - net.stage_begin_  # more than 0 after a checkpoint
    return tqdm(total=net.stage_.epochs, initial=done, desc=name, bar_format=layout)
