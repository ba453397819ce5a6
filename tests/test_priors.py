"""Class priors: frequencies, or values given in order or by class."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gencls.bayes import class_prior, joint_log_prob, log_posterior
from gencls.errors import InvalidParameterError


def test_frequencies_are_the_default():
    np.testing.assert_array_equal(class_prior(None, [1, 3, 4], [0, 1, 2]), [0.125, 0.375, 0.5])
    np.testing.assert_array_equal(class_prior(None, [0, 2.5], [0, 1]), [0, 1])


@pytest.mark.parametrize(
    "priors", [[0.25, 0.75], (0.0, 1.0), np.array([0.5, 0.5], dtype=np.float32)], ids=str
)
def test_given_priors_are_unchanged(priors):
    found = class_prior(priors, [1, 1], [0, 1])
    np.testing.assert_array_equal(found, priors)
    assert found.dtype == np.float64


OWNER = "'priors' of GenerativeBayesClassifier must "


@pytest.mark.parametrize(
    ("priors", "words"),
    [
        ([0.5, 0.3, 0.2], ("each of the 2 classes", "(3,)")),
        ([[0.5, 0.5]], ("each of the 2 classes", "(1, 2)")),
        (0.5, ("each of the 2 classes", "()")),
        ("even", ("each of the 2 classes", "'even'")),
        ([0.5, "a"], ("each of the 2 classes", "[0.5, 'a']")),
        ([0.5, 0.4], ("sum to 1", "[0.5, 0.4]", "0.9")),
        ([1.5, -0.5], ("non-negative", "[1.5, -0.5]")),
        ([2, 2], ("sum to 1", "[2.0, 2.0]", "4")),
        ([np.nan, 1], ("sum to 1", "[nan, 1.0]")),
    ],
    ids=str,
)
def test_invalid_priors(priors, words):
    with pytest.raises(InvalidParameterError, match=OWNER) as caught:
        class_prior(priors, [3, 5], [0, 1])
    assert [word for word in words if word not in str(caught.value)] == []


# Priors by class

WORDS = pd.Series(["z"] * 5 + ["a"] * 3 + ["m"] * 2)
BY_CLASS = {
    "dict": {"z": 0.5, "a": 0.3, "m": 0.2},
    "value_counts": WORDS.value_counts(normalize=True),
    "value_counts of categories": WORDS.astype("category").value_counts(normalize=True),
    "value_counts of a frame": WORDS.to_frame("label").value_counts(normalize=True),
    "frame of one column": WORDS.value_counts(normalize=True).to_frame(),
    "dict with a share of 0 for a class that is not there": {"q": 0.0, "m": 0.2, "z": 0.5, "a": 0.3},
}


@pytest.mark.parametrize("given", BY_CLASS)
def test_labelled_priors_are_matched_to_the_classes(given):
    found = class_prior(BY_CLASS[given], [1, 1, 1], np.array(["a", "m", "z"]))
    np.testing.assert_array_equal(found, [0.3, 0.2, 0.5])


@pytest.mark.parametrize("dtype", [int, float, object])
def test_labels_of_priors_are_compared_as_values(dtype):
    classes = np.array([2, 10, 33]).astype(dtype)
    shares = pd.Series([33, 2, 33, 10]).value_counts(normalize=True)
    np.testing.assert_array_equal(class_prior(shares, [1, 1, 1], classes), [0.25, 0.25, 0.5])
    by_numpy = dict(zip(np.array([33, 2, 10]), [0.5, 0.25, 0.25], strict=True))
    np.testing.assert_array_equal(class_prior(by_numpy, [1, 1, 1], classes), [0.25, 0.25, 0.5])
    np.testing.assert_array_equal(class_prior({True: 0.25, False: 0.75}, [1, 1], [False, True]), [0.75, 0.25])


@pytest.mark.parametrize(
    ("priors", "named"),
    [
        ({"a": 0.5, "z": 0.5}, "lacks ['m']"),
        ({"a": 0.5, "z": 0.3, "m": 0.1, "dog": 0.1}, "has ['dog']"),
        ({"a": 0.5, "z": 0.3, "M": 0.2}, "lacks ['m'] and has ['M']"),
        (pd.Series([0.2, 0.3, 0.5]), "lacks ['a', 'm', 'z'] and has [0, 1, 2]"),
    ],
    ids=str,
)
def test_missing_and_unknown_classes_of_priors_are_named(priors, named):
    with pytest.raises(InvalidParameterError, match=OWNER) as caught:
        class_prior(priors, [1, 1, 1], np.array(["a", "m", "z"]))
    assert named in str(caught.value)


def test_priors_must_not_repeat_a_class():
    with pytest.raises(InvalidParameterError, match=rf"{OWNER}.* once, got .*\[0, 1, 1\]"):
        class_prior(pd.Series([0.5, 0.25, 0.25], index=[0, 1, 1]), [1, 1], [0, 1])


@pytest.mark.parametrize("priors", [["0.5", "0.5"], [0.5 + 0j, 0.5], {0: "0.5", 1: 0.5}, {0.5}, [None, 1]])
def test_priors_must_be_numbers(priors):
    with pytest.raises(InvalidParameterError, match=OWNER):
        class_prior(priors, [1, 1], [0, 1])


def test_messages_about_many_priors_are_short():
    for priors in (np.ones(10**5), {f"class {i}": 1.0 for i in range(10**5)}):
        with pytest.raises(InvalidParameterError) as caught:
            class_prior(priors, np.ones(10**5), np.arange(10**5))
        assert len(str(caught.value)) < 1000


def test_the_smallest_positive_prior_is_kept():
    joint = joint_log_prob(np.zeros((1, 2)), class_prior([5e-324, 1.0], [1, 1], [0, 1]))
    np.testing.assert_allclose(log_posterior(joint), [[np.log(5e-324), 0]], atol=1e-12)
