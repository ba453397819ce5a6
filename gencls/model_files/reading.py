"""From a model file to a classifier. Conditions between the fields of a description are checked here."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from .._common.validation import Rule, shortened
from ..augmentations.registry import AUGMENTATIONS
from ..conditioners import CONDITIONERS
from ..errors import ModelFileError
from ..images.codec import ImageCodec
from .container import StrPath, read_description, read_model_file
from .faults import file_at_fault
from .fields import CODEC, DESCRIPTION, LEARNED, LONGEST_NAME, PARAMETERS, ROW, check_fields
from .format_1 import read_format_1
from .json_values import read_values
from .plugins import restore_plugin
from .snapshot import APART, NOT_KEPT, Snapshot
from .training_settings import restore_training

__all__ = ["read_card", "read_model", "restore"]


def read_model(path: StrPath, rules: Mapping[str, Rule]) -> Snapshot:
    """Read a model file, whose parameters must follow the rules; the weights are left to `check_weights`."""
    description, weights = read_model_file(path)
    with file_at_fault(path):
        return restore(_current(description), weights, rules)


def read_card(path: StrPath) -> dict[str, Any]:
    """Read the card of a model file, from ``GenerativeBayesClassifier.save(card=...)``.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict
        Empty if there is no card.

    Raises
    ------
    ModelFileError
        If the file is not a model file, or is damaged.
    """
    description = read_description(path)
    with file_at_fault(path):
        description = _current(description)
        check_fields("the description", description, DESCRIPTION)
        return dict(description["card"])


def restore(
    description: Mapping[str, Any], weights: dict[str, Tensor], rules: Mapping[str, Rule]
) -> Snapshot:
    """The classifier of a description, whose parameters must follow the rules, or an error.

    Raises
    ------
    PluginError
        If the conditioner, or an augmentation that makes the density symmetric, is not registered.
    ModelFileError
        If a field is missing or wrong, or fields do not fit together. Other errors may be raised, too.
    """
    left_out = () if "sha256" in description else ("sha256", "format_version")
    check_fields("the description", description, DESCRIPTION, left_out)
    snapshot = Snapshot(
        _restore_parameters(description["parameters"], rules)
        | {"conditioner": restore_plugin(CONDITIONERS, description["conditioner"])}
        | restore_training(description),
        [AUGMENTATIONS.make(restore_plugin(AUGMENTATIONS, part)) for part in description["symmetry"]],
        _restore_codec(description["codec"]),
        _restore_fitted(description["fitted"]),
        [_restore_row(row) for row in description["history"]],
        description["n_steps"],
        weights,
    )
    _check_fitted(snapshot.fitted, snapshot.codec)
    _check_priors(snapshot.parameters.get("priors"), len(snapshot.fitted["classes_"]))
    return snapshot


def _current(description: dict[str, Any]) -> dict[str, Any]:
    """A description in the current format."""
    return read_format_1(description) if description["format_version"] == 1 else description


def _restore_parameters(written: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The parameters; some may be missing, and further ones may be those of a subclass."""
    if not written.keys().isdisjoint((*NOT_KEPT, *APART)):
        raise ModelFileError(f"The parameters must not have {', '.join((*NOT_KEPT, *APART))}.")
    if odd := [name for name in written if not (name.isidentifier() and len(name) <= LONGEST_NAME)]:
        raise ModelFileError(f"No parameter has the name {shortened(odd[0])}.")
    parameters = read_values(written)
    rules = {**rules, **PARAMETERS}
    known = {name: value for name, value in parameters.items() if name in rules}
    check_fields("the parameters", known, rules, left_out=rules)
    return parameters


def _restore_codec(state: Mapping[str, Any]) -> ImageCodec:
    """Fit a codec on a single value, as everything that it learns from images is given."""
    check_fields("the codec", state, CODEC)
    image_shape, sample_shape = tuple(state["image_shape"]), tuple(state["sample_shape"])
    low, high, n_levels = float(state["low"]), float(state["high"]), state["n_levels"]
    if low > high or sample_shape not in {image_shape, (prod(image_shape),)}:
        raise ModelFileError(
            f"No images of {image_shape} have samples of {shortened(sample_shape)} with values from {low:g} "
            f"to {high:g}."
        )
    resolution = state["resolution"] and tuple(state["resolution"])
    codec = ImageCodec(image_shape, state["channel_axis"], (low, high), n_levels, resolution)
    codec.fit(np.array([[low]]), sample_shape)
    codec.dtype_ = np.dtype(state["dtype"])
    _check_decoding(codec)
    return codec


def _check_decoding(codec: ImageCodec) -> None:
    """Raise unless the dtype of the images can hold the values of all levels."""
    levels = np.zeros((codec.n_levels_, *codec.tensor_shape_[:1], 1, 1), np.uint8)
    levels[:, 0, 0, 0] = np.arange(codec.n_levels_)
    try:
        with np.errstate(all="raise", under="ignore"):
            codec.resized(1, 1).decode(levels)
    except FloatingPointError as error:
        raise ModelFileError(
            f"Images of {codec.dtype_} have no values from {codec.low_:g} to {codec.high_:g} ({error})."
        ) from error


def _restore_fitted(written: Mapping[str, Any]) -> dict[str, Any]:
    fitted = read_values(written)
    check_fields("what was learned", fitted, LEARNED, left_out=("feature_names_in_",))
    return fitted


def _restore_row(written: Mapping[str, Any]) -> dict[str, Any]:
    if "batches" in written:
        raise ModelFileError("A row of the history must not have batches.")
    row = read_values(written)
    known = {name: value for name, value in row.items() if name in ROW}
    check_fields("the history", known, ROW, left_out=ROW)
    return row


def _check_fitted(fitted: Mapping[str, Any], codec: ImageCodec) -> None:
    """Raise unless the fitted attributes are consistent."""
    n_classes, n_features = len(fitted["classes_"]), prod(codec.image_shape_)
    if fitted["n_features_in_"] != codec.sample_shape_[0]:
        raise ModelFileError(f"n_features_in_ does not fit images of the shape {codec.sample_shape_}.")
    lengths = {
        "class_count_": (len(fitted["class_count_"]), n_classes),
        "class_prior_": (len(fitted["class_prior_"]), n_classes),
        "feature_names_in_": (len(fitted.get("feature_names_in_", range(n_features))), n_features),
    }
    if wrong := [name for name, (found, expected) in lengths.items() if found != expected]:
        raise ModelFileError(
            f"{' and '.join(wrong)} do not fit {n_classes} classes of {n_features} features."
        )


def _check_priors(priors: Any, n_classes: int) -> None:
    """Raise unless there is one for each class."""
    if priors is not None and len(priors) != n_classes:
        raise ModelFileError(f"{len(priors)} priors do not fit {n_classes} classes.")
