"""A registry that maps names to classes of this package and of plug-ins."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from importlib import metadata
from typing import Any, Generic, TypeAlias, TypeGuard, TypeVar

from sklearn.base import clone

from ..errors import PluginError
from .validation import shortened

__all__ = ["Registry"]

T = TypeVar("T")

Names: TypeAlias = list[str]
Target: TypeAlias = type | metadata.EntryPoint  # a class, or where to import it from
Known: TypeAlias = dict[str, list[Target]]  # several targets for one name are a conflict

PLACE = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")


class Registry(Generic[T]):
    """Plug-ins of one kind by name.

    A name refers to a class of this package, to a class that an installed package provides through an entry
    point, or to a class registered in this process. Entry points are read once, at the first lookup; a class
    is imported at its first use.

    Parameters
    ----------
    kind : str
        The kind in messages, such as ``"conditioner"``. Users call the method `register` as
        ``register_conditioner``.
    group : str
        The entry point group.
    built_in : mapping of str to str
        The names in this package, each with the location of its class, ``"package.module:Class"``.
    base : type
        The base class of all plug-ins of this kind.
    error : type
        The `PluginError` subclass that the methods raise.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        built_in: Mapping[str, str],
        *,
        base: type,
        error: type[PluginError],
    ) -> None:
        self.kind = kind
        self.group = group
        self.base = base
        self.error = error
        self._built_in = dict(built_in)
        self._registered: dict[str, Target] = {}

    def register(self, name: str, target: type[T] | str, *, replace: bool = False) -> None:
        """Register a class, or ``"package.module:Class"``, under a name in this process.

        Raises
        ------
        PluginError
            If the name belongs to a different class and `replace` is false, or an argument is invalid.
        """
        if not isinstance(name, str) or not name:
            raise self.error(
                f"The parameter 'name' of register_{self.kind} must be a non-empty str, got "
                f"{shortened(name)}."
            )
        new = self._as_target(name, target)
        taken = [each for each in self._known().get(name, []) if _place(each) != _place(new)]
        if taken and not replace:
            raise self.error(
                f"The {self.kind} {shortened(name)} of {_owner(new)} cannot be registered: the name "
                f"belongs to {_owners(taken)}. Choose a different name, or pass replace=True."
            )
        self._registered[name] = new

    def get(self, name: str) -> type[T]:
        """Return the class of a name.

        Raises
        ------
        PluginError
            If the name is unknown, if several packages provide it, or if its class cannot be imported.
        """
        targets = self._known().get(name) if isinstance(name, str) else None
        if targets is None:
            raise self.error(self._unknown(name))
        if len(targets) > 1:
            raise self.error(
                f"The {self.kind} {name!r} is provided by {_owners(targets)}. Uninstall one of them, or "
                f"choose one by register_{self.kind} with replace=True."
            )
        return self._import(name, targets[0])

    def list(self) -> Names:
        """Return all names in alphabetical order, without importing the classes."""
        return sorted(self._known())

    def name_of(self, cls: type[T]) -> str:
        """Return the name of a class.

        Raises
        ------
        PluginError
            If the class is not registered.
        """
        known, place = self._known(), _place(cls)
        likely = [name for name in self.list() if place in map(_place, known[name])]
        for name in [*likely, *self.list()]:
            with suppress(self.error):  # broken plug-ins cannot provide this class
                if self.get(name) is cls:
                    return name
        raise self.error(
            f"The {self.kind} {cls.__name__} has no name in the registry. Register it: "
            f"register_{self.kind}({cls.__name__.lower()!r}, {cls.__name__})."
        )

    def make(self, value: str | type[T] | T) -> T:
        """Create an instance from a name, a class or an instance, which is cloned.

        Raises
        ------
        PluginError
            If the value has a different type, or its name cannot be resolved.
        """
        if isinstance(value, str):
            return self.get(value)()
        if isinstance(value, self.base):
            return clone(value)
        if self._fits(value):
            return value()
        raise self.error(
            f"The {self.kind} must be one of the names {', '.join(map(repr, self.list()))}, a subclass of "
            f"{_public(self.base)} or an instance of one, got {shortened(value)}."
        )

    @cached_property
    def _provided(self) -> Known:
        """Targets of this package and of the installed plug-ins."""
        found: Known = {name: [self._point(name, place)] for name, place in self._built_in.items()}
        for point in metadata.entry_points(group=self.group):
            others = found.setdefault(point.name, [])
            if _place(point) not in map(_place, others):
                others.append(point)
        return found

    def _known(self) -> Known:
        return self._provided | {name: [target] for name, target in self._registered.items()}

    def _point(self, name: str, place: str) -> metadata.EntryPoint:
        return metadata.EntryPoint(name, place, self.group)

    def _as_target(self, name: str, target: Any) -> Target:
        if not isinstance(target, str):
            return self._checked(name, target)
        if not PLACE.fullmatch(target):
            raise self.error(
                f"The parameter 'target' of register_{self.kind} must be a subclass of "
                f"{_public(self.base)} or 'package.module:Class', got {shortened(target)}."
            )
        return self._point(name, target)

    def _import(self, name: str, target: Target) -> type[T]:
        if isinstance(target, type):
            return target
        try:
            found = target.load()
        except Exception as error:
            raise self.error(
                f"The {self.kind} {name!r} of {_owner(target)} cannot be imported "
                f"({type(error).__name__}: {error}). Repair or uninstall that package."
            ) from error
        return self._checked(name, found)

    def _checked(self, name: str, found: Any) -> type[T]:
        if not self._fits(found):
            raise self.error(
                f"The {self.kind} {shortened(name)} must be a subclass of {_public(self.base)}, got "
                f"{shortened(found)}."
            )
        return found

    def _fits(self, found: Any) -> TypeGuard[type[T]]:
        return inspect.isclass(found) and issubclass(found, self.base)

    def _unknown(self, name: Any) -> str:
        known = self.list()
        nearest = difflib.get_close_matches(name, known, n=1) if isinstance(name, str) else []
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        return f"There is no {self.kind} {shortened(name)}; the known names are {', '.join(known)}.{hint}"


def _place(target: Target) -> str:
    """Return the location of a class, which identifies the target."""
    if isinstance(target, metadata.EntryPoint):
        return target.value
    return f"{target.__module__}:{target.__qualname__}"


def _owner(target: Target) -> str:
    place = _place(target)
    package = re.split("[.:]", place)[0]
    if isinstance(target, metadata.EntryPoint) and target.dist is not None:
        package = target.dist.name
    return f"the package {package!r} ({place})"


def _owners(targets: list[Target]) -> str:
    return " and ".join(map(_owner, targets))


def _public(base: type) -> str:
    return f"{base.__module__.partition('.')[0]}.{base.__name__}"
