"""A contract: rules, each with a promise and a remedy, and one error that lists those that are broken."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from .._common.registry import Registry
from ..backends.random_numbers import DrawingFrom
from ..errors import PluginContractError

__all__ = ["Broken", "Contract", "Rule", "Subject", "require"]

Check: TypeAlias = Callable[[Any], None]


class Broken(Exception):  # noqa: N818  it never leaves this package
    """The observation that shows that a rule is broken."""


def require(holds: bool, seen: str) -> None:
    """Raise `Broken` unless something holds."""
    if not holds:
        raise Broken(seen)


class Subject:
    """The plug-in under examination.

    Parameters
    ----------
    registry : Registry
        Of its kind.
    given : str, type or object
        A name, a class or an instance.
    """

    def __init__(self, registry: Registry[Any], given: Any):
        self.registry = registry
        self.given = registry.get(given) if isinstance(given, str) else given
        kind = self.given if inspect.isclass(self.given) else type(self.given)
        place = f"{kind.__module__}:{kind.__qualname__}"
        self.name = f"{given!r} ({place})" if isinstance(given, str) else place

    def make(self) -> Any:
        """A new instance."""
        return self.registry.make(self.given)


@dataclass(frozen=True)
class Rule:
    """A part of a contract.

    Attributes
    ----------
    name, promise : str
        Name of the rule, and what it requires.
    remedy : str
        How to repair a plug-in that breaks it.
    check : callable
        Takes a `Subject`, and raises `Broken` with what was seen.
    """

    name: str
    promise: str
    remedy: str
    check: Check


class Contract:
    """The rules for plug-ins of one kind.

    Parameters
    ----------
    kind : str
        The word for a plug-in in messages, such as ``"conditioner"``.
    error : type
        The error that `check` raises.

    Attributes
    ----------
    foundations, rules : list of Rule
        The other rules depend on the foundations, and are checked only if these hold.
    """

    def __init__(self, kind: str, error: type[PluginContractError]):
        self.kind = kind
        self.error = error
        self.foundations: list[Rule] = []
        self.rules: list[Rule] = []

    def foundation(self, remedy: str) -> Callable[[Check], Check]:
        """Add a function as a foundation; its name and its docstring are those of the rule."""
        return _adding_to(self.foundations, remedy)

    def rule(self, remedy: str) -> Callable[[Check], Check]:
        """Add a function as a rule; its name and its docstring are those of the rule."""
        return _adding_to(self.rules, remedy)

    def check(self, subject: Subject, verbose: int = 0) -> None:
        """Raise one error that lists the rules that a plug-in breaks.

        Raises
        ------
        PluginContractError
        """
        with DrawingFrom(seed=0):
            broken = list(islice(_failures(subject, self.foundations, verbose), 1))
            broken = broken or list(_failures(subject, self.rules, verbose))
        if broken:
            n_rules = len(self.foundations) + len(self.rules)
            header = f"The {self.kind} {subject.name} breaks {len(broken)} of the {n_rules} rules of the"
            raise self.error("\n".join([f"{header} contract:", *broken]))


def _adding_to(rules: list[Rule], remedy: str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        rules.append(Rule(check.__name__, check.__doc__ or "", remedy, check))
        return check

    return add


def _failures(subject: Subject, rules: Iterable[Rule], verbose: int) -> Iterator[str]:
    for rule in rules:
        seen = _try(rule, subject)
        if verbose:
            sys.stderr.write(f"{'broken' if seen else 'holds '} {rule.name}\n")
        if seen:
            yield f"- {rule.name}: {rule.promise}\n  Seen: {seen}\n  What to do: {rule.remedy}"


def _try(rule: Rule, subject: Subject) -> str:
    """The observation if the rule is broken, else nothing."""
    try:
        rule.check(subject)
    except Broken as broken:
        return str(broken)
    except Exception as error:
        return f"{type(error).__name__} was raised: {error}"
    return ""
