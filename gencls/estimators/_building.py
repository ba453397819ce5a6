"""The net of parameters or of a snapshot, its scores, and the snapshot of a net."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from .._common.validation import both_sides, check_parameters, shortened
from ..augmentations import Composed, Flip, make_augmentation
from ..backends.compute import Compute, make_compute
from ..backends.device import resolve_device
from ..backends.random_numbers import DrawingFrom
from ..bayes import class_prior
from ..bayes.priors import priors_in_order
from ..conditioners import make_conditioner
from ..errors import ConditionerError, GenclsError, InvalidParameterError, ModelFileError
from ..images.codec import ImageCodec
from ..inference.scoring import Scorer
from ..model_files.snapshot import FITTED, Snapshot
from ..model_files.weights import check_scores, check_weights
from ..objectives import make_objective
from ..pixelcnn import Execution
from ..training.net import GenerativeNet, make_net
from ..training.plan import Plan, Stage
from ._automatic import LARGEST_SIZE, resolution_of, views_after
from ._net_parameters import check_net_params
from ._parameters import RULES, STAGE_RULES, TRAINING_RULES

if TYPE_CHECKING:
    from .classifier import GenerativeBayesClassifier

__all__ = ["BuildingMixin", "parameters_of"]


class BuildingMixin(BaseEstimator):
    """Parameter checks, net and snapshot of `GenerativeBayesClassifier`."""

    def _check_parameters(self) -> None:
        """Raise one error for all invalid parameters."""
        mistakes: list[GenclsError] = []
        for check in (
            lambda: check_parameters(type(self).__name__, self.get_params(deep=False), RULES),
            lambda: check_net_params(self.net_params, TRAINING_RULES),
            lambda: make_conditioner(self.conditioner),
            lambda: make_objective("likelihood" if self.objective == "auto" else self.objective).check(),
            lambda: make_augmentation(None if self.augmentation == "auto" else self.augmentation),
            self._check_stages,
            lambda: make_compute(self.compute),
            self._device,
            self._check_checkpoints,
        ):
            try:
                check()
            except GenclsError as mistake:
                mistakes.append(mistake)
        if len(mistakes) == 1:
            raise mistakes[0]
        if mistakes:
            raise InvalidParameterError("\n".join(map(str, mistakes)))

    def _check_stages(self) -> None:
        """Raise if a stage has a wrong setting."""
        for number, stage in enumerate(self.stages if isinstance(self.stages, list | tuple) else ()):
            if hasattr(stage, "epochs"):
                check_parameters(f"stage {number}", vars(stage), STAGE_RULES)
                if stage.objective is not None:
                    make_objective(stage.objective).check()
                make_augmentation(stage.augmentation)

    def _check_checkpoints(self) -> None:
        """Raise if a later fit could not be the same training."""
        if self.checkpoint_dir is not None and not isinstance(self.random_state, int | np.integer):
            raise InvalidParameterError(
                f"The parameter 'random_state' of {type(self).__name__} must be an int with checkpoint_dir, "
                f"got {shortened(self.random_state)}. Only then is a later fit the same training."
            )

    def _compute(self) -> Compute:
        return make_compute(self.compute)

    def _device(self) -> torch.device:
        return resolve_device(self.device)

    @property
    def _last_stage(self) -> Stage:
        """The last stage, which determines the model; its settings may be missing."""
        return self.stages[-1] if self.stages else Stage(1)

    def _size(self, codec: ImageCodec, resolution: Any = None) -> tuple[int, int]:
        """Rows and columns of the images of a stage with this resolution."""
        size = resolution or self.resolution
        if size == "auto":
            return resolution_of(codec.tensor_shape_[0], *codec.native_size)
        return codec.native_size if size is None else both_sides(size)

    def _resizes(self, codec: ImageCodec | None) -> bool:
        """Whether images of any size are accepted: before a fit, or by a fitted codec."""
        size = self._last_stage.resolution or self.resolution
        if size == "auto":
            return codec is None or codec.resolution is not None
        return size is not None

    def _largest_resolution(self) -> tuple[int, int]:
        """The most rows and columns of all stages; some stage must have a resolution."""
        sizes = [stage.resolution or self.resolution for stage in self.stages or [Stage(1)]]
        known = [LARGEST_SIZE if size == "auto" else both_sides(size) for size in sizes if size is not None]
        rows, columns = zip(*known, strict=True)
        return max(rows), max(columns)

    def _symmetry(self) -> Composed:
        """The augmentations that make the density symmetric."""
        return make_augmentation(self._last_augmentation).symmetric()

    @property
    def _last_augmentation(self) -> Any:
        last = self._last_stage.augmentation
        if last is None and self.augmentation == "auto":
            last = self.stages_[-1].augmentation
        return self.augmentation if last is None else last

    @property
    def _views(self) -> list[str]:
        """The views of predictions; "auto" depends on the augmentations of training."""
        if self.views != "auto":
            return [self.views] if isinstance(self.views, str) else list(self.views or [])
        return views_after(make_augmentation(self._last_augmentation).parts)

    @property
    def _image_views(self) -> list[str]:
        """The views that are images of their own: if the density has both orientations, flips are not."""
        return [view for view in self._views if not (view == "flips" and self._is_flipped)]

    @property
    def _is_flipped(self) -> bool:
        """Whether the density is a mixture over both orientations."""
        return any(isinstance(part, Flip) for part in self.net_.averaged_model.symmetry.parts)

    def _check_same_model(self) -> None:
        """Raise if the parameters that shape the network differ from those of the first fit."""
        if changed := self._changed_parameters():
            raise InvalidParameterError(
                f"Training can only continue the network as it was built, but parameters have changed: "
                f"{changed}. Set them back, or fit with warm_start=False."
            )

    def _changed_parameters(self) -> str:
        """Which parameters that shape the network or its images differ from those of the first fit."""
        built = self.net_.get_params_for("module")
        found = [
            (name, built[name], value)
            for name, value in self._model_params().items()
            if repr(value) != repr(built[name])
        ]
        return _listed([*found, *self._changed_images()])

    def _changed_images(self) -> Iterator[tuple[str, Any, Any]]:
        """Parameters of the images that differ from what the codec has learned: names, learned, given."""
        for name, value in self.codec_.settled_.items():
            given = getattr(self, name)
            if given is not None and given != "auto" and not np.array_equal(given, value):
                yield name, value, given
        size, wanted = self.codec_.tensor_shape_[1:], self._size(self.codec_, self._last_stage.resolution)
        if wanted != size:
            yield "resolution", size, wanted

    def _model_params(self, size: tuple[int, int] | None = None) -> dict[str, Any]:
        """The parameters of `ConditionalPixelCNN`."""
        channels, *rest = self.codec_.tensor_shape_
        return {
            "image_shape": (channels, *(size or rest)),
            "n_levels": self.codec_.n_levels_,
            "n_classes": len(self.classes_),
            "conditioner": make_conditioner(self.conditioner),
            "n_layers": self.n_layers,
            "n_filters": self.n_filters,
            "n_mixtures": self.n_mixtures,
            "symmetry": self._symmetry().parts,
        }

    def _make_net(self, size: tuple[int, int] | None = None) -> GenerativeNet:
        own = {"train_split", *TRAINING_RULES}
        given = {name: value for name, value in (self.net_params or {}).items() if name not in own}
        model, device, lr = self._model_params(size), self._device(), float(self._setting("lr"))
        return make_net(model, device=device, lr=lr, net_params=given)

    def _setting(self, name: str, default: Any = None) -> Any:
        """A setting of training: that of `net_params`, else the parameter, else the default."""
        return (self.net_params or {}).get(name, getattr(self, name, default))

    def _check_sizes(self, plan: Plan) -> None:
        """Raise if the network has weights that fit images of one size only, and stages have several."""
        sizes = {stage.size for stage in plan.stages}
        if len(sizes) > 1:
            with DrawingFrom(seed=0):
                net = self._make_net(plan.stages[0].size).initialize()
            for size in sizes:
                self._check_size(size, net.module_.state_dict())

    def _check_size(self, size: tuple[int, int], weights: dict[str, torch.Tensor]) -> None:
        """Raise unless weights fit a network for images of this size."""
        try:
            check_weights(self._model_params(size), weights)
        except ModelFileError as mistake:
            raise ConditionerError(
                f"A network with the conditioner {shortened(self.conditioner)} has weights for images of "
                f"one size only. {mistake} Fit a new one on images of that size, or use a conditioner that "
                "is the same at all positions."
            ) from mistake

    @property
    def _execution(self) -> Execution:
        """Settings of the forward passes of predictions."""
        precision, compiled = self._compute().resolve(torch.device(self.net_.device))
        return Execution(compiled=compiled, dtype=precision.prediction)

    @property
    def _scorer(self) -> Scorer:
        return Scorer(self.net_.averaged_model, self._prior, self._execution)

    @property
    def _decision_scorer(self) -> Scorer:
        """Scores the views of predictions, which flips turn into the mean over both orientations."""
        return replace(self._scorer, averages_orbit="flips" in self._views and self._is_flipped)

    def _mean_joint(self, views: Iterable[torch.Tensor]) -> NDArray[np.float64]:
        """Joint log-probabilities (N, K), averaged over views, each of which is levels (N, C, H, W)."""
        scorer = self._decision_scorer
        return np.mean([scorer.joint(levels) for levels in views], axis=0)

    def _snapshot(self) -> Snapshot:
        trained = self.net_.averaged_model
        parameters = (
            self.get_params(deep=False)
            | self._settled()
            | {
                "conditioner": self.conditioner if isinstance(self.conditioner, str) else trained.conditioner,
                "priors": priors_in_order(self.priors, self.classes_),  # a file cannot hold a Series
            }
        )
        return Snapshot(
            parameters=parameters,
            symmetry=list(trained.symmetry.parts),
            codec=self.codec_,
            fitted={name: getattr(self, name) for name in FITTED if hasattr(self, name)}
            | {"class_prior_": self._prior},
            history=self.net_.history,
            n_steps=int(self.net_.averaged_.n_averaged),
            weights=trained.state_dict(),
        )

    def _settled(self) -> dict[str, Any]:
        """The parameters that "auto" stood for in training, and the stages as dicts."""
        codec, stages = self.codec_, self.stages
        found = {
            "resolution": codec.resolution,
            "augmentation": self._last_augmentation,
            "views": self._views or None,
        }
        if hasattr(self, "stages_"):  # which a file does not hold
            epochs = sum(stage.epochs for stage in self.stages_)
            last = self.stages_[-1]
            found |= {"objective": last.objective, "max_epochs": epochs, "batch_size": last.batch_size}
            if stages is None and "auto" in (self.objective, self.max_epochs):
                stages = self.stages_
        automatic = {name: value for name, value in found.items() if getattr(self, name) == "auto"}
        return automatic | {"stages": None if stages is None else [vars(stage) for stage in stages]}

    def _restore(self, snapshot: Snapshot) -> GenerativeBayesClassifier:
        """Restore the classifier of a snapshot; its weights are checked before a net is built."""
        self._check_parameters()
        self.codec_ = snapshot.codec
        self.__dict__.update(snapshot.fitted)
        self._check_agreement(snapshot)
        check_weights(self._model_params(), snapshot.weights)
        self._random_state = check_random_state(self.random_state)
        self._build(snapshot)
        check_scores(self.net_.averaged_model)
        return self

    def _check_agreement(self, snapshot: Snapshot) -> None:
        """Raise unless the parameters are those of the model and the images of a snapshot."""
        found = list(self._changed_images())
        if repr(snapshot.symmetry) != repr(wanted := self._symmetry().parts):
            found.append(("symmetry", snapshot.symmetry, wanted))
        if found:
            raise ModelFileError(f"The model does not fit its parameters: {_listed(found)}.")

    def _build(self, snapshot: Snapshot) -> None:
        """Build a net that continues from the weights and the history of a snapshot."""
        net = self._make_net()
        with DrawingFrom(seed=0):
            net.initialize()
        net.resume(snapshot.weights, snapshot.history, snapshot.n_steps)
        self.net_ = net

    @property
    def _prior(self) -> Any:
        """The prior in the order of the classes; `class_prior_` may be set after `fit`, in any form."""
        return class_prior(
            self.class_prior_, self.class_count_, self.classes_, name="attribute 'class_prior_'"
        )


def parameters_of(snapshot: Snapshot) -> dict[str, Any]:
    """The parameters of the constructor; some may be missing, but none that the model would depend on."""
    given = {"augmentation": None, "resolution": snapshot.codec.resolution, "views": None}
    stages = [Stage(**each) for each in snapshot.parameters.get("stages", ())]
    return given | snapshot.parameters | ({"stages": stages} if stages else {})


def _listed(changes: Iterable[tuple[str, Any, Any]]) -> str:
    """Parameters that have changed, for a message."""
    return "; ".join(
        f"{name} was {shortened(before)} and is {shortened(now)}" for name, before, now in changes
    )
