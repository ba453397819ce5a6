"""Rules for parameters, and values in messages; all mistakes of a call are reported at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, isfinite
from numbers import Integral, Real
from reprlib import Repr
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidParameterError

__all__ = [
    "Rule",
    "as_float",
    "both_sides",
    "bounds",
    "check_parameters",
    "choice",
    "either",
    "flag",
    "listed",
    "margin",
    "not_negative",
    "optional",
    "positive",
    "printable",
    "random_state",
    "real",
    "share",
    "shortened",
    "sides",
    "whole",
]

LONGEST_VALUE = 200  # characters of one value in a message
LARGEST_INT = 2**63 - 1
LONGEST_ITEM = 60  # characters of each value in a list
MOST_VALUES = 10  # listed in a message


class Rule(NamedTuple):
    """A constraint on a parameter: its description, and a function that accepts a value."""

    description: str
    accepts: Callable[[Any], bool]


def whole(minimum: int, maximum: int | None = None) -> Rule:
    """An int in a closed range, at most 64 bits, bool excluded."""
    words = f"an int of at least {minimum}" if maximum is None else f"an int from {minimum} to {maximum}"
    largest = LARGEST_INT if maximum is None else maximum
    return Rule(words, lambda value: _is(value, Integral) and minimum <= value <= largest)


def real(words: str, accepts: Callable[[float], bool]) -> Rule:
    """A real number, bool excluded, that satisfies a condition."""
    return Rule(words, lambda value: _is(value, Real) and bool(accepts(value)))


def positive() -> Rule:
    """A finite number above 0."""
    return real("a number above 0", lambda value: value > 0 and isfinite(as_float(value)))


def not_negative() -> Rule:
    """A finite number of at least 0."""
    return real("a number of at least 0", lambda value: value >= 0 and isfinite(as_float(value)))


def share() -> Rule:
    """A number from 0 to below 1."""
    return real("a number from 0 to below 1", lambda value: 0 <= value < 1)


def margin() -> Rule:
    """A number above 0 in nats, possibly infinite."""
    return real(
        "a number above 0, in nats", lambda value: value > 0 and (isfinite(as_float(value)) or value == inf)
    )


def as_float(value: float) -> float:
    """Convert a number to float64; numbers beyond its range become infinite."""
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def sides() -> Rule:
    """The sides of an image: one int for both, or a pair."""
    side = whole(1).accepts
    return Rule(
        "an int of at least 1, or a pair (height, width) of them",
        lambda value: (
            side(value) or (isinstance(value, tuple | list) and len(value) == 2 and all(map(side, value)))
        ),
    )


def both_sides(size: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    """Return height and width of a value that `sides` accepts."""
    height, width = size if isinstance(size, tuple | list) else (size, size)
    return int(height), int(width)


def random_state() -> Rule:
    """None, a seed or a legacy NumPy random state."""
    seed = whole(0, 2**32 - 1).accepts
    return optional(
        Rule(
            "an int from 0 to 2**32 - 1 or a numpy.random.RandomState",
            lambda value: seed(value) or isinstance(value, np.random.RandomState) or value is np.random,
        )
    )


def bounds() -> Rule:
    """Two finite numbers, the lower one first."""
    number = real("a number", isfinite).accepts
    return Rule(
        "a pair (low, high) with low < high",
        lambda value: (
            isinstance(value, tuple | list)
            and len(value) == 2
            and all(map(number, value))
            and value[0] < value[1]
        ),
    )


def flag() -> Rule:
    """A bool."""
    return Rule("True or False", lambda value: isinstance(value, bool | np.bool_))


def choice(*values: str | int) -> Rule:
    """One of these values."""
    words = " or ".join(map(repr, values))
    kinds = [str if isinstance(each, str) else Integral for each in values]
    return Rule(
        words, lambda value: any(map(lambda kind, each: _is(value, kind) and value == each, kinds, values))
    )


def optional(rule: Rule) -> Rule:
    """None, or a value that the rule accepts."""
    return Rule(f"None or {rule.description}", lambda value: value is None or rule.accepts(value))


def either(first: Rule, second: Rule) -> Rule:
    """A value that one of two rules accepts."""
    return Rule(
        f"{first.description} or {second.description}",
        lambda value: first.accepts(value) or second.accepts(value),
    )


def check_parameters(owner: str, values: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Raise one error that names every invalid parameter.

    Parameters
    ----------
    owner : str
        The class or function that has the parameters.
    values : mapping of str to object
    rules : mapping of str to Rule

    Raises
    ------
    InvalidParameterError
        With one line per mistake.
    """
    mistakes = [
        f"{name!r} of {owner} must be {rule.description}, got {shortened(values[name])}."
        for name, rule in rules.items()
        if not rule.accepts(values[name])
    ]
    if len(mistakes) == 1:
        raise InvalidParameterError(f"The parameter {mistakes[0]}")
    if mistakes:
        lines = "\n".join(f"- {mistake}" for mistake in mistakes)
        raise InvalidParameterError(f"{len(mistakes)} parameters are invalid:\n{lines}")


def shortened(value: Any) -> str:
    """Shorten a value for a message: the repr of a small value, the beginning or size of a large one."""
    if isinstance(value, bytes | bytearray | memoryview | np.void):
        size = len(value) if isinstance(value, bytes | bytearray) else value.nbytes
        if size > LONGEST_VALUE:
            return f"{size:,} bytes of type {type(value).__name__}"
    try:
        words = _SHORT.repr(value)
    except ValueError:  # Python refuses to print ints of thousands of digits
        words = f"a value of type {type(value).__name__}"
    return words if len(words) <= LONGEST_VALUE else f"{words[: LONGEST_VALUE - 1]}…"


def printable(text: str) -> str:
    """Escape the control characters of a text, which a terminal would interpret."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def listed(values: NDArray[Any]) -> str:
    """List the first values of an array for a message."""
    words = [shortened(value) for value in values[:MOST_VALUES].tolist()]
    words = [word if len(word) <= LONGEST_ITEM else f"{word[: LONGEST_ITEM - 1]}…" for word in words]
    return ", ".join(words + ["…"] * (len(values) > MOST_VALUES))


_SHORT = Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdict = 6
_SHORT.maxstring = _SHORT.maxother = LONGEST_VALUE


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)
