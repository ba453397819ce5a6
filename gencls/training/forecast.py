"""How long a training takes: the plan in words, and a forecast from the first steps."""

from __future__ import annotations

import math
import sys
import time
import warnings
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

from ..errors import LongTrainingWarning
from .plan import PlannedStage

__all__ = ["Forecast", "as_duration", "seconds_left"]

SKIPPED, TIMED = 1, 3  # steps at the beginning: the first may compile or allocate
LONG = 600.0  # seconds from which a training is announced without `verbose`


class Forecast(Callback):
    """Say at the beginning what will be trained and how long that takes, or warn of a long training."""

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Say what will be trained."""
        self.n_steps_ = 0
        if net.forecast_ is None and net.plan_.shows_progress:
            _say(_in_words(net))

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Time the first steps."""
        if not training or net.forecast_ is not None:
            return
        self.n_steps_ += 1
        if self.n_steps_ == SKIPPED:
            self.start_ = time.perf_counter()
        elif self.n_steps_ == SKIPPED + TIMED:
            seconds = (time.perf_counter() - self.start_) / TIMED
            n_steps = net.stage_.n_steps(len(net.data_))
            net.forecast_ = seconds * n_steps * _stages_left(net)
            _announce(net)


def seconds_left(net: NeuralNet) -> float:
    """The time that the epochs left will take, from the duration of those of the current stage."""
    rows = net.history[net.stage_begin_ :]
    rate = sum(row["dur"] for row in rows) / len(rows)
    return float(rate * net.stage_.epochs * _stages_left(net))


def as_duration(seconds: float) -> str:
    """A duration in words, in at most two units."""
    if seconds < 59.5:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if not hours else f"{hours} h {rest} min"


def _announce(net: NeuralNet) -> None:
    words = f"about {as_duration(net.forecast_)} on this machine"
    if net.plan_.shows_progress:
        _say(f"Training will take {words}.")
    elif net.forecast_ > LONG:
        size = "×".join(map(str, net.module_.image_shape[1:]))
        warnings.warn(
            f"Training will take {words}: {_in_words(net)} Reduce max_epochs or n_filters, or "
            f"resolution (now {size}). With verbose=1 training shows its progress.",
            LongTrainingWarning,
            stacklevel=2,
        )


def _in_words(net: NeuralNet) -> str:
    """The plan of a training in a sentence."""
    plan, n_images = net.plan_, len(net.data_)
    channels = net.module_.image_shape[0]
    stages = ", then ".join(_stage_in_words(stage) for stage in plan.stages)
    n_steps = sum(stage.n_steps(n_images) for stage in plan.stages)
    return (
        f"{n_images:,} images with {channels} channel{'s' * (channels > 1)} of {len(plan.prior)} classes, "
        f"{stages}; {n_steps:,} steps."
    )


def _stage_in_words(stage: PlannedStage) -> str:
    height, width = stage.size
    parts = ", ".join(type(part).__name__ for part in stage.augmentation.parts)
    return (
        f"{stage.epochs} epoch{'s' * (stage.epochs > 1)} of {type(stage.objective).__name__} at "
        f"{height}×{width}{f' with {parts}' if parts else ''}"
    )


def _stages_left(net: NeuralNet) -> float:
    """How many times the current stage would take as long as the epochs that are left."""
    stage, later = net.stage_, net.plan_.stages[net.stage_number_ + 1 :]
    ahead = sum(_cost(net, each) for each in later) / _cost(net, stage)
    return 1 - (net.n_finished_ - net.stage_begin_) / stage.epochs + ahead


def _cost(net: NeuralNet, stage: PlannedStage) -> float:
    """Positions that a stage learns; those of a further class cost half, as classes share layers."""
    label, generator = torch.zeros(1, dtype=torch.int64), torch.Generator()  # torch's own is not used
    n_scored = len(stage.objective.candidates(label, len(net.plan_.prior), generator))
    n_images = stage.images_per_epoch(len(net.data_))
    return stage.epochs * n_images * (1 + n_scored) / 2 * math.prod(stage.size)


def _say(words: str) -> None:
    sys.stderr.write(words + "\n")
    sys.stderr.flush()
