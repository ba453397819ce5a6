"""Training data: weights checked, duplicates merged, a part held out, batches for torch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import Dataset

from .._common.validation import listed, shortened
from ..errors import InvalidInputError, InvalidParameterError
from ..images.codec import ImageCodec
from ..images.layout import as_numpy
from .plan import PlannedStage

__all__ = [
    "LabelledImages",
    "Samples",
    "TrainingData",
    "as_is",
    "check_sample_weight",
    "hold_out",
    "merge_duplicates",
    "split_by",
    "too_few",
]

KEYS = 1024  # compared at once, which bounds the memory of copies
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-200, 1e200


@dataclass
class LabelledImages(Dataset[tuple[dict[str, Tensor], Tensor]]):
    """Levels (N, C, H, W) with labels (N,) and weights (N,); indexed by whole batches."""

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
    """Return the batch unchanged: `LabelledImages` returns whole batches."""
    return batch


class Samples(NamedTuple):
    """Levels (N, C, H, W), labels (N,) from 0 to K - 1, and weights (N,).

    Where training needs them, also the original images (N, H, W, C).
    """

    levels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    images: NDArray[Any] | None = None

    def take(self, index: NDArray[Any]) -> Samples:
        """The samples at these positions."""
        images = None if self.images is None else self.images[index]
        return Samples(self.levels[index], self.labels[index], self.weights[index], images)

    def to_torch(self, device: torch.device) -> LabelledImages:
        """The data set on a device, with weights of mean 1."""
        weights = self.weights / self.weights.mean()
        return LabelledImages(
            torch.from_numpy(self.levels).to(device),
            torch.from_numpy(self.labels).to(device),
            torch.from_numpy(weights.astype(np.float32)).to(device),
        )


@dataclass(frozen=True)
class TrainingData:
    """Samples that can be resized, and varied in each epoch.

    Attributes
    ----------
    samples : Samples
        With images, if a size differs from that of the levels, or an augmentation has a hook per epoch.
    codec : ImageCodec
        Converts images to levels.
    device : torch.device
    """

    samples: Samples
    codec: ImageCodec
    device: torch.device

    def __len__(self) -> int:
        return len(self.samples.labels)

    def at(self, size: tuple[int, int]) -> LabelledImages:
        """All samples as images of H rows and W columns."""
        return self.samples._replace(levels=self._levels(size)).to_torch(self.device)

    def drawn(self, stage: PlannedStage, random_state: np.random.RandomState) -> LabelledImages:
        """The images for one epoch of a stage: all or some, and varied if its augmentation does that."""
        data, n_images = self, stage.images_per_epoch(len(self))
        if n_images < len(self):
            chosen = np.sort(random_state.permutation(len(self))[:n_images])
            data = replace(self, samples=self.samples.take(chosen))
        if not stage.augmentation.per_epoch_parts:
            return data.at(stage.size)
        images = stage.augmentation.per_epoch(data._images, stage.size, random_state)
        levels = self.codec.at(stage.size).encode_images(images)
        return data.samples._replace(levels=levels).to_torch(self.device)

    def digest(self) -> str:
        """A checksum of the samples."""
        checksum = hashlib.sha256()
        for values in self.samples:
            if values is not None:
                checksum.update(f"{values.dtype}{values.shape}".encode())
                checksum.update(np.ascontiguousarray(values).tobytes())
        return checksum.hexdigest()

    def _levels(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        if self.samples.levels.shape[2:] == tuple(size):
            return self.samples.levels
        return self.codec.at(size).encode_images(self._images)

    @property
    def _images(self) -> NDArray[Any]:
        return cast("NDArray[Any]", self.samples.images)


def check_sample_weight(sample_weight: ArrayLike | None, n_samples: int) -> NDArray[np.float64]:
    """Weights (n_samples,) as float64, all 1 without `sample_weight`.

    Raises
    ------
    InvalidInputError
        If the weights have a different shape, are negative or not finite, or are all 0.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    weights = as_numpy(sample_weight, "sample_weight")
    if weights.dtype == object and all(isinstance(each, Real) for each in weights.ravel()):
        weights = np.array([_as_float(each) for each in weights.ravel()]).reshape(weights.shape)
    if weights.dtype.kind not in "biuf":
        way = "compute_sample_weight of sklearn.utils.class_weight"
        advice = f" For weights by class, use {way}." if isinstance(sample_weight, Mapping) else ""
        raise InvalidInputError(
            f"sample_weight must be numbers, one per sample, got {shortened(sample_weight)}.{advice}"
        )
    weights = weights.astype(np.float64)
    if weights.ndim == 0:
        weights = np.full(n_samples, weights)
    if weights.shape != (n_samples,):
        raise InvalidInputError(
            f"sample_weight must have the shape ({n_samples},), one per sample, got {weights.shape}."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InvalidInputError(
            "sample_weight must be finite and non-negative, got values from "
            f"{weights.min():g} to {weights.max():g}."
        )
    if not weights.any():
        raise InvalidInputError("sample_weight must have a weight above 0, got only zeros.")
    smallest, largest = weights[weights > 0].min(), weights.max()
    if smallest < SMALLEST_WEIGHT or largest > LARGEST_WEIGHT:
        raise InvalidInputError(
            f"sample_weight must be 0 or from {SMALLEST_WEIGHT:g} to {LARGEST_WEIGHT:g}, got values from "
            f"{smallest:g} to {largest:g}, whose sums overflow or underflow. Rescale the weights."
        )
    return weights


def _as_float(value: Any) -> float:
    """Convert a number to float64, infinite if it is too large."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def merge_duplicates(samples: Samples) -> Samples:
    """Sort the samples, and merge equal images of one class by adding their weights.

    Images are equal if their levels are. A weight of 2 is thus exactly the same as a duplicated sample, the
    order of the samples does not matter, and no image is in both parts of a validation split.
    """
    order, is_first = _sorted_by_image(samples)
    weights = np.bincount(is_first.cumsum() - 1, samples.weights[order])
    return samples.take(order[is_first])._replace(weights=weights.astype(np.float64))


def _sorted_by_image(samples: Samples) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Positions sorted by class and levels, and whether each is the first of its class and levels."""
    n_samples = len(samples.labels)
    codes = samples.labels.astype(">i8").view(np.uint8).reshape(n_samples, 8)
    rows = np.hstack([codes, samples.levels.reshape(n_samples, -1)])
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
    order = np.argsort(keys, kind="stable")
    is_first = np.ones(n_samples, dtype=bool)
    for start in range(1, n_samples, KEYS):
        near = keys[order[start - 1 : start + KEYS]]
        is_first[start : start + KEYS] = near[1:] != near[:-1]
    return order, is_first


def hold_out(samples: Samples, fraction: float, seed: int, classes: NDArray[Any]) -> tuple[Samples, Samples]:
    """Split into training and validation samples, stratified by class.

    Parameters
    ----------
    samples : Samples
        Of different images.
    fraction : float
        The share that is held out, above 0 and below 1.
    seed : int
    classes : ndarray of shape (K,)
        The classes of the labels, for error messages.

    Raises
    ------
    InvalidInputError
        If there are too few images.
    """
    if reason := too_few(samples.labels, fraction, classes):
        raise InvalidInputError(
            f"validation_fraction={fraction:g} cannot be held out of {len(samples.labels)} different images: "
            f"{reason}. Pass X_val and y_val, more images, or early_stopping=False and a number for "
            "temperature."
        )
    train, held_out = train_test_split(
        np.arange(len(samples.labels)), test_size=fraction, stratify=samples.labels, random_state=seed
    )
    return samples.take(train), samples.take(held_out)


def split_by(samples: Samples, train_split: Callable[..., Any]) -> tuple[Samples, Any]:
    """Split as `skorch.NeuralNet` does with its parameter ``train_split``.

    Parameters
    ----------
    samples : Samples
    train_split : callable
        Such as `skorch.dataset.ValidSplit`, or the result of `skorch.helper.predefined_split`.

    Returns
    -------
    training : Samples
    held_out : Samples, pair of lists or None
        Images and labels, if it is a data set of the user's own.

    Raises
    ------
    InvalidParameterError
        If it fails, or returns something else.
    """
    images = samples.to_torch(torch.device("cpu"))
    try:
        parts = train_split(images, samples.labels)
        training, held_out = (_taken_from(samples, images, part) for part in parts)
        if not (held_out is None or isinstance(held_out, Samples)):
            pairs = [held_out[i] for i in range(len(held_out))]
            held_out = [image for image, _ in pairs], [label for _, label in pairs]
    except Exception as error:  # a function of the user may raise anything
        raise InvalidParameterError(
            "The parameter 'net_params' of GenerativeBayesClassifier has a 'train_split' that fails here "
            f"({type(error).__name__}: {shortened(str(error))}). Pass X_val and y_val to fit, or set "
            "early_stopping and validation_fraction."
        ) from error
    return (training if isinstance(training, Samples) else samples), held_out


def _taken_from(samples: Samples, images: LabelledImages, part: Any) -> Any:
    """The samples of a subset of the images; anything else is returned unchanged."""
    if getattr(part, "dataset", None) is not images:
        return part
    return samples.take(np.asarray(part.indices))


def too_few(labels: NDArray[np.int64], fraction: float, classes: NDArray[Any]) -> str:
    """Why a share of these images cannot be held out with images of every class in both parts."""
    present, counts = np.unique(labels, return_counts=True)
    if (counts < 2).any():
        single = listed(classes[present[counts < 2]])
        return f"these classes have only one image, and need two: {single}"
    n_held_out = math.ceil(fraction * len(labels))
    sides = {"held out": n_held_out, "left for training": len(labels) - n_held_out}
    side, n_images = min(sides.items(), key=lambda each: each[1])
    if n_images >= len(present):
        return ""
    return f"{n_images} would be {side}, fewer than the {len(present)} classes ({listed(classes[present])})"
