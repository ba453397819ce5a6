"""Model files of format 1, which gencls wrote before objectives and augmentations were plug-ins."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from .._common.validation import flag, not_negative, whole
from ..augmentations import Flip, Shift
from ..augmentations.registry import AUGMENTATIONS
from ..objectives import Hybrid
from .fields import CODEC, DESCRIPTION, check_fields
from .plugins import describe_plugin
from .training_settings import describe_training

__all__ = ["read_format_1"]

NEW = ("objective", "augmentation", "stages", "symmetry")
OLD_DESCRIPTION = {name: rule for name, rule in DESCRIPTION.items() if name not in NEW}
OLD_PARAMETERS = {"flip": flag(), "shift": whole(0), "discriminative_weight": not_negative()}
RENAMED = {"discriminative_temperature": "temperature", "n_contrasted": "n_contrasted"}  # now of Hybrid

# They belong to a machine, or to net_params, and predictions do not depend on them.
DROPPED = ("checkpoint", "early_exit", "ema_decay", "gradient_clip", "precision")


def read_format_1(description: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a description of format 1 into one of format 2.

    Parameters
    ----------
    description : mapping
        Of a file of format 1. Fields that are unchanged will be checked as format 2.

    Returns
    -------
    dict

    Raises
    ------
    ModelFileError
        If a field is missing or wrong. Other errors may be raised, too.
    """
    check_fields("the description", description, OLD_DESCRIPTION)
    parameters = dict(description["parameters"])
    old = {name: parameters.pop(name) for name in (*OLD_PARAMETERS, *RENAMED, *DROPPED) if name in parameters}
    checked = {name: value for name, value in old.items() if name in OLD_PARAMETERS}
    check_fields("the parameters", checked, OLD_PARAMETERS, left_out=OLD_PARAMETERS)
    codec = {**description["codec"], "resolution": None}
    check_fields("the codec", codec, CODEC)
    symmetry = [Flip()] if old.get("flip") else []
    parts = [*symmetry, *([Shift(old["shift"])] if old.get("shift") else [])]
    training = {
        "objective": _objective(old),
        "augmentation": parts if len(parts) > 1 else parts[0] if parts else None,
        "stages": None,
    }
    return {
        **description,
        **describe_training(training),
        "format_version": 2,
        "parameters": parameters,
        "symmetry": [describe_plugin(AUGMENTATIONS, part) for part in symmetry],
        "codec": codec,
        "fitted": _fitted(description["fitted"], codec),
    }


def _objective(old: Mapping[str, Any]) -> str | Hybrid:
    if not old.get("discriminative_weight"):
        return "likelihood"
    more = {name: old[before] for before, name in RENAMED.items() if before in old}
    return Hybrid(**({"weight": old["discriminative_weight"], "temperature": 1.0} | more))


def _fitted(fitted: Mapping[str, Any], codec: Mapping[str, Any]) -> dict[str, Any]:
    """The fitted attributes; early files count H · W · C features in any layout."""
    counted, (first, *_) = fitted.get("n_features_in_"), codec["sample_shape"]
    return {**fitted, "n_features_in_": first if counted == prod(codec["image_shape"]) else counted}
