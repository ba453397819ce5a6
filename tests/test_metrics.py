"""Bits per dimension and the expected calibration error."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import torch

from gencls import (
    InvalidInputError,
    InvalidParameterError,
    MissingPackageError,
    bits_per_dim,
    expected_calibration_error,
)


def make_probabilities(n=400, k=4, seed=0):
    """Probabilities, and classes drawn from them: calibrated up to sampling noise."""
    rng = np.random.RandomState(seed)
    probabilities = rng.dirichlet(np.full(k, 0.3), n)
    return probabilities, (probabilities.cumsum(1) < rng.random_sample((n, 1))).sum(1)


@pytest.mark.parametrize("n_bins", [1, 7, 15])
def test_it_is_the_gap_of_confidence_and_accuracy_over_bins(n_bins):
    probabilities, codes = make_probabilities()
    confidence, right = probabilities.max(1), probabilities.argmax(1) == codes
    bins = (confidence * n_bins).astype(int)
    gaps = [abs((right - confidence)[bins == each].sum()) for each in range(n_bins)]
    found = expected_calibration_error(codes, probabilities, n_bins)
    assert found == pytest.approx(sum(gaps) / len(codes), abs=1e-6)


def test_overconfident_probabilities_have_a_larger_error():
    probabilities, codes = make_probabilities(4000)
    sharper = probabilities**4 / (probabilities**4).sum(1, keepdims=True)
    assert expected_calibration_error(codes, probabilities) < 0.03
    assert expected_calibration_error(codes, sharper) > 0.1


def test_probabilities_of_1_share_a_bin_with_those_just_below():
    """Half of the images in the last bin are right; a separate bin for 1 would have a different error."""
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.98, 0.02], [0.98, 0.02]])
    assert expected_calibration_error([0, 0, 1, 1], probabilities, 10, labels=[0, 1]) == pytest.approx(0.49)


def test_classes_of_any_kind_in_the_order_of_the_columns():
    probabilities, codes = make_probabilities(k=3)
    expected = expected_calibration_error(codes, probabilities)
    names = np.array(["b", "c", "a"])
    assert expected_calibration_error(names[codes], probabilities, labels=names) == expected
    sorted_names = np.sort(names)
    assert expected_calibration_error(sorted_names[codes].tolist(), probabilities.tolist()) == expected


@pytest.mark.parametrize(
    ("y_true", "y_prob", "options", "words"),
    [
        ([0, 1], [0.5, 0.5], {}, ("y_prob ", "(2,)")),
        ([0, 1], [[-0.5, -1.0], [-0.25, -1.5]], {}, ("y_prob ", "sum to 1", "from -1.5 to -0.25")),
        ([0, 1], [[0.5, 0.4], [0.5, 0.5]], {}, ("y_prob ", "sum to 1", "from 0.9 to 1")),
        ([0, 1, 1], [[0.5, 0.5], [0.5, 0.5]], {}, ("y_true ", "(2,)", "(3,)")),
        ([1, 1], [[0.5, 0.5], [0.5, 0.5]], {}, ("y_prob ", "2 columns", "y_true", "1 classes")),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], {"labels": [0, 1, 2]}, ("y_prob ", "labels", "3 classes")),
        (["a", "d"], [[0.5, 0.5], [0.5, 0.5]], {"labels": ["a", "b"]}, ("y_true ", "labels", "'d'")),
    ],
)
def test_invalid_classes_and_probabilities(y_true, y_prob, options, words):
    with pytest.raises(InvalidInputError) as caught:
        expected_calibration_error(y_true, y_prob, **options)
    message = str(caught.value)
    assert message.startswith(words[0])
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("y_prob", [["a", "b"], [["0.5", "0.5"]] * 2, [[0.5, 0.5], [1]], [[0.5j, 0.5]] * 2])
def test_probabilities_must_be_an_array_of_numbers(y_prob):
    with pytest.raises(InvalidInputError, match=r"^y_prob must"):
        expected_calibration_error([0, 1], y_prob)


def test_columns_of_a_frame_are_matched_by_name():
    probabilities, codes = make_probabilities(k=3)
    names = np.array(["b", "c", "a"])
    expected = expected_calibration_error(names[codes], probabilities, labels=names)
    frame = pd.DataFrame(probabilities, columns=names)
    for labels in (None, ["a", "b", "c"], ["c", "a", "b"]):
        assert expected_calibration_error(names[codes], frame, labels=labels) == pytest.approx(expected)
    with pytest.raises(InvalidInputError, match=r"columns of labels .*'dog'"):
        expected_calibration_error(names[codes], frame, labels=["a", "b", "dog"])


def test_probabilities_must_not_be_nan():
    with pytest.raises(InvalidInputError, match=r"^y_prob must .* sum to 1"):
        expected_calibration_error([0, 1], [[np.nan, 0.5], [0.5, 0.5]])


@pytest.mark.parametrize("n_bins", [0, 2.0, True, None], ids=repr)
def test_invalid_numbers_of_bins(n_bins):
    y_prob, y_true = make_probabilities()
    with pytest.raises(InvalidParameterError, match=f"'n_bins' of expected_calibration_error .*{n_bins!r}"):
        expected_calibration_error(y_true, y_prob, n_bins)


def test_the_error_without_torchmetrics_contains_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.classification", None)
    with pytest.raises(MissingPackageError, match=r'pip install "gencls\[metrics\]"') as caught:
        expected_calibration_error(*make_probabilities()[::-1])
    assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize(
    "scores",
    ["a", None, (x for x in [1.0]), [], ["a"], [[1.0], [1.0, 2.0]], {"a": 1.0}],
    ids=["text", "None", "generator", "none", "texts", "ragged", "dict"],
)
def test_bits_need_likelihoods(scores):
    with pytest.raises(InvalidInputError, match=r"^log_likelihood must "):
        bits_per_dim(scores, 4)


def test_bits_of_a_tensor():
    assert bits_per_dim(torch.full((2,), -4 * np.log(2), requires_grad=True), 4) == pytest.approx(1)


EVEN = np.full((4, 2), 0.5)


@pytest.mark.parametrize(
    "y_true",
    [["a", None, "b", "a"], ["a", pd.NA, "b", "a"], None, {"a", "b"}],
    ids=lambda value: type(value).__name__,
)
def test_invalid_classes(y_true):
    with pytest.raises(InvalidInputError, match=r"^y_true must "):
        expected_calibration_error(y_true, EVEN)


@pytest.mark.parametrize(
    "labels", [[0, None], 3, {0, 1}, (label for label in (0, 1))], ids=lambda value: type(value).__name__
)
def test_invalid_labels(labels):
    for y_prob in (EVEN, pd.DataFrame(EVEN, columns=["a", "b"])):
        with pytest.raises(InvalidInputError, match=r"labels .*must |^labels must "):
            expected_calibration_error([0, 1, 0, 1], y_prob, labels=labels)


def test_rows_in_a_different_order_are_refused():
    y_true = pd.Series([0, 1, 0, 1], index=list("abcd"))
    y_prob = pd.DataFrame(EVEN, index=y_true.index)[::-1]
    with pytest.raises(InvalidInputError, match=r"^y_true and y_prob .*index"):
        expected_calibration_error(y_true, y_prob)
