"""The registry: from the name that users type to the conditioner, from this package or any other."""

from __future__ import annotations

import difflib
import importlib
import inspect
from contextlib import suppress
from functools import cache
from importlib import metadata
from typing import Any

from sklearn.base import clone

from .._common.validation import shortened
from ..errors import ConditionerError
from .base import Conditioner

__all__ = [
    "get_conditioner",
    "list_conditioners",
    "make_conditioner",
    "register_conditioner",
    "registered_name",
]

GROUP = "gencls.conditioners"

_BUILT_IN: dict[str, Any] = {
    "early": f"{__package__}.early:Early",
    "early-film": f"{__package__}.early_film:EarlyFilm",
    "embedding": f"{__package__}.embedding:Embedding",
    "film": f"{__package__}.film:Film",
    "head": f"{__package__}.head:Head",
    "late": f"{__package__}.late:Late",
    "low-rank": f"{__package__}.low_rank:LowRank",
    "mild": f"{__package__}.mild:Mild",
    "spatial": f"{__package__}.spatial:Spatial",
    "spatial-film": f"{__package__}.spatial_film:SpatialFilm",
    "strong": f"{__package__}.strong:Strong",
    "template": f"{__package__}.template:Template",
    "unconditional": f"{__package__}.unconditional:Unconditional",
}

_TARGETS = dict(_BUILT_IN)  # and what was registered in this process


def register_conditioner(name: str, target: type[Conditioner] | str, *, replace: bool = False) -> None:
    """Make a conditioner known under a name, for this process.

    A package that is installed registers its conditioners for every process by entry points of the group
    ``gencls.conditioners`` instead.

    Parameters
    ----------
    name : str
    target : type or str
        A subclass of `Conditioner`, or where it is: ``"package.module:Class"``, imported when it is first
        asked for.
    replace : bool, default=False
        Whether another conditioner of this name gives way.

    Raises
    ------
    ConditionerError
        If the name is taken by another conditioner; the same one again is no error.
    """
    if not isinstance(name, str) or not name:
        raise ConditionerError(
            f"The parameter 'name' of register_conditioner must be a non-empty str, got {name!r}."
        )
    if not isinstance(target, str):
        _check_class(name, target)
    taken = _known().get(name)
    if taken is not None and not replace and not _same(taken, target):
        raise ConditionerError(
            f"The conditioner {name!r} of {_owner(target)} cannot be registered: {_owner(taken)} already "
            "provides that name. Choose another name, or pass replace=True."
        )
    _TARGETS[name] = target


def get_conditioner(name: str) -> type[Conditioner]:
    """Find the class of a conditioner.

    Parameters
    ----------
    name : str
        One of `list_conditioners`.

    Returns
    -------
    type
        The subclass of `Conditioner`.

    Raises
    ------
    ConditionerError
        If no conditioner has this name, or the package that provides it cannot be imported.
    """
    known = _known()
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ConditionerError(
            f"There is no conditioner {shortened(name)}; known are {', '.join(sorted(known))}.{hint}"
        )
    target = known[name]
    if isinstance(target, list):
        owners = " and ".join(_owner(point) for point in target)
        raise ConditionerError(f"The conditioner {name!r} is provided by {owners}. Uninstall one of them.")
    try:
        found = _load(target)
    except Exception as error:
        raise ConditionerError(
            f"The conditioner {name!r} of {_owner(target)} cannot be imported "
            f"({type(error).__name__}: {error}). Mend or uninstall that package."
        ) from error
    return _check_class(name, found)


def list_conditioners() -> list[str]:
    """Name all conditioners, of this package, of installed packages, and registered ones.

    Returns
    -------
    list of str
        Sorted.
    """
    return sorted(_known())


def registered_name(kind: type[Conditioner]) -> str:
    """Find a name under which a class is registered.

    Raises
    ------
    ConditionerError
        If there is none.
    """
    for name in list_conditioners():
        with suppress(ConditionerError):  # broken plugins are not asked for
            if get_conditioner(name) is kind:
                return name
    raise ConditionerError(
        f"The conditioner {kind.__name__} has no name in the registry. Give it one with "
        f"register_conditioner({kind.__name__.lower()!r}, {kind.__name__})."
    )


def make_conditioner(conditioner: str | type[Conditioner] | Conditioner) -> Conditioner:
    """Turn a name, a class or an instance into a new instance that has not been built."""
    if isinstance(conditioner, Conditioner):
        return clone(conditioner)
    if isinstance(conditioner, str):
        return get_conditioner(conditioner)()
    return _check_class(getattr(conditioner, "__name__", shortened(conditioner)), conditioner)()


def _known() -> dict[str, Any]:
    """Name to class, dotted string, entry point, or list of those in conflict."""
    found = _plugins() | _TARGETS
    for name in _plugins().keys() & _BUILT_IN.keys():
        if found[name] is _BUILT_IN[name]:  # nothing was registered in its place since
            found[name] = [_BUILT_IN[name], *_listed(_plugins()[name])]
    return found


@cache
def _plugins() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for point in metadata.entry_points(group=GROUP):
        others = found.get(point.name)
        if others is None or _same(others, point):
            found[point.name] = point
        else:
            found[point.name] = [*_listed(others), point]
    return found


def _listed(target: Any) -> list[Any]:
    return target if isinstance(target, list) else [target]


def _load(target: Any) -> Any:
    if isinstance(target, metadata.EntryPoint):
        return target.load()
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)
    return target


def _location(target: Any) -> str:
    if isinstance(target, metadata.EntryPoint):
        return target.value
    return target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"


def _same(one: Any, other: Any) -> bool:
    return not isinstance(one, list) and _location(one) == _location(other)


def _owner(target: Any) -> str:
    if isinstance(target, list):
        return " and ".join(map(_owner, target))
    if isinstance(target, metadata.EntryPoint) and target.dist is not None:
        return f"the package {target.dist.name!r} ({target.value})"
    location = _location(target)
    return f"the package {location.split('.')[0].split(':')[0]!r} ({location})"


def _check_class(name: str, target: Any) -> type[Conditioner]:
    if not (inspect.isclass(target) and issubclass(target, Conditioner)):
        raise ConditionerError(
            f"The conditioner {shortened(name)} must be a subclass of gencls.Conditioner, got "
            f"{shortened(target)}."
        )
    return target
