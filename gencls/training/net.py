"""Training: a skorch net that minimises an objective and averages its weights."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import PassthroughScoring
from skorch.history import History
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from ..backends.compilation import choose_way
from ..backends.random_numbers import new_generator
from ..density.model import ConditionalPixelCNN
from ..errors import NonFiniteLossError, TrainingDivergedWarning, TrainingInterruptedWarning
from ..objectives.hybrid import Discrimination, NegativeLogLikelihood
from .callbacks import CosineSchedule, EarlyStopping, Progress, Validation, WeightAveraging
from .data import LabelledImages, as_is
from .interruption import is_one_of_several

__all__ = ["GenerativeNet", "MovingAverage", "make_net"]

DIVERGED = 10**7  # bits per dimension that no start costs
INIT_BATCH = 128  # images for the data-dependent initialisation


class MovingAverage:
    """Exponential moving average whose memory grows with the number of steps up to the given decay."""

    def __init__(self, decay: float):
        self.decay = decay

    def __call__(self, averaged: Any, current: Any, n_averaged: Tensor | int) -> None:
        """Move the averaged parameters, in place, towards the current ones."""
        steps = int(n_averaged)
        decay = min(self.decay, (1 + steps) / (10 + steps))
        get_ema_multi_avg_fn(decay)(averaged, current, n_averaged)


class GenerativeNet(NeuralNet):
    """The skorch net that trains a `ConditionalPixelCNN` by maximum likelihood, or by a hybrid objective.

    Parameters
    ----------
    *args, **kwargs
        As for `skorch.NeuralNet`.
    ema_decay : float, default=0.999
        Of the averaged weights.
    gradient_clip : float, optional
        Largest norm of the gradient of the loss, whatever is part of it.

    Attributes
    ----------
    discrimination_ : Discrimination or None
        What the objective has beside the likelihood; None is maximum likelihood.
    averaged_ : torch.optim.swa_utils.AveragedModel
        The averaged weights; all predictions use them.
    generator_ : torch.Generator or None
        What the last training drew from.
    """

    lr: float
    batch_size: int
    discrimination_: Discrimination | None = None
    generator_: torch.Generator | None = None

    def __init__(
        self, *args: Any, ema_decay: float = 0.999, gradient_clip: float | None = None, **kwargs: Any
    ):
        super().__init__(*args, **kwargs)
        self.ema_decay = ema_decay
        self.gradient_clip = gradient_clip

    @property
    def averaged_model(self) -> ConditionalPixelCNN:
        """The model with averaged weights."""
        model: ConditionalPixelCNN = self.averaged_.module  # type: ignore[assignment]
        return model

    def learn(self, images: LabelledImages, epochs: int, *, seed: int = 0, schedule: bool = True) -> None:
        """Train for some epochs, on from where the net is, at learning rates on a cosine if `schedule`.

        All that is random follows from the seed: the order of the images, dropout, augmentation, candidates.
        """
        self.generator_ = new_generator(seed)
        steps = math.ceil(len(images) / self.batch_size) * epochs
        self.planned_steps = steps if schedule else None
        self.planned_epochs = epochs
        self.interrupted_, before = False, len(self.history)
        self.partial_fit(images, None, epochs=epochs)
        if self.interrupted_:
            words = f"after {len(self.history) - before} of {epochs} epochs; what was learned is kept"
            self._end_early(words, others=not schedule or is_one_of_several())
        if len(self.history) > before:
            self._check_whether_it_diverged(self.history[before]["train_bpd"])

    def adopt(
        self,
        lr: float,
        batch_size: int,
        *,
        dropout: float,
        ema_decay: float,
        gradient_clip: float | None,
        shift: int = 0,
        discrimination: Discrimination | None = None,
    ) -> None:
        """Take over settings that may change between two trainings."""
        self.batch_size = batch_size
        self.ema_decay = self.averaged_.multi_avg_fn.decay = ema_decay  # type: ignore[union-attr]
        self.gradient_clip = gradient_clip
        self.module_.network.drop(dropout)
        self.module_.shift = shift
        self.discrimination_ = discrimination
        if lr != self.lr:
            self.lr = lr
            for group in self.optimizer_.param_groups:
                group["initial_lr"] = lr

    def tell(self, callback: str, **settings: Any) -> None:
        """Give one of the callbacks its settings for the next training, unless it was switched off."""
        found = dict(self.callbacks_).get(callback)
        if found is not None:
            found.set_params(**settings)

    def compute_with(self, precision: str, *, compile: bool, checkpoint: bool) -> None:
        """Say how, not what, the model and its average compute; see the estimator's parameters."""
        chosen, compiled = choose_way(precision, torch.device(self.device), compile=compile)
        for model in (self.module_, self.averaged_model):
            model.precision = chosen
            model.network.checkpoint(checkpoint)
            model.network.compiled = compiled

    def resume(self, weights: Mapping[str, Tensor], history: Iterable[dict[str, Any]], n_steps: int) -> None:
        """Be where another net was that was trained: at its averaged weights, with a fresh optimiser."""
        self.module_.load_state_dict(weights)
        self.averaged_model.load_state_dict(weights)
        self.averaged_.n_averaged.fill_(n_steps)
        self.history_ = History({"batches": []} | row for row in history)

    def initialise_weights(self, images: LabelledImages, seed: int = 0) -> None:
        """Set the weights by some images, chosen at random (Salimans and Kingma 2016)."""
        generator = new_generator(seed)
        chosen = torch.randperm(len(images), generator=generator)[:INIT_BATCH]
        levels, labels = (each[chosen].to(self.device) for each in (images.levels, images.labels))
        self.module_.initialise(levels, labels, generator)
        self.averaged_model.load_state_dict(self.module_.state_dict())

    def initialize_module(self) -> GenerativeNet:
        """Build the model and its average."""
        super().initialize_module()
        self.module_.float()  # whatever torch's default is
        self.averaged_ = AveragedModel(self.module_, multi_avg_fn=MovingAverage(self.ema_decay))
        self.averaged_.requires_grad_(False)
        return self

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters of the model; those of its average are not optimised."""
        yield from self.module_.named_parameters()

    def get_params_for(self, prefix: str) -> dict[str, Any]:
        """As skorch's, and the generator by which torch's loaders order the images."""
        params: dict[str, Any] = super().get_params_for(prefix)
        if prefix == "iterator_train" and issubclass(self.iterator_train, DataLoader):
            params.setdefault("generator", self.generator_)
        return params

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute loss and gradients, clip them, and refuse those that are not finite."""
        if self.discrimination_ is not None:
            inputs, weights = batch
            candidates = self.discrimination_.candidates(inputs["labels"], self.generator_)
            batch = inputs | {"labels": candidates}, weights
        step = super().train_step_single(batch, generator=self.generator_, **fit_params)
        limit = math.inf if self.gradient_clip is None else self.gradient_clip
        learned = [each for group in self.optimizer_.param_groups for each in group["params"]]
        norm = nn.utils.clip_grad_norm_(learned, limit)
        if not torch.isfinite(step["loss"] + norm):
            raise NonFiniteLossError(
                f"The training loss or its gradient is not finite (loss {step['loss'].item():g}, "
                f"gradient norm {norm:g}) in epoch {len(self.history)}. Try a smaller lr (now {self.lr:g}) "
                f"or a smaller gradient_clip (now {self.gradient_clip}). The weights from before this step "
                "are kept, and predictions use them."
            )
        return step

    def get_loss(self, y_pred: Tensor, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """The criterion for each image's own class, in training with the cross-entropy if there is one."""
        if self.discrimination_ is None:
            return super().get_loss(y_pred, y_true, X, training)
        likelihood = super().get_loss(y_pred[0], y_true, X, training)
        cross_entropy = self.discrimination_.cross_entropy(y_pred, X["labels"], y_true)
        self.history.record_batch("train_cross_entropy", cross_entropy.item())
        return likelihood + self.discrimination_.weight * cross_entropy

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **fit_params: Any) -> GenerativeNet:
        """Train; an interruption ends training, and what was learned is kept, as it is after an error."""
        before = len(self.history)
        try:
            super().fit_loop(X, y, epochs=epochs, **fit_params)
        except KeyboardInterrupt:
            if self.history and "train_bpd" not in self.history[-1]:
                self._forget_unfinished_epoch()
                self.interrupted_ = True
        except Exception:
            if len(self.history) > before and "train_bpd" not in self.history[-1]:
                self._forget_unfinished_epoch()
            self.notify("on_train_end", X=X, y=y)
            raise
        return self

    def _forget_unfinished_epoch(self) -> None:
        del self.history[-1]

    def _end_early(self, words: str, *, others: bool) -> None:
        """End the trainings that belong to this one, too; without others warn of the end of this one."""
        if others:
            raise KeyboardInterrupt(f"Training was interrupted {words}.")
        warnings.warn(f"Training was interrupted {words}.", TrainingInterruptedWarning, stacklevel=3)

    def _check_whether_it_diverged(self, start: float) -> None:
        """Warn if the predictions of the last epoch lie far outside the range, and did not in the first.

        Raises
        ------
        NonFiniteLossError
            If the last step, after which no loss was computed, made weights that are not finite.
        """
        if not all(weight.isfinite().all() for weight in self.averaged_model.parameters()):
            raise NonFiniteLossError(
                "The weights are not finite after the last step of training, and predict nothing. Fit again "
                f"with a smaller lr (now {self.lr:g})."
            )
        stopping = dict(self.callbacks_).get("early_stopping")
        found = self.history[-1 if stopping is None else stopping.best_epoch_]["train_bpd"]
        likelihood = self.module_.likelihood
        if found > (likelihood.highest_cost / math.log(2) if found > start else DIVERGED):
            warnings.warn(
                f"Training has diverged: it ended at {found:.4g} bits per dimension, where equally probable "
                f"levels have {math.log2(likelihood.n_levels):.4g}. Predictions are of no use. Fit again "
                f"with a smaller lr (now {self.lr:g}).",
                TrainingDivergedWarning,
                stacklevel=3,
            )


