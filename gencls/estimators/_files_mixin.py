"""Saving, loading, and continuing at a different size."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._common.validation import both_sides, check_parameters, sides
from ..backends.device import resolve_device
from ..errors import InvalidParameterError
from ..model_files import read_model, write_model
from ..model_files.faults import file_at_fault
from ._building import BuildingMixin, parameters_of
from ._parameters import RULES

if TYPE_CHECKING:
    from .classifier import GenerativeBayesClassifier

__all__ = ["FilesMixin"]


class FilesMixin(BuildingMixin):
    """The methods of `GenerativeBayesClassifier` that save, load and resize it."""

    def resized(self, size: int | tuple[int, int]) -> GenerativeBayesClassifier:
        """A classifier of images of a different size, with the weights of this one.

        The network has only convolutions, which apply to images of any size. A model can thus be trained on
        small images, which is fast, and then be fine-tuned on larger ones.

        Parameters
        ----------
        size : int or pair of int
            Rows and columns: both sides, or (height, width), at least 1. With `resolution`, images are
            reduced to it; otherwise X must have it.

        Returns
        -------
        GenerativeBayesClassifier
            A new estimator, without `stages`. Training by `partial_fit`, or by `fit` with `warm_start`,
            continues from the averaged weights with a fresh optimizer. The temperature is kept, although the
            joint log-probabilities of classes differ more for more pixels: call `calibrate`.

        Raises
        ------
        InvalidParameterError
            If `size` is wrong, or parameters that shape the network differ from those of `fit`.
        ConditionerError
            If the conditioner has parameters for every position of an image, as ``"spatial"`` does.

        References
        ----------
        M. Tan, Q. V. Le (2021), "EfficientNetV2: Smaller Models and Faster Training", section 4.
        """
        check_is_fitted(self)
        check_parameters("resized", {"size": size}, {"size": sides()})
        self._check_same_model()
        snapshot, height_width = self._snapshot(), both_sides(size)
        reduces = self._resizes(self.codec_)
        other = clone(self)
        other.stages, other.resolution = None, height_width if reduces else None
        other.augmentation = self._last_augmentation
        if hasattr(self, "stages_"):
            other.stages_ = [replace(stage, resolution=height_width) for stage in self.stages_]
        codec = self.codec_.at(height_width) if reduces else self.codec_.resized(*height_width)
        other.image_shape = codec.image_shape if self.image_shape is None else codec.image_shape_
        other.codec_ = codec
        other.__dict__.update(snapshot.fitted)
        if not reduces:
            other.n_features_in_ = codec.sample_shape_[0]
            other.__dict__.pop("feature_names_in_", None)
        other._check_size(height_width, snapshot.weights)
        other._random_state = check_random_state(self.random_state)
        other._build(snapshot)
        return other

    def save(
        self, path: str | os.PathLike[str], *, half: bool = False, card: Mapping[str, Any] | None = None
    ) -> None:
        """Save the fitted classifier to a file, which `load` reads without running code from it.

        The file, in the safetensors format, holds the averaged weights and, as JSON under a checksum, the
        other fitted attributes and the parameters. Left out are `device`, `compute`, `net_params` and
        `checkpoint_dir`, and parameters that JSON cannot hold, such as a RandomState. An objective, or an
        augmentation without an orbit, is also left out if it has no name in its registry, as only training
        needs it. In a stage, the parameter of the estimator replaces an objective that was left out. An
        existing file is replaced atomically, and its mode is kept; a symbolic link is followed.

        Parameters
        ----------
        path : str or path-like
            The file, by convention with the ending ``.safetensors``.
        half : bool, default=False
            Store the weights in half precision, which halves the file; `load` converts them to float32.
        card : dict, optional
            Notes on the model, such as its data, licence and figures: anything that JSON can hold.
            `gencls.model_files.read_card` returns them.

        Raises
        ------
        InvalidParameterError
            If a parameter is wrong, or one that shapes the network differs from that of `fit`.
        ConditionerError, AugmentationError
            If the conditioner, or an augmentation with an orbit, has no name in the registry.
        ModelFileError
            If a file cannot hold the classes, images or weights, or no image has a finite probability under
            these weights.
        OSError
            If the file cannot be written, or an existing one is write-protected.
        """
        check_is_fitted(self)
        self._check_parameters()
        if changed := self._changed_parameters():
            raise InvalidParameterError(
                f"The network can only be saved with the parameters that it was built with, but: {changed}. "
                "Set them back, or fit again."
            )
        trained = self.net_.averaged_model
        write_model(path, self._snapshot(), self._model_params(), trained, RULES, half=half, card=card)

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "auto") -> GenerativeBayesClassifier:
        """Load a classifier that `save` wrote.

        Its predictions, likelihoods and samples are the same. Training continues from the averaged weights
        with a fresh optimizer. Parameters that `save` left out have their default values, and so has a
        parameter of training whose objective or augmentation is not installed here.

        Parameters
        ----------
        path : str or path-like
        device : str, default="auto"
            A torch device; ``"auto"`` is a GPU if one is available.

        Returns
        -------
        GenerativeBayesClassifier
            Fitted.

        Raises
        ------
        ModelFileError
            If the file was not written by `save`, is damaged, is of a newer version of gencls, or exceeds the
            limits (see the page on model files).
        ConditionerError, AugmentationError
            If the package that provides the conditioner, or an augmentation with an orbit, is not installed.
        FileNotFoundError
            If the file does not exist.
        """
        resolve_device(device)
        snapshot = read_model(path, RULES)
        with file_at_fault(path):
            return cls(**parameters_of(snapshot), device=device)._restore(snapshot)
