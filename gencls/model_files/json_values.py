"""Lossless conversion of Python values to JSON and back, for the values that a model file may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._common.validation import shortened
from ..errors import ModelFileError

__all__ = ["NUMBERS", "from_json", "parse_json", "read_values", "to_json", "write_value"]

NUMBERS = ("bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)))
NUMBERS += ("float16", "float32", "float64")
STRINGS = ("str", "object")  # an array of objects holds only strings

MOST_VALUES = 500_000  # in one text; each takes up to 200 bytes
DEEPEST = 100  # lists and objects within each other
LONGEST_STRING = 1_000  # characters, of an array
LARGEST_STRINGS = (
    2**24
)  # bytes of all arrays of strings: each string takes as many as the longest of its array


def to_json(value: Any) -> Any:
    """Convert a value for `json`; objects with a single key represent types that JSON lacks.

    Parameters
    ----------
    value : object
        None, numbers, strings, lists, tuples, dicts whose keys are strings, NumPy's scalars and arrays.

    Raises
    ------
    TypeError
        If the value is or holds anything else.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [to_json(item) for item in value]
    if type(value) is tuple:
        return {"tuple": [to_json(item) for item in value]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: to_json(item) for key, item in value.items()}}
    if isinstance(value, np.ndarray | np.generic):
        return _from_numpy(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def from_json(value: Any) -> Any:
    """Convert the result of `to_json` back to the value.

    Raises
    ------
    ValueError, TypeError, OverflowError
        If `to_json` cannot have returned it.
    """
    match value:
        case list():
            return [from_json(item) for item in value]
        case {"tuple": list(items), **others} if not others:
            return tuple(from_json(item) for item in items)
        case {"dict": dict(items), **others} if not others:
            return {key: from_json(item) for key, item in items.items()}
        case {"array": list(items), "dtype": str(dtype), **others} if not others:
            return _to_numpy(items, dtype)
        case dict():
            raise ValueError("an object does not have the keys of a tuple, a dict or an array")
    return value


def write_value(name: str, value: Any) -> Any:
    """As `to_json`, with an error that names the value.

    Raises
    ------
    ModelFileError
    """
    try:
        return to_json(value)
    except TypeError as error:
        raise ModelFileError(
            f"{name} cannot be saved, as {error}. A model file holds numbers, bools, strings, and lists, "
            "tuples, dicts and arrays of these; pickle supports any value."
        ) from error


def read_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """As `from_json`, of several values, with an error that names one.

    Raises
    ------
    ModelFileError
    """
    restored = {}
    for name, value in values.items():
        try:
            restored[name] = from_json(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise ModelFileError(f"{shortened(name)} cannot be read: {error}") from error
    return restored


def parse_json(text: str | bytes) -> Any:
    """Read JSON, unless it would take much more memory than its length suggests.

    Raises
    ------
    ValueError
        If it is not JSON, repeats a key, has too many values or levels, or arrays of too wide strings.
    """
    marks: Any = (b",", b"[", b"{") if isinstance(text, bytes) else (",", "[", "{")
    if sum(map(text.count, marks)) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values")
    try:
        value = json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError:
        raise _too_deep() from None
    _check_claims(value)
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _check_claims(value: Any) -> None:
    """Raise if it is nested too deeply, or its arrays of strings together are too large."""
    level, n_bytes = [value], 0
    for _ in range(DEEPEST):
        containers = [each for each in level if type(each) in (dict, list)]
        if not containers:
            return
        n_bytes += sum(map(_width, containers))
        if n_bytes > LARGEST_STRINGS:
            raise ValueError(f"its arrays of strings take more than {LARGEST_STRINGS:,} bytes")
        level = [inner for each in containers for inner in (each.values() if type(each) is dict else each)]
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"it has more than {DEEPEST} levels")


def _width(container: Any) -> int:
    """Bytes of an array of strings, 0 of anything else."""
    match container:
        case {"array": list(items), "dtype": "str"} if _all_strings(items):
            return 4 * len(items) * max(map(len, items), default=0)
    return 0


def _from_numpy(value: NDArray[Any] | np.generic) -> Any:
    dtype = "str" if value.dtype.kind == "U" else value.dtype.name
    items = value.tolist()
    if dtype not in (*NUMBERS, *STRINGS) or (dtype == "object" and not _all_strings(items)):
        raise TypeError(f"values of the dtype {value.dtype} cannot be written as JSON")
    return {"array": items, "dtype": dtype} if isinstance(value, np.ndarray) else items


def _to_numpy(items: list[Any], dtype: str) -> NDArray[Any]:
    if dtype in NUMBERS:
        return _exactly(items, dtype)
    if dtype not in STRINGS or not _all_strings(items):
        raise ValueError("an array has a dtype that cannot hold its items")
    if max(map(len, items), default=0) > LONGEST_STRING:
        raise ValueError(f"an array has a string of more than {LONGEST_STRING:,} characters")
    return np.array(items, dtype)


def _exactly(items: list[Any], dtype: str) -> NDArray[Any]:
    """An array of exactly these numbers; NumPy 1 silently turns 300 into 44 in uint8."""
    try:
        with np.errstate(over="ignore"):
            array = np.array(items, dtype)
    except DeprecationWarning as error:  # raised by NumPy 1 if warnings are errors
        raise ValueError(str(error)) from error
    if repr(array.tolist()) != repr(items):  # equal in type too, and NaN to itself
        raise ValueError(f"an array has items that are not values of the dtype {dtype}")
    return array


def _all_strings(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, str) for item in items)
