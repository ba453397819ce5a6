"""Python's values as JSON, and exactly these values back: what a model file may hold besides tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NUMBERS", "from_json", "to_json"]

NUMBERS = ("bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)))
NUMBERS += ("float16", "float32", "float64")
STRINGS = ("str", "object")  # an array of objects holds nothing but strings
LARGEST_ARRAY = 2**26  # bytes; a single long string widens all others of an array


def to_json(value: Any) -> Any:
    """Turn a value into what `json` writes: objects with one key tell what JSON has no word for.

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
    """Turn the result of `to_json` into the value again.

    Raises
    ------
    ValueError, TypeError, OverflowError
        If it is nothing that `to_json` gives.
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
            raise ValueError(f"an object with the keys {list(value)} is unknown")
    return value


def _from_numpy(value: NDArray[Any] | np.generic) -> Any:
    dtype = "str" if value.dtype.kind == "U" else value.dtype.name
    items = value.tolist()
    if dtype not in (*NUMBERS, *STRINGS) or (dtype == "object" and not _all_strings(items)):
        raise TypeError(f"values of the dtype {value.dtype} cannot be written as JSON")
    return {"array": items, "dtype": dtype} if isinstance(value, np.ndarray) else items


def _to_numpy(items: list[Any], dtype: str) -> NDArray[Any]:
    if dtype in NUMBERS:
        return np.array(items, dtype)
    if dtype not in STRINGS or not _all_strings(items):
        raise ValueError(f"an array of the dtype {dtype!r} cannot hold these items")
    if 4 * len(items) * max(map(len, items), default=0) > LARGEST_ARRAY:
        raise ValueError(f"an array of {len(items)} strings is too wide")
    return np.array(items, dtype)


def _all_strings(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, str) for item in items)
