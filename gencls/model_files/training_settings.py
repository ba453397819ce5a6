"""How a model was trained, in its file: objective, augmentation and stages.

Nothing that is predicted depends on them. So a plug-in that a file cannot hold, or that is not installed
where the file is read, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """The parameters that `describe_training` described, without those that are at their defaults."""
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
    objective = settings["objective"]
    known = [] if objective is None else _describe_where_possible(OBJECTIVES, objective)
    return {
        "objective": known[0] if known else None,
        "augmentation": _describe_augmentation(settings["augmentation"]),
    }


def _describe_augmentation(given: Any) -> Any:
    """None, one, or a list of those that a file can hold."""
    if given is None:
        return None
    parts = given.parts if isinstance(given, Composed) else given
    several = isinstance(parts, list | tuple)
    known = [
        each
        for part in (parts if several else [parts])
        for each in _describe_where_possible(AUGMENTATIONS, part)
    ]
    return known if several or not known else known[0]


def _describe_where_possible(registry: Registry[Any], given: Any) -> list[Settings]:
    try:
        return [describe_plugin(registry, given)]
    except (PluginError, ModelFileError):
        return []


def _restore_plugins(described: Mapping[str, Any]) -> Settings:
    objective = described["objective"]
    known = [] if objective is None else _restore_where_possible(OBJECTIVES, objective)
    return {
        "objective": known[0] if known else None,
        "augmentation": _restore_augmentation(described["augmentation"]),
    }


def _restore_augmentation(described: Any) -> Any:
    if described is None:
        return None
    several = type(described) is list
    parts = described if several else [described]
    known = [each for part in parts for each in _restore_where_possible(AUGMENTATIONS, part)]
    return known if several or not known else known[0]


def _restore_where_possible(registry: Registry[Any], described: Settings) -> list[Any]:
    try:
        return [restore_plugin(registry, described)]
    except PluginError:
        return []
