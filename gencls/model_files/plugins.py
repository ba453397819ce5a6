"""Plug-ins in a model file: a conditioner, objective or augmentation by its name and its hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._common.registry import Registry
from .._common.validation import shortened
from ..errors import ModelFileError, PluginError
from .fields import PLUGIN, check_fields
from .json_values import read_values, write_value

__all__ = ["describe_plugin", "restore_plugin"]


def describe_plugin(registry: Registry[Any], given: Any) -> dict[str, Any]:
    """A plug-in as JSON.

    Parameters
    ----------
    registry : Registry
        Of its kind.
    given : str, type or instance

    Raises
    ------
    PluginError
        If its class has no name in the registry.
    ModelFileError
        If JSON cannot hold a hyper-parameter.
    """
    plugin: Any = given if isinstance(given, registry.base) else registry.make(given)
    kind = type(plugin)
    hyper: dict[str, Any] = plugin.get_params(deep=False)
    return {
        "name": given if isinstance(given, str) else registry.name_of(kind),
        "given_by_name": isinstance(given, str),
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "parameters": {name: write_value(f"{registry.kind}__{name}", value) for name, value in hyper.items()},
    }


def restore_plugin(registry: Registry[Any], described: Mapping[str, Any]) -> Any:
    """The plug-in that `describe_plugin` described: its name if it was given by name, or an instance.

    Raises
    ------
    PluginError
        If its name is unknown, or its class cannot be imported.
    ModelFileError
        If a field is missing or wrong. Its constructor may raise other errors, too.
    """
    check_fields(f"the {registry.kind}", described, PLUGIN)
    name = described["name"]
    try:
        kind = registry.get(name)
    except PluginError as error:
        raise type(error)(
            f"{error} The model was saved with the {registry.kind} {shortened(described['class'])}: install "
            f"the package that provides it, or call register_{registry.kind} before load."
        ) from error
    known = kind._get_param_names()
    if odd := [each for each in described["parameters"] if each not in known]:
        raise ModelFileError(f"The {registry.kind} {name!r} has no parameter {shortened(odd[0])}.")
    plugin = kind(**read_values(described["parameters"]))
    is_standard = described["given_by_name"] and repr(plugin) == repr(registry.make(name))
    return name if is_standard else plugin
