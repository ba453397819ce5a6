"""Labels to positions among the classes and what is said of wrong ones; the estimator's tests have more."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import DataConversionWarning

from gencls import InvalidInputError, InvalidParameterError
from gencls.estimators._labels import (
    as_labels,
    check_classes,
    check_none_missing,
    check_same_classes,
    draw_labels,
    encode_labels,
    encode_labels_for,
    unique_classes,
)

CLASSES = np.array(["ant", "bee", "cow"])
PRIOR = np.array([0.5, 0.5, 0.0])


def test_labels_become_positions_and_back():
    y = ["cow", "ant", "ant", "bee"]
    codes = encode_labels(y, CLASSES, 4)
    assert codes.dtype == np.int64
    assert CLASSES[codes].tolist() == y


@pytest.mark.parametrize("y", [["cow"], [["cow", "ant"]], np.array("cow")])
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
    assert draw_labels("any", ["cow", "ant"], CLASSES, PRIOR, rng).tolist() == [2, 0]  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="'n_samples' of sample must be an int from 1 to"):
        draw_labels(0, "cow", CLASSES, PRIOR, rng)


MISTAKEN = {
    "words and numbers": (["ant", 1], "'ant' at position 0 and 1 at position 1"),
    "words and numbers as objects": (np.array([1, "ant"], dtype=object), "1 at position 0"),
    "words and numbers in a series": (pd.Series([1, "ant"]), "1 at position 0"),
    "words and bytes": (["ant", b"bee"], "b'bee' at position 1"),
    "words and NaN": (["ant", math.nan], "1 of 2 are missing"),
    "words and None": (("ant", None), "1 of 2 are missing"),
    "words and NA": (pd.Series(["ant", None], dtype="string"), "1 of 2 are missing"),
    "lists": (np.array([[1], [1, 2]], dtype=object), r"got \[1\] at position 0"),
    "ragged lists": ([[1], [1, 2]], "must be convertible to a NumPy array"),
    "a dict": ({"ant": 1}, "array or list of classes"),
    "a set": ({"ant"}, "array or list of classes"),
    "a generator": ((label for label in "ab"), "array or list of classes"),
    "a number": (3, "array or list of classes, got 3"),
    "a word": ("ant", "array or list of classes, got 'ant'"),
    "values of a dict": ({1: "ant"}.values(), "array or list of classes"),
    "numbers and NaN": (np.array([1, math.nan]), "1 of 2 are missing .* position 1"),
    "numbers and NA": (pd.Series([1, None], dtype="Int64"), "1 of 2 are missing"),
    "dates": (np.zeros(2, dtype="datetime64[D]"), "numbers or strings, got datetime64"),
    "fields": (np.zeros(2, dtype=[("a", int)]), "numbers or strings"),
    "masked": (np.ma.array([1, 2], mask=[False, True]), "1 of 2 are masked"),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_labels_are_of_one_kind(name):
    labels, words = MISTAKEN[name]
    with pytest.raises(InvalidInputError, match=words) as caught:
        as_labels(labels)
    assert str(caught.value).startswith("y must ")


def test_labels_of_any_container():
    for labels in ([1, 2], (1, 2), np.array([1, 2]), torch.tensor([1, 2]), list(torch.tensor([1, 2]))):
        assert np.asarray(as_labels(labels)).tolist() == [1, 2]
    assert np.asarray(as_labels(torch.tensor([1.0, 2.0], requires_grad=True))).tolist() == [1, 2]
    words = ["ant", "bee"]
    for labels in (words, np.array(words, dtype=object), pd.Series(words, index=[7, 3])):
        assert np.asarray(as_labels(labels)).tolist() == ["ant", "bee"]


@pytest.mark.parametrize("labels", [pd.Series([3, 1], dtype=object), np.array([3, 1], dtype=object)])
def test_numbers_one_by_one_are_numbers(labels):
    assert np.asarray(as_labels(labels)).dtype == np.int64


@pytest.mark.parametrize(
    "y",
    [{"ant": 2}, {"ant"}, (label for label in CLASSES), [["ant"], ["ant", "bee"]], None, pd.NA],
    ids=["dict", "set", "generator", "ragged", "None", "NA"],
)
def test_what_are_no_classes_to_draw_is_refused(y):
    with pytest.raises(InvalidInputError, match=r"^y must "):
        encode_labels_for(2, y, CLASSES)
    if y is not None:
        with pytest.raises(InvalidInputError, match=r"^y must "):
            draw_labels(2, y, CLASSES, PRIOR, np.random.RandomState(0))


def test_tensors_are_drawn_for():
    numbers = np.arange(3)
    for y in (torch.tensor([2.0, 0.0], requires_grad=True), torch.tensor([2, 0])):
        assert draw_labels(1, y, numbers, PRIOR, np.random.RandomState(0)).tolist() == [2, 0]
    assert encode_labels_for(2, torch.tensor(1), numbers).tolist() == [1, 1]


def test_a_column_is_taken_with_the_warning_of_scikit_learn():
    with pytest.warns(DataConversionWarning):
        assert encode_labels(pd.DataFrame({"label": ["cow", "ant"]}), CLASSES, 2).tolist() == [2, 0]


def test_what_is_said_of_long_labels_is_short():
    with pytest.raises(InvalidInputError) as caught:
        encode_labels(["x" * 10**6 + str(i) for i in range(20)], CLASSES, 20)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "classes",
    [["b", "a"], ("a", "b", "a"), {"b", "a"}, pd.Series(["b", "a"], index=[5, 6]), pd.Index(["a", "b"])],
)
def test_all_classes_are_told_in_any_container(classes):
    assert unique_classes(classes).tolist() == ["a", "b"]
    check_same_classes(classes, np.array(["a", "b"]))


@pytest.mark.parametrize("classes", ["ab", [], 3, {"a": 1}, ["a", 1], ["a", None]], ids=repr)
def test_classes_that_are_none(classes):
    with pytest.raises(InvalidInputError, match=r"^classes must "):
        unique_classes(classes)


def test_classes_are_two_or_more_and_stay():
    assert check_classes(CLASSES) is CLASSES
    with pytest.raises(InvalidInputError, match="at least 2 classes, got 1 class: 'ant'"):
        check_classes(CLASSES[:1])
    check_same_classes(None, CLASSES)
    check_same_classes(["cow", "bee", "ant", "ant"], CLASSES)
    with pytest.raises(InvalidInputError, match=r"those of the first call .* got 'ant', 'bee'"):
        check_same_classes(["bee", "ant"], CLASSES)
