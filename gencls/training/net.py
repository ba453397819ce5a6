"""Training: a skorch net that follows a plan and averages its weights."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from skorch import NeuralNet
from skorch.history import History
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from ..backends.random_numbers import DrawingFrom, new_generator
from ..density.model import ConditionalPixelCNN
from ..errors import NonFiniteLossError, TrainingDivergedWarning, TrainingInterruptedWarning
from ..objectives import Scores
from .callbacks import (
    CosineSchedule,
    EarlyStopping,
    EpochAugmentation,
    Figures,
    Progress,
    WeightAveraging,
)
from .checkpoints import Checkpoint, read_checkpoint, restore, write_checkpoint
from .data import LabelledImages, TrainingData, as_is
from .forecast import Forecast
from .interruption import is_one_of_several
from .plan import Plan, PlannedStage

__all__ = ["GenerativeNet", "MovingAverage", "make_net"]

DIVERGED = 10**7  # bits per dimension that no initialisation reaches
INIT_BATCH = 128  # images for the data-dependent initialisation


class MovingAverage:
    """Exponential moving average whose memory grows with the number of steps up to the given decay."""

    def __init__(self, decay: float = 0.999):
        self.decay = decay

    def __call__(self, averaged: Any, current: Any, n_averaged: Tensor | int) -> None:
        """Move the averaged parameters, in place, towards the current ones."""
        steps = int(n_averaged)
        decay = min(self.decay, (1 + steps) / (10 + steps))
        get_ema_multi_avg_fn(decay)(averaged, current, n_averaged)


class GenerativeNet(NeuralNet):
    """The skorch net that trains a `ConditionalPixelCNN` by a plan.

    Attributes
    ----------
    averaged_ : torch.optim.swa_utils.AveragedModel
        The averaged weights; all predictions use them.
    stop_reason_ : {"completed", "early stopping", "interrupted", "callback", "error"}
        Why the last stage ended.
    best_row_ : int
        The row of the history to which the weights belong.
    plan_, stage_, data_, held_out_, generator_
        Of the running training; None after it.
    """

    lr: float
    batch_size: int
    plan_: Plan | None = None
    stage_: PlannedStage | None = None
    data_: TrainingData | None = None
    held_out_: LabelledImages | None = None
    generator_: torch.Generator | None = None
    resumed_: dict[str, Any] | None = None
    stop_reason_ = "completed"
    stage_number_ = rows_before_ = stage_begin_ = n_finished_ = 0
    best_row_: int | None = None
    forecast_: float | None = None  # seconds of the running training
    recorded_: tuple[str, ...] = ()

    @property
    def averaged_model(self) -> ConditionalPixelCNN:
        """The model with averaged weights."""
        model: ConditionalPixelCNN = self.averaged_.module  # type: ignore[assignment]
        return model

    def learn(self, data: TrainingData, plan: Plan) -> None:
        """Train by a plan, from the current weights or from a checkpoint of the same training.

        Parameters
        ----------
        data : TrainingData
        plan : Plan

        Raises
        ------
        InvalidParameterError
            If the checkpoint belongs to a different training.
        NonFiniteLossError
            If a loss, a gradient or a weight is not finite.
        KeyboardInterrupt
            If the user interrupts a training that a library calls, or one of a single unscheduled stage.

        Warns
        -----
        TrainingInterruptedWarning
            If the user interrupts any other training.
        TrainingDivergedWarning
            If the training has diverged.
        """
        state = read_checkpoint(plan, torch.device(self.device))
        self.plan_, self.data_, self.generator_ = plan, data, new_generator(plan.seed)
        self.rows_before_, self.forecast_ = len(self.history), None
        try:
            self._run_stages(plan, state)
        finally:
            self._bring_to(plan.stages[-1].size)  # also after an interruption in an earlier stage
            self.plan_ = self.stage_ = self.data_ = self.held_out_ = self.resumed_ = None
        self._report(plan)

    def resume(self, weights: Mapping[str, Tensor], history: Iterable[dict[str, Any]], n_steps: int) -> None:
        """Continue a trained net from its averaged weights, with a fresh optimizer."""
        self.module_.load_state_dict(weights)
        self.averaged_model.load_state_dict(weights)
        self.averaged_.n_averaged.fill_(n_steps)
        self.history_ = History({"batches": []} | row for row in history)

    def initialise(self, data: TrainingData, plan: Plan, seed: int) -> GenerativeNet:
        """Build the model, and initialise its weights from some images (Salimans and Kingma 2016)."""
        with DrawingFrom(seed):
            self.initialize()
        images, generator = data.at(plan.stages[0].size), new_generator(seed)
        chosen = torch.randperm(len(images), generator=generator)[:INIT_BATCH]
        levels, labels = (each[chosen].to(self.device) for each in (images.levels, images.labels))
        levels = self.module_.symmetry.per_batch(levels, generator)
        self.module_.initialise(levels, labels, generator)
        self.averaged_model.load_state_dict(self.module_.state_dict())
        return self

    def initialize_module(self) -> GenerativeNet:
        """Build the model and its average."""
        super().initialize_module()
        self.module_.float()  # independent of torch's default
        self.averaged_ = AveragedModel(self.module_, multi_avg_fn=MovingAverage())
        self.averaged_.requires_grad_(False)
        return self

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters of the model; those of its average are not optimised."""
        yield from self.module_.named_parameters()

    def get_params_for(self, prefix: str) -> dict[str, Any]:
        """As in skorch, with the generator by which torch's loaders order the images."""
        params: dict[str, Any] = super().get_params_for(prefix)
        if prefix == "iterator_train" and issubclass(self.iterator_train, DataLoader):
            params.setdefault("generator", self.generator_)
        return params

    def rate_factor(self, step: int) -> float:
        """The learning rate of a step of the current stage, relative to its peak."""
        return self.stage_.rate_factor(step, len(self.data_))  # type: ignore[union-attr, arg-type]

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute loss and gradients, clip them, and raise if they are not finite."""
        plan, stage = self._running
        inputs, weights = batch
        candidates = stage.objective.candidates(inputs["labels"], len(plan.prior), self.generator_)
        levels = stage.augmentation.per_batch(inputs["levels"], self.generator_)
        batch = {"levels": levels, "labels": candidates}, weights
        execution = replace(plan.execution, generator=self.generator_)
        step = super().train_step_single(batch, execution=execution, **fit_params)
        limit = math.inf if plan.gradient_clip is None else plan.gradient_clip
        learned = [each for group in self.optimizer_.param_groups for each in group["params"]]
        norm = nn.utils.clip_grad_norm_(learned, limit)
        if not torch.isfinite(step["loss"] + norm):
            raise NonFiniteLossError(
                f"The training loss or its gradient is not finite (loss {step['loss'].item():g}, "
                f"gradient norm {norm:g}) in epoch {len(self.history)}. Try a smaller lr (now {self.lr:g}) "
                f"or a smaller gradient_clip (now {plan.gradient_clip}). The weights from before this step "
                "are kept, and predictions use them."
            )
        return step

    def get_loss(self, y_pred: Tensor, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """The loss of the objective, whose terms are recorded."""
        plan, stage = self._running
        scores = Scores(y_pred, X["labels"], y_true, plan.prior, self.module_.n_dimensions)
        terms = stage.objective.terms(scores)
        figures = {f"train_{name}": term for name, term in terms.items()}
        figures["train_bpd"] = scores.nats_per_dim / math.log(2)
        for name, value in figures.items():
            self.history.record_batch(name, value.item())
        self.recorded_ = tuple(figures)
        return stage.objective.loss(terms)

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **fit_params: Any) -> GenerativeNet:
        """Train; the weights are kept even after an error, and the history has whole epochs only."""
        self.stop_reason_ = "completed"
        try:
            super().fit_loop(X, y, epochs=epochs, **fit_params)
        except KeyboardInterrupt:
            if self.stop_reason_ == "completed":  # early stopping has set its own
                # After a whole epoch a callback has ended the training, as skorch allows.
                self.stop_reason_ = "callback" if self.n_finished_ == len(self.history) else "interrupted"
            if self.stop_reason_ == "interrupted":
                self._forget_unfinished_epoch()
        except Exception:
            self.stop_reason_ = "error"
            self._forget_unfinished_epoch()
            self.notify("on_train_end", X=X, y=y)
            raise
        return self

    def _set_training(self, training: bool = True) -> None:
        """As in skorch, which visits all layers in each step, only where the mode changes."""
        if self.module_.training != training:
            super()._set_training(training)

    @property
    def _running(self) -> tuple[Plan, PlannedStage]:
        """The plan and the stage of the running training."""
        return self.plan_, self.stage_  # type: ignore[return-value]

    def _run_stages(self, plan: Plan, state: dict[str, Any] | None) -> None:
        first = 0 if state is None else state["stage"]
        for number, stage in enumerate(plan.stages[first:], start=first):
            resumed, self.stage_number_ = state if number == first else None, number
            self._enter(plan, stage, resumed)
            if resumed is not None and resumed["finished"]:
                continue
            done = len(self.history) - self.stage_begin_
            self.partial_fit(self.data_.at(stage.size), None, epochs=stage.epochs - done)  # type: ignore[union-attr]
            if self.best_row_ is None:
                self.best_row_ = len(self.history) - 1
            if self.stop_reason_ == "interrupted":
                return
            if plan.checkpoint_dir is not None:
                write_checkpoint(self, finished=True)

    def _enter(self, plan: Plan, stage: PlannedStage, state: dict[str, Any] | None) -> None:
        """Prepare for a stage, or for the rest of it after a checkpoint."""
        self.stage_, self.batch_size = stage, stage.batch_size
        if stage.lr != self.lr:
            self.lr = stage.lr
            for group in self.optimizer_.param_groups:
                group["initial_lr"] = group["lr"] = stage.lr
        self._bring_to(stage.size)
        self.averaged_.multi_avg_fn.decay = plan.ema_decay  # type: ignore[union-attr]
        self.held_out_ = None if plan.held_out is None else plan.held_out.at(stage.size)
        self.stage_begin_, self.n_finished_, self.best_row_ = len(self.history), len(self.history), None
        self.resumed_ = state
        if state is not None:
            restore(self, state)

    def _bring_to(self, size: tuple[int, int]) -> None:
        """Rebuild the model for a different size, with the averaged weights and a fresh optimizer."""
        if tuple(self.module_.image_shape[1:]) == tuple(size):
            return
        weights, n_averaged = self.averaged_model.state_dict(), int(self.averaged_.n_averaged)
        with DrawingFrom(seed=0):
            self.set_params(module__image_shape=(self.module_.image_shape[0], *size))
        self.resume(weights, self.history, n_averaged)

    def _forget_unfinished_epoch(self) -> None:
        if len(self.history) > self.n_finished_:
            del self.history[-1]

    def _report(self, plan: Plan) -> None:
        """Raise or warn if the training was interrupted or diverged."""
        n_done = len(self.history) - self.rows_before_
        if self.stop_reason_ == "interrupted":
            words = f"Training was interrupted after {n_done} of {plan.n_epochs} epochs"
            words += "; the learned weights are kept."
            if not plan.stages[-1].is_scheduled or is_one_of_several():
                raise KeyboardInterrupt(words)
            warnings.warn(words, TrainingInterruptedWarning, stacklevel=4)
        if n_done:
            self._check_whether_it_diverged(self.history[self.rows_before_]["train_bpd"])

    def _check_whether_it_diverged(self, start: float) -> None:
        """Warn if the predictions of the last epoch lie far outside the range, and did not in the first.

        Raises
        ------
        NonFiniteLossError
            If the last step, after which no loss was computed, made weights that are not finite.
        """
        if not all(weight.isfinite().all() for weight in self.averaged_model.parameters()):
            raise NonFiniteLossError(
                "The weights are not finite after the last step of training, and cannot predict. Fit again "
                f"with a smaller lr (now {self.lr:g})."
            )
        found = self.history[self.best_row_]["train_bpd"]
        likelihood = self.module_.likelihood
        if found > (likelihood.highest_cost / math.log(2) if found > start else DIVERGED):
            warnings.warn(
                f"Training has diverged: it ended at {found:.4g} bits per dimension, where equally probable "
                f"levels have {math.log2(likelihood.n_levels):.4g}. Its predictions are useless. Fit again "
                f"with a smaller lr (now {self.lr:g}).",
                TrainingDivergedWarning,
                stacklevel=4,
            )


def make_net(
    model: Mapping[str, Any], *, device: torch.device, lr: float, net_params: Mapping[str, Any]
) -> GenerativeNet:
    """Assemble the net.

    Parameters
    ----------
    model : mapping
        The parameters of `ConditionalPixelCNN`.
    device : torch.device
    lr : float
        Learning rate of the optimizer.
    net_params : mapping
        Parameters of `skorch.NeuralNet` that the user sets; callbacks are added to ours.

    Returns
    -------
    GenerativeNet
        Not initialised.
    """
    callbacks: list[tuple[str, Any]] = [
        ("augmentation", EpochAugmentation()),
        ("schedule", CosineSchedule()),
        ("averaging", WeightAveraging()),
        ("figures", Figures()),
        ("forecast", Forecast()),
        ("progress", Progress()),
        ("early_stopping", EarlyStopping()),
    ]
    params: dict[str, Any] = {f"module__{name}": value for name, value in model.items()} | {
        "criterion": nn.Identity,  # replaced by the objective of the plan
        "optimizer": optim.Adam,
        "lr": lr,
        "device": str(device),
        "train_split": None,
        "iterator_train__shuffle": True,
        "iterator_train__collate_fn": as_is,
        "callbacks__print_log": None,
        "callbacks__valid_loss": None,
        "verbose": 0,
    }
    if not net_params.keys() & {"optimizer", "optimizer__foreach", "optimizer__differentiable"}:
        params["optimizer__fused"] = device.type in ("cpu", "cuda")  # one kernel per step, not several
    params |= dict(net_params)
    given = list(net_params.get("callbacks") or [])
    params["callbacks"] = [*callbacks, *given, ("checkpoint", Checkpoint())]
    return GenerativeNet(ConditionalPixelCNN, **params)
