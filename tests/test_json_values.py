"""Values as JSON: exactly these come back."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gencls.model_files.json_values import NUMBERS, from_json, parse_json, to_json


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


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
ARRAYS = st.sampled_from(NUMBERS).flatmap(lambda dtype: npst.arrays(dtype, npst.array_shapes(max_side=4)))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
JSON = st.recursive(
    SCALARS | st.sampled_from((*NUMBERS, "str", "object")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["tuple", "dict", "array", "dtype"]) | st.text(), inner)
        | st.fixed_dictionaries({"array": st.lists(inner), "dtype": st.sampled_from((*NUMBERS, "str"))})
    ),
    max_leaves=20,
)


@given(VALUES)
def test_every_value_comes_back(value):
    assert repr(there_and_back(value)) == repr(value)
    assert parse_json(json.dumps(to_json(value))) == to_json(value)


@given(ARRAYS)
def test_every_array_comes_back(values):
    back = there_and_back(values)
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


@given(JSON)
def test_whatever_is_read_is_written_alike_or_refused(written):
    try:
        value = from_json(written)
    except (ValueError, TypeError, OverflowError):
        return
    assert json.dumps(to_json(value), sort_keys=True) == json.dumps(written, sort_keys=True)


@given(st.text() | JSON.map(json.dumps))
def test_every_text_is_parsed_or_refused(text):
    try:
        value = parse_json(text)
    except ValueError:
        return
    assert repr(json.loads(text)) == repr(value)


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
        {"array": [-1], "dtype": "uint64"},
        {"array": [2**64], "dtype": "uint64"},
        {"array": [128], "dtype": "int8"},
        {"array": [1.5], "dtype": "int64"},
        {"array": [1.0], "dtype": "int64"},
        {"array": [True], "dtype": "int64"},
        {"array": [1], "dtype": "bool"},
        {"array": ["True"], "dtype": "bool"},
        {"array": ["1"], "dtype": "int64"},
        {"array": ["nan"], "dtype": "float64"},
        {"array": [1], "dtype": "float64"},
        {"array": [0.1], "dtype": "float32"},
        {"array": [1e300], "dtype": "float32"},
        {"array": [None], "dtype": "float64"},
        {"array": [None], "dtype": "object"},
        {"array": ["x" * 1_001], "dtype": "str"},
        {"array": ["x" * 1_001], "dtype": "object"},
    ],
    ids=lambda written: str(written)[:50],
)
@pytest.mark.parametrize("action", ["error", "ignore"])  # NumPy 1 wraps numbers and warns
def test_what_was_never_written_is_refused(written, action):
    with warnings.catch_warnings():
        warnings.simplefilter(action, DeprecationWarning)
        with pytest.raises((ValueError, OverflowError, TypeError)):
            from_json(written)


def test_numbers_that_are_not_finite_come_back_in_arrays():
    back = there_and_back(np.array([np.nan, np.inf, -0.0]))
    np.testing.assert_array_equal(back, [np.nan, np.inf, 0.0])
    assert np.signbit(back[2])


# Text from which is read


def strings(n_strings, n_characters):
    return {"array": ["x" * n_characters] * n_strings, "dtype": "str"}


@pytest.mark.parametrize("kind", [str, str.encode])
def test_what_json_writes_is_parsed(kind):
    value = {"a": [1, 2.5, None, {"b": "Grüße {,,,"}], "": [[]] * 50, "c": strings(100, 1_000)}
    assert parse_json(kind(json.dumps(value))) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" + "1," * 500_000 + "1]", "more than 500,000 values"),
        ("[" + "{}," * 300_000 + "{}]", "more than 500,000 values"),
        ('"' + "," * 600_000 + '"', "more than 500,000 values"),  # counted before it is read
        ("[" * 101 + "]" * 101, "more than 100 levels"),
        ("[" * 100_000 + "]" * 100_000, "more than 100 levels"),
        ('{"a":' * 150 + "1" + "}" * 150, "more than 100 levels"),
        ('{"a": {"b": 1, "b": 1}}', "a key twice"),
        (json.dumps(strings(4_200, 1_000)), "more than 16,777,216 bytes"),
        (json.dumps({"a": [strings(1_000, 1_000)] * 5}), "more than 16,777,216 bytes"),
        ('{"a": 1', "delimiter"),
        ("", "Expecting value"),
    ],
    ids=lambda text: text[:20],
)
def test_what_claims_too_much_is_refused(text, reason):
    for each in (text, text.encode()):
        with pytest.raises(ValueError, match=reason):
            parse_json(each)
