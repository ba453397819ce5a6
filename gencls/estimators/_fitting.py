"""The steps of a fit: reading, holding out, planning, learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from ..augmentations import make_augmentation
from ..backends.compute import Compute
from ..bayes import class_prior, fit_temperature
from ..errors import InvalidInputError
from ..images.codec import ImageCodec
from ..images.inputs import SeparateImages, levels_of_views, separate, stack, stack_for_fit
from ..images.layout import as_input_errors, as_numbers, check_same_order, flatten_images
from ..images.views import views_of
from ..objectives import make_objective
from ..pixelcnn import Execution
from ..training.checkpoints import read_checkpoint
from ..training.data import (
    Samples,
    TrainingData,
    check_sample_weight,
    hold_out,
    merge_duplicates,
    split_by,
    too_few,
)
from ..training.plan import Plan, PlannedStage, Stage
from ._automatic import augmentations_of, batch_size_of, epochs_of, images_of, stage_of, stages_of
from ._building import BuildingMixin
from ._identity import identity_of
from ._labels import as_labels, check_classes, encode_labels, unique_classes
from ._net_parameters import net_params_at_fault

if TYPE_CHECKING:
    from .classifier import GenerativeBayesClassifier

__all__ = ["FittingMixin"]

EMA_DECAY, GRADIENT_CLIP = 0.999, 5.0  # unless net_params says otherwise
FEWEST_HELD_OUT = 20  # images from which a temperature is learned


class FittingMixin(BuildingMixin):
    """The steps of `GenerativeBayesClassifier.fit` and `partial_fit`."""

    @contextmanager
    def _unchanged_by_errors(self) -> Iterator[None]:
        """Context manager that restores the estimator after an error."""
        before = vars(self).copy()
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _read_samples(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        classes: ArrayLike | None = None,
        reset: bool,
    ) -> Samples:
        """Validate training data; with `reset`, learn the classes and the codec from it."""
        check_same_order(X, y, "X and y")
        check_same_order(y, sample_weight, "y and sample_weight")
        rows, shape = flatten_images(self._of_one_size(X, y, reset=reset))
        flat, labels = self._validate(rows, as_labels(y), reset=reset)
        weights = check_sample_weight(sample_weight, len(labels))
        if not weights.all():
            flat, labels, weights = flat[weights > 0], labels[weights > 0], weights[weights > 0]
        if reset:
            self.classes_ = check_classes(np.unique(labels) if classes is None else unique_classes(classes))
            codec = ImageCodec(self.image_shape, self.channel_axis, self.pixel_range, self.n_levels)
            codec.fit(flat, shape[1:])
            self.codec_ = codec.at(self._size(codec, self._last_stage.resolution))
            self.n_features_in_ = shape[1]
            self.__dict__.pop("stages_", None)
        else:
            self.codec_.check_shape(shape)
        levels = self.codec_.encode(flat, strict=True)
        return Samples(levels, encode_labels(labels, self.classes_, len(labels)), weights, self._kept(flat))

    def _kept(self, flat: NDArray[Any]) -> NDArray[Any] | None:
        """The original images, if training may need them."""
        size = self.codec_.tensor_shape_[1:]
        stages = self.stages or [Stage(1)]
        needed = (
            any(map(self._needs_images, stages))
            or any(self._size(self.codec_, stage.resolution) != size for stage in stages)
            or self.views not in (None, "auto")
        )
        return self.codec_.to_images(flat) if needed else None

    def _needs_images(self, stage: Stage) -> bool:
        """Whether the augmentation of a stage may have a hook per epoch."""
        augmentation = self.augmentation if stage.augmentation is None else stage.augmentation
        if isinstance(augmentation, str) and augmentation == "auto":
            return self.codec_.native_size != self.codec_.tensor_shape_[1:]
        return bool(make_augmentation(augmentation).per_epoch_parts)

    def _count_classes(self, samples: Samples, before: Any) -> None:
        """Learn the class frequencies, on top of those counted before."""
        self.class_count_ = before + np.bincount(samples.labels, samples.weights, len(self.classes_))
        self.class_prior_ = class_prior(self.priors, self.class_count_, self.classes_)

    def _check_no_class_is_missing(self) -> None:
        """Raise if a warm start has no image of a class that the first fit saw."""
        if self.priors is None and not self.class_count_.all():
            missing = self.classes_[self.class_count_ == 0].tolist()
            raise InvalidInputError(
                f"y must have all classes of the previous fit, as warm_start=True, but lacks {missing}. "
                "Their frequencies would be 0: set priors, or pass images of all classes."
            )

    def _split(
        self, samples: Samples, X_val: ArrayLike | None, y_val: ArrayLike | None, resume: bool
    ) -> tuple[Samples, Samples | None]:
        """Training and held-out samples."""
        if (X_val is None) != (y_val is None):
            raise InvalidInputError("X_val and y_val must be given together, got only one of them.")
        train_split = (self.net_params or {}).get("train_split")
        if X_val is None and train_split is not None:
            samples, part = split_by(samples, train_split)
            if part is None or isinstance(part, Samples):
                return merge_duplicates(samples), part and merge_duplicates(part)
            X_val, y_val = part
        samples = merge_duplicates(samples)
        if X_val is not None and y_val is not None:
            return samples, self._read_held_out(X_val, y_val)
        if not self.early_stopping and not self._learns_temperature(samples.labels):
            return samples, None
        if not (resume and hasattr(self, "_split_seed")):  # a warm start holds out the same images
            self._split_seed = check_random_state(self.random_state).randint(2**31 - 1)
        return hold_out(samples, self.validation_fraction, self._split_seed, self.classes_)

    def _scores_epochs(self, held_out: Samples | None, X_val: ArrayLike | None) -> bool:
        """Whether held-out images are scored after each epoch, and not only after the last."""
        asked = X_val is not None or "train_split" in (self.net_params or {}) or bool(self.early_stopping)
        return held_out is not None and asked

    def _learns_temperature(self, labels: NDArray[np.int64]) -> bool:
        """Whether the temperature is learned, for which there must be enough images."""
        if self.temperature != "auto" or self.validation_fraction * len(labels) < FEWEST_HELD_OUT:
            return False
        return not too_few(labels, self.validation_fraction, self.classes_)

    def _read_held_out(self, X_val: ArrayLike, y_val: ArrayLike) -> Samples:
        """Validate held-out images."""
        try:
            check_same_order(X_val, y_val, "X and y")
            flat = self._validate_images(self._of_one_size(X_val, y_val, reset=False))
            levels = self.codec_.encode(flat, strict=True)
            codes = encode_labels(y_val, self.classes_, len(levels))
        except InvalidInputError as mistake:
            raise InvalidInputError(f"X_val and y_val do not fit: {mistake}") from mistake
        return Samples(levels, codes, np.ones(len(codes)), self._kept(flat))

    def _choose_stages(
        self, train: Samples, given: list[Stage] | None = None, *, is_scheduled: bool = True
    ) -> list[PlannedStage]:
        """The stages of a training with all settings.

        They are also set as ``stages_``, except those of `partial_fit` after any other training.
        """
        shared = {
            "lr": self._setting("lr"),
            "objective": "likelihood" if self.objective == "auto" else self.objective,
            "augmentation": self._shared_augmentation(train),
            "batch_size": self._batch_size(len(train.labels)),
        }
        stages = given or self.stages or self._automatic_stages(len(train.labels))
        planned = [self._planned(stage, shared, is_scheduled=is_scheduled) for stage in stages]
        if is_scheduled or not hasattr(self, "stages_"):
            self.stages_ = [stage.as_stage() for stage in planned]
        return planned

    def _batch_size(self, n_images: int) -> int:
        size = self._setting("batch_size")
        return batch_size_of(n_images) if size == "auto" else int(size)

    def _automatic_stages(self, n_images: int) -> list[Stage]:
        """The stages of `max_epochs` epochs of `objective`, either of which may be "auto"."""
        n_epochs, n_drawn = self._setting("max_epochs"), None
        if n_epochs == "auto":
            n_epochs, n_drawn = epochs_of(n_images, self.codec_.tensor_shape_[0]), images_of(n_images)
        stages = [Stage(int(n_epochs))]
        if self.objective == "auto":
            stages = stages_of(int(n_epochs), self._setting("lr"), prod(self.codec_.tensor_shape_))
        return [replace(stage, n_images=n_drawn) for stage in stages]

    def _further_stage(self) -> Stage:
        """A further epoch of the last stage; with the objective "auto" of the last one trained."""
        if self.objective == "auto" and self.stages is None and hasattr(self, "stages_"):
            objective = make_objective(self.stages_[-1].objective or "likelihood")
            return stage_of(1, self._setting("lr"), objective)
        return replace(self._last_stage, epochs=1)

    def _shared_augmentation(self, train: Samples) -> Any:
        """The parameter `augmentation`; "auto" is judged on the images of the first training."""
        if self.augmentation != "auto":
            return self.augmentation
        if hasattr(self, "stages_"):
            return self.stages_[-1].augmentation
        size, native = self.codec_.tensor_shape_[1:], self.codec_.native_size
        return augmentations_of(train.levels, train.labels, is_reduced=size != native)

    def _planned(self, stage: Stage, shared: dict[str, Any], *, is_scheduled: bool) -> PlannedStage:
        """A stage with its own settings and shared ones, checked for these images."""
        settings = shared | {name: value for name, value in vars(stage).items() if value is not None}
        planned = PlannedStage(
            epochs=int(stage.epochs),
            batch_size=int(settings["batch_size"]),
            lr=settings["lr"],
            objective=make_objective(settings["objective"]),
            augmentation=make_augmentation(settings["augmentation"]),
            size=self._size(self.codec_, stage.resolution),
            is_scheduled=is_scheduled,
            n_images=stage.n_images,
        )
        planned.objective.check()
        planned.augmentation.check((self.codec_.tensor_shape_[0], *planned.size))
        self.codec_.at(planned.size)  # which is not larger than the images
        return planned

    def _plan(
        self, train: Samples, held_out: Samples | None, stages: list[PlannedStage], *, is_scored: bool
    ) -> tuple[TrainingData, Plan]:
        """The data and the plan of a training."""
        device = torch.device(self.net_.device) if hasattr(self, "net_") else self._device()
        precision, compiled = self._compute().resolve(device, warn=isinstance(self.compute, Compute))
        data = TrainingData(train, self.codec_, device)
        held_out_data = None if held_out is None else TrainingData(held_out, self.codec_, device)
        keeps_checkpoints = self.checkpoint_dir is not None and stages[-1].is_scheduled
        plan = Plan(
            stages=tuple(stages),
            prior=self.class_prior_,
            seed=self._draw_seed(),
            execution=Execution(
                compiled=compiled,
                dtype=precision.training,
                dropout=self.dropout,
                checkpointed=self._compute().gradient_checkpointing,
            ),
            scoring=Execution(compiled=compiled, dtype=precision.prediction),
            ema_decay=self._setting("ema_decay", EMA_DECAY),
            gradient_clip=self._setting("gradient_clip", GRADIENT_CLIP),
            held_out=held_out_data if is_scored else None,
            temperature=self.temperature,
            monitor=self._monitored() if is_scored else None,
            patience=self.n_iter_no_change,
            shows_progress=bool(self.verbose),
            checkpoint_dir=Path(self.checkpoint_dir) if keeps_checkpoints else None,
            identity=identity_of(self, data, held_out_data) if keeps_checkpoints else {},
        )
        read_checkpoint(plan, device)  # raises if it is of a different training, before anything is lost
        return data, plan

    def _prepare(
        self,
        train: Samples,
        held_out: Samples | None,
        stages: list[PlannedStage],
        *,
        is_scored: bool = False,
        resume: bool,
    ) -> tuple[TrainingData, Plan]:
        """Plan a training, and build and initialise the net unless it is there."""
        if resume:
            return self._plan(train, held_out, stages, is_scored=is_scored)
        self.__dict__.pop("net_", None)
        self._random_state = check_random_state(self.random_state)
        self.temperature_ = self._temperature_unlearned()
        seed = self._draw_seed()
        data, plan = self._plan(train, held_out, stages, is_scored=is_scored)
        self._check_sizes(plan)
        net = self._make_net(plan.stages[0].size)
        with net_params_at_fault(self.net_params):
            self.net_ = net.initialise(data, plan, seed)
        return data, plan

    def _learn(self, data: TrainingData, plan: Plan, held_out: Samples | None) -> GenerativeBayesClassifier:
        """Train the net, and set the temperature."""
        with net_params_at_fault(self.net_params):
            self.net_.learn(data, plan)
        if self.temperature != "auto":
            self.temperature_ = float(self.temperature)
        elif held_out is not None:
            self.temperature_ = self._temperature_of(held_out)
        return self

    def _temperature_unlearned(self) -> float:
        """The given temperature; with "auto", that of the last objective, or 1."""
        if self.temperature == "auto":
            return float(make_objective(self.stages_[-1].objective or "likelihood").temperature)
        return float(self.temperature)

    def _temperature_of(self, held_out: Samples) -> float:
        """The temperature that calibrates held-out images; for few, near that of the last objective."""
        best = self.net_.best_row_
        row = self.net_.history[best] if best is not None and best >= 0 else {}
        if "valid_temperature" in row and not self._views:
            return float(row["valid_temperature"])
        views = [held_out.levels]
        if self._image_views:
            images = views_of(
                cast("NDArray[Any]", held_out.images), self._image_views, self.codec_.tensor_shape_[1:]
            )
            views = list(map(self.codec_.encode_images, images))
        table = self._mean_joint(map(torch.from_numpy, views))
        return fit_temperature(table, held_out.labels, expected=self._temperature_unlearned())

    def _draw_seed(self) -> int:
        return int(self._random_state.randint(2**31 - 1))

    def _monitored(self) -> str | None:
        """The figure that early stopping monitors: a key of `MONITORS`."""
        if isinstance(self.early_stopping, str):
            return self.early_stopping
        return "bits_per_dim" if self.early_stopping else None

    def _of_one_size(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> ArrayLike:
        """An array of image files, or of images of other sizes; any other X as it is."""
        codec = None if reset else self.codec_
        images = self._separate(X, codec)
        if images is None:
            return X
        with as_input_errors():
            check_consistent_length(images.items, y)  # before anything is read
        if codec is not None:
            return stack(images, codec)
        return stack_for_fit(images, self._largest_resolution(), self.image_shape, self.channel_axis)

    def _separate(self, X: ArrayLike, codec: ImageCodec | None) -> SeparateImages | None:
        """Images to be read or resized one by one, if X has any and the parameters allow it."""
        images = separate(X, codec)
        if images is None or self._resizes(codec):
            return images
        return images if images.are_files and codec is not None else None

    def _encode_views(
        self, X: ArrayLike, views: str | Sequence[str] | None = None, *, strict: bool = False
    ) -> Iterator[torch.Tensor]:
        """Levels (N, C, H, W) of each view of the images, first those of the whole images."""
        images, codec = self._separate(X, self.codec_), self.codec_
        if images is not None:
            yield from map(torch.from_numpy, levels_of_views(images, codec, views, strict=strict))
            return
        flat = self._validate_images(X)
        levels = codec.encode(flat, strict=strict)
        yield torch.from_numpy(np.require(levels, requirements="W"))  # torch warns of read-only ones
        for view in islice(views_of(codec.to_images(flat), views, codec.tensor_shape_[1:]), 1, None):
            yield torch.from_numpy(codec.encode_images(view))

    def _encode_images(self, X: ArrayLike) -> torch.Tensor:
        """Levels (N, C, H, W)."""
        return next(self._encode_views(X))

    def _encode_labelled(self, X: ArrayLike, y: ArrayLike) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """Levels and positions of the classes, before anything is scored."""
        check_is_fitted(self)
        check_same_order(X, y, "X and y")
        levels = self._encode_images(X)
        return levels, encode_labels(y, self.classes_, len(levels))

    def _validate_images(self, X: ArrayLike) -> NDArray[Any]:
        """Rows (N, n_features) of finite numbers."""
        rows, shape = flatten_images(X)
        flat: NDArray[Any] = self._validate(rows, reset=False)
        self.codec_.check_shape(shape)
        return flat

    def _validate(self, rows: Any, y: Any = "no_validation", *, reset: bool) -> Any:
        """The checks of scikit-learn; the number of features is checked by the codec."""
        with as_input_errors():
            if isinstance(y, str):
                return as_numbers(validate_data(self, rows, dtype="numeric", ensure_2d=False, reset=reset))
            flat, labels = validate_data(self, rows, y, dtype="numeric", ensure_2d=False, reset=reset)
            check_classification_targets(labels)
            return as_numbers(flat), labels
