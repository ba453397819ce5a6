"""Labels to positions among the classes and what is said of wrong ones; the estimator's tests have more."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gencls import InvalidInputError, InvalidParameterError
from gencls.labels import (
    check_classes,
    check_none_missing,
    check_same_classes,
    draw_labels,
    encode_labels,
    encode_labels_for,
)

CLASSES = np.array(["ant", "bee", "cow"])
PRIOR = np.array([0.5, 0.5, 0.0])


def test_labels_become_positions_and_back():
    y = ["cow", "ant", "ant", "bee"]
    codes = encode_labels(y, CLASSES, 4)
    assert codes.dtype == np.int64
    assert CLASSES[codes].tolist() == y


@pytest.mark.parametrize("y", [["cow"], [["cow", "ant"]], "cow"])
def test_there_must_be_one_for_each_image(y):
    with pytest.raises(InvalidInputError, match=r"y must have the shape \(2,\), a class for each image, got"):
        encode_labels(y, CLASSES, 2)


def test_unknown_ones_are_named_up_to_ten():
    with pytest.raises(InvalidInputError, match=r"\('ant', 'bee', 'cow'\), got also 'dog'\."):
        encode_labels(["ant", "dog"], CLASSES, 2)
    many = np.arange(12)
    with pytest.raises(InvalidInputError, match=r"\(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …\), got also 99\."):
        encode_labels([99], many, 1)


@pytest.mark.parametrize("kind", [str, object])
def test_words_are_no_numbers_however_many_classes_there_are(kind):
    numbers = np.arange(12)
    words = np.sort(numbers.astype(str)).astype(kind)
    with pytest.raises(InvalidInputError, match=r"got also '10', '2'\."):
        encode_labels(np.array(["2", "10"], dtype=kind), numbers, 2)
    with pytest.raises(InvalidInputError, match=r"got also 10\."):
        encode_labels([10], words, 1)
    assert encode_labels(["10"], words, 1).tolist() == [2]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_ones_are_counted_and_the_first_is_found(missing):
    y = np.array(["ant", missing, "bee", missing], dtype=object)
    with pytest.raises(InvalidInputError, match=r"2 of 4 are missing .* the first at position 1"):
        check_none_missing(y)
    check_none_missing(y[[0, 2]])


def test_one_class_is_for_all():
    assert encode_labels_for(3, "bee", CLASSES).tolist() == [1, 1, 1]
    assert encode_labels_for(2, ["bee", "ant"], CLASSES).tolist() == [1, 0]


def test_what_is_to_be_drawn():
    rng = np.random.RandomState(0)
    drawn = draw_labels(400, None, CLASSES, PRIOR, rng)
    assert set(drawn) == {0, 1}
    assert abs(drawn.mean() - 0.5) < 0.1
    assert draw_labels(2, "cow", CLASSES, PRIOR, rng).tolist() == [2, 2]
    assert draw_labels("any", ["cow", "ant"], CLASSES, PRIOR, rng).tolist() == [2, 0]
    with pytest.raises(InvalidParameterError, match="'n_samples' of sample must be an int of at least 1"):
        draw_labels(0, "cow", CLASSES, PRIOR, rng)


def test_classes_are_two_or_more_and_stay():
    assert check_classes(CLASSES) is CLASSES
    with pytest.raises(InvalidInputError, match="at least 2 classes, got 1 class: 'ant'"):
        check_classes(CLASSES[:1])
    check_same_classes(None, CLASSES)
    check_same_classes(["cow", "bee", "ant", "ant"], CLASSES)
    with pytest.raises(InvalidInputError, match=r"those of the first call .* got 'ant', 'bee'"):
        check_same_classes(["bee", "ant"], CLASSES)
