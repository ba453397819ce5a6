"""Saving, loading, and continuing at a different size."""

from __future__ import annotations

import os
from collections.abc import Mapping
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
    """The methods of `GenerativeBayesClassifier` that make a file of it, or another classifier."""

    def resized(self, size: int | tuple[int, int]) -> GenerativeBayesClassifier:
        """A classifier of images of a different size, with the weights of this one.

        The network learns convolutions only, which fit images of any size. A model of small images, which
        learns fast, so begins to learn larger ones with most of its knowledge.

        Parameters
        ----------
        size : int or pair of int
            Rows and columns: both sides, or (height, width), at least 1. With `resolution`, images are
            reduced to it; without, X has to have it.

        Returns
        -------
        GenerativeBayesClassifier
            A new estimator, without `stages`. Training by `partial_fit`, or by `fit` with `warm_start`,
            continues from the averaged weights with a fresh optimizer. The temperature stays as it is, though
            classes are the further apart the more pixels there are: `calibrate` it.

        Raises
        ------
        InvalidParameterError
            If `size` is wrong, or parameters that shape the network differ from those of `fit`.
        ConditionerError
            If the conditioner learns something for every place of an image, as ``"spatial"`` does.

        References
        ----------
        M. Tan, Q. V. Le (2021), "EfficientNetV2: Smaller Models and Faster Training", section 4.
        """
        check_is_fitted(self)
        check_parameters("resized", {"size": size}, {"size": sides()})
        self._check_same_model()
        snapshot, height_width = self._snapshot(), both_sides(size)
        reduces = self._resolution() is not None
        other = clone(self)
        other.stages, other.resolution = None, height_width if reduces else None
        other.augmentation = self._last_augmentation
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
        """Write the fitted classifier into a file from which `load` makes the same one, and no code is run.

        The file, in the safetensors format, holds the averaged weights and, as JSON under a checksum, what
        else was learned and the parameters. Left out are `device`, `compute`, `net_params` and
        `checkpoint_dir`, and parameters that JSON cannot hold, such as a RandomState. So are an objective, or
        an augmentation without an orbit, that have no name in their registry: only training needs them. In a
        stage, the parameter of the estimator takes the place of an objective that was left out. A file that
        is there is replaced once the new one is whole, which takes its mode; a symbolic link stays.

        Parameters
        ----------
        path : str or path-like
            The file, by custom with the ending ``.safetensors``.
        half : bool, default=False
            Keep the weights in half precision, which halves the file; `load` makes them float32 again.
        card : dict, optional
            What to note of the model, such as its data, licence and figures: anything that JSON can hold.
            `gencls.model_files.read_card` gives it back.

        Raises
        ------
        InvalidParameterError
            If a parameter is wrong, or one that shapes the network differs from that of `fit`.
        ConditionerError, AugmentationError
            If the conditioner, or an augmentation with an orbit, has no name in the registry.
        ModelFileError
            If classes, images or weights are such that a file cannot hold them, or no image has a finite
            probability under these weights.
        OSError
            If the file cannot be written, or one that is there is protected against writing.
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
        """Make the classifier again that `save` wrote.

        Its predictions, likelihoods and samples are the same. Training continues from the averaged weights
        with a fresh optimizer. Parameters that `save` left out are at their defaults, and so is what trained
        the model by an objective or an augmentation whose package is not installed here.

        Parameters
        ----------
        path : str or path-like
        device : str, default="auto"
            A torch device; ``"auto"`` is a GPU where there is one.

        Returns
        -------
        GenerativeBayesClassifier
            Fitted.

        Raises
        ------
        ModelFileError
            If the file is not one that `save` wrote, is damaged, of a newer version of gencls, or claims more
            than is read (see the page on model files).
        ConditionerError, AugmentationError
            If the package that provides the conditioner, or an augmentation with an orbit, is not installed.
        FileNotFoundError
            If there is no file.
        """
        resolve_device(device)
        snapshot = read_model(path, RULES)
        with file_at_fault(path):
            return cls(**parameters_of(snapshot), device=device)._restore(snapshot)