def make_net(
    model: Mapping[str, Any],
    *,
    device: torch.device,
    lr: float,
    batch_size: int,
    max_epochs: int,
    ema_decay: float,
    gradient_clip: float | None,
    net_params: Mapping[str, Any],
) -> GenerativeNet:
    """Assemble the net.

    Parameters
    ----------
    model : mapping
        The parameters of `ConditionalPixelCNN`.
    device : torch.device
    lr, batch_size, max_epochs, ema_decay, gradient_clip
        As in the estimator.
    net_params : mapping
        What the user wants otherwise of `skorch.NeuralNet`; callbacks are added to ours.

    Returns
    -------
    GenerativeNet
        Not initialised.
    """
    n_dimensions = math.prod(model["image_shape"])
    callbacks: list[tuple[str, Any]] = [
        ("schedule", CosineSchedule()),
        ("cross_entropy", PassthroughScoring("train_cross_entropy", lower_is_better=None, on_train=True)),
        ("averaging", WeightAveraging()),
        ("validation", Validation(n_dimensions)),
        ("progress", Progress()),
        ("early_stopping", EarlyStopping()),
    ]
    params: dict[str, Any] = {f"module__{name}": value for name, value in model.items()} | {
        "criterion": NegativeLogLikelihood,
        "criterion__n_dimensions": n_dimensions,
        "optimizer": optim.Adam,
        "lr": lr,
        "batch_size": batch_size,
        "max_epochs": max_epochs,
        "device": str(device),
        "ema_decay": ema_decay,
        "gradient_clip": gradient_clip,
        "train_split": None,
        "iterator_train__shuffle": True,
        "iterator_train__collate_fn": as_is,
        "callbacks__print_log": None,
        "callbacks__valid_loss": None,
        "verbose": 0,
    }
    if not net_params.keys() & {"optimizer", "optimizer__foreach", "optimizer__differentiable"}:
        params["optimizer__fused"] = device.type in ("cpu", "cuda")  # one kernel instead of several a tensor
    params |= dict(net_params)
    params["callbacks"] = callbacks + list(net_params.get("callbacks") or [])
    return GenerativeNet(ConditionalPixelCNN, **params)
