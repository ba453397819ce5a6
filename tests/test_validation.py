"""Values in messages."""

from __future__ import annotations

import numpy as np
import pytest

from gencls._common.validation import LONGEST_VALUE, listed, shortened, whole


@pytest.mark.parametrize("value", [None, 3, "mild", (1, 2), ["a", 3.5], {"weight": 1.0}, {1, 2}])
def test_small_values_are_shown_in_full(value):
    assert shortened(value) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        "a" * 10**6,
        b"a" * 10**6,
        bytearray(10**6),
        memoryview(bytes(10**6)),
        np.void(bytes(10**6)),
        list(range(10**6)),
        {"bytes": b"a" * 10**6, "path": None},
        {number: list(range(100)) for number in range(100)},
        np.zeros((1000, 1000)),
        [[list(range(100))] * 100] * 100,
    ],
    ids=lambda value: type(value).__name__,
)
def test_large_values_are_shortened(value):
    assert 0 < len(shortened(value)) <= LONGEST_VALUE


def test_an_int_that_python_cannot_print_is_named_by_its_type():
    assert "int" in shortened(10**5000)


def test_ints_have_at_most_64_bits():
    assert whole(1).accepts(2**63 - 1)
    assert not whole(1).accepts(2**63)


def test_a_list_of_values_is_shortened():
    assert listed(np.arange(3)) == "0, 1, 2"
    assert listed(np.arange(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …"
    assert len(listed(np.array(["x" * 10**5] * 12))) < 700


def test_long_bytes_are_shown_by_their_size():
    assert shortened(bytes(5000)) == "5,000 bytes of type bytes"
