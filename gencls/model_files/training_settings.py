"""The settings of training in a model file: objective, augmentation and stages.

Predictions do not depend on them. A plug-in that a file cannot hold, or that is not installed where the file
is read, is therefore left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from .._common.registry import Registry
from ..augmentations import Composed
from ..augmentations.registry import AUGMENTATIONS
from ..errors import ModelFileError, PluginError
from ..objectives.registry import OBJECTIVES
from .fields import STAGE, check_fields
from .json_values import read_values, write_value
from .plugins import describe_plugin, restore_plugin

__all__ = ["describe_training", "restore_training"]

Settings = dict[str, Any]


def describe_training(parameters: Mapping[str, Any]) -> Settings:
    """Objective, augmentation and stages as JSON.

    Parameters
    ----------
    parameters : mapping
        With these names; a stage is a dict.
    """
    stages = parameters["stages"]
    return _describe_plugins(parameters) | {
        "stages": None if stages is None else [_describe_stage(stage) for stage in stages]
    }


def restore_training(described: Mapping[str, Any]) -> Settings:
    """The parameters that `describe_training` described, without those that have default values."""
    stages = described["stages"]
    found = _restore_plugins(described) | {"stages": stages and [_restore_stage(stage) for stage in stages]}
    return {name: value for name, value in found.items() if value is not None}


def _describe_stage(stage: Mapping[str, Any]) -> Settings:
    own = {name: value for name, value in stage.items() if name not in ("objective", "augmentation")}
    settings = {name: write_value(f"{name} of a stage", value) for name, value in own.items()}
    return _describe_plugins(stage) | {"settings": settings}


def _restore_stage(described: Mapping[str, Any]) -> Settings:
    check_fields("a stage", described, STAGE)
    return read_values(described["settings"]) | _restore_plugins(described)


def _describe_plugins(settings: Mapping[str, Any]) -> Settings:
    augmentation = settings["augmentation"]
    if isinstance(augmentation, Composed):
        augmentation = list(augmentation.parts)
    return _converted(describe_plugin, settings["objective"], augmentation, (PluginError, ModelFileError))


def _restore_plugins(described: Mapping[str, Any]) -> Settings:
    return _converted(restore_plugin, described["objective"], described["augmentation"], (PluginError,))


def _converted(
    convert: Callable[[Registry[Any], Any], Any],
    objective: Any,
    augmentation: Any,
    left_out: tuple[type[Exception], ...],
) -> Settings:
    """An objective and an augmentation, or a list of these, without those that raise one of these errors."""

    def those_that_can_be(registry: Registry[Any], values: Iterable[Any]) -> list[Any]:
        found = []
        for value in values:
            with suppress(*left_out):
                found.append(convert(registry, value))
        return found

    found: Settings = {"objective": None, "augmentation": None}
    if objective is not None:
        found["objective"] = next(iter(those_that_can_be(OBJECTIVES, [objective])), None)
    if augmentation is not None:
        several = isinstance(augmentation, list | tuple)
        parts = those_that_can_be(AUGMENTATIONS, augmentation if several else [augmentation])
        found["augmentation"] = parts if several or not parts else parts[0]
    return found
