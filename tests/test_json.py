"""Values as JSON: exactly these come back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from gencls._json import NUMBERS, from_json, to_json


def there_and_back(value):
    return from_json(json.loads(json.dumps(to_json(value))))


def same(one, other):
    if isinstance(one, np.ndarray):
        return type(one) is type(other) and one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**70,
        0.1 + 0.2,
        math.inf,
        "Grüße \x00 \ud800 {",
        [1, [2.5, "x"], None],
        (1, (2, [3])),
        {"tuple": [1], "dict": {"array": [1], "dtype": "int64"}},
        [],
        (),
        {},
        np.array(["ant", "", "Käfer"]),
        np.array(["ant", "bee"], dtype=object),
        np.array([], dtype=object),
        np.array([[True], [False]]),
        np.array([1, 2**64 - 1], dtype=np.uint64),
        np.array([-(2**63), 2**63 - 1]),
        np.array([0.1, np.pi, 5e-324, -np.inf]),
        np.array([0.1, 1 / 3], dtype=np.float32),
    ],
    ids=repr,
)
def test_values_come_back(value):
    assert same(there_and_back(value), value)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_arrays_of_every_type_come_back(dtype):
    values = np.random.default_rng(0).integers(0, 2, 5).astype(dtype) / np.array(1, dtype)
    values = values.astype(dtype)
    assert same(there_and_back(values), values)


def test_numpys_scalars_become_pythons():
    assert same(there_and_back(np.float32(0.5)), 0.5)
    assert same(there_and_back(np.int64(7)), 7)
    assert same(there_and_back(np.str_("ant")), "ant")


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1: "a key that is no string"},
        {"deep": [1, {2}]},
        b"bytes",
        1j,
        np.random.RandomState(0),
        np.array([1j]),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        np.array([b"bytes"]),
        np.array([1, "mixed"], dtype=object),
        np.array([["a"]], dtype=object),
        np.array([(1, 2)], dtype="i4,i4"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        to_json(value)


@pytest.mark.parametrize(
    "written",
    [
        {"unknown": 1},
        {"tuple": [1], "more": 2},
        {"tuple": 1},
        {"array": [1], "dtype": "V8"},
        {"array": [1], "dtype": "U999999999"},
        {"array": [1], "dtype": "object"},
        {"array": [[1], [2, 3]], "dtype": "int64"},
        {"array": [300], "dtype": "uint8"},
        {"array": ["x" * 10_000_000] + ["y"] * 1000, "dtype": "str"},  # 40 GB as an array
    ],
    ids=lambda written: str(written)[:50],
)
def test_what_was_never_written_is_refused(written):
    with pytest.raises((ValueError, OverflowError)):
        from_json(written)
