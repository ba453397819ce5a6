"""Bayes' theorem."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from gencls.bayes import class_prior, fit_temperature, joint_log_prob, log_marginal, log_posterior
from gencls.errors import InvalidParameterError

SCALES = [0.1, 1.0, 30.0]


def likelihoods(scale, n=50, k=4, seed=0):
    return -scale * np.random.RandomState(seed).random_sample((n, k))


def prior(k=4, seed=1):
    weights = np.random.RandomState(seed).random_sample(k)
    return weights / weights.sum()


@pytest.mark.parametrize("scale", SCALES)
def test_it_is_bayes_theorem(scale):
    """p(c | x) p(x) = p(x | c) p(c), in plain arithmetic."""
    log_likelihood, p = likelihoods(scale), prior()
    joint = joint_log_prob(log_likelihood, p)
    posterior, marginal = np.exp(log_posterior(joint)), np.exp(log_marginal(joint))
    np.testing.assert_allclose(posterior * marginal[:, None], np.exp(log_likelihood) * p, rtol=1e-12)
    np.testing.assert_allclose(marginal, (np.exp(log_likelihood) * p).sum(1), rtol=1e-12)


@pytest.mark.parametrize("scale", [*SCALES, 1e4, 1e6])
def test_posteriors_sum_to_1(scale):
    posterior = np.exp(log_posterior(joint_log_prob(likelihoods(scale), prior())))
    np.testing.assert_allclose(posterior.sum(1), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shift", [-1e5, -5e3, 5e3])
def test_thousands_of_nats_do_no_harm(shift):
    """What all classes have in common cancels, where probabilities themselves would be 0 or infinite."""
    log_likelihood, p = likelihoods(5.0), prior()
    expected = log_posterior(joint_log_prob(log_likelihood, p))
    found = log_posterior(joint_log_prob(log_likelihood + shift, p))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    marginal = log_marginal(joint_log_prob(log_likelihood + shift, p))
    np.testing.assert_allclose(marginal, shift + log_marginal(joint_log_prob(log_likelihood, p)), rtol=1e-12)


def test_differences_of_thousands_of_nats_stay_exact_in_log_space():
    joint = np.array([[-100.0, -9100.0], [-9100.0, -100.0]])
    np.testing.assert_array_equal(log_posterior(joint), [[0.0, -9000.0], [-9000.0, 0.0]])


def test_a_prior_of_0_rules_a_class_out_without_a_warning():
    joint = joint_log_prob(likelihoods(1.0, k=3), np.array([0.25, 0.0, 0.75]))
    assert (joint[:, 1] == -np.inf).all()
    posterior = np.exp(log_posterior(joint))
    assert (posterior[:, 1] == 0).all()
    np.testing.assert_allclose(posterior.sum(1), 1, atol=1e-12)


# The temperature

TEMPERATURES = [1e-3, 0.1, 1.0, 2.5, 30.0, 1e6]


def joints(n=300, k=4, scale=3.0, seed=0):
    """Joint log-probabilities, and classes drawn from their posterior."""
    rng = np.random.RandomState(seed)
    joint = scale * rng.randn(n, k) - 1000 * rng.random_sample((n, 1))
    posterior = np.exp(log_posterior(joint))
    return joint, (posterior.cumsum(1) < rng.random_sample((n, 1))).sum(1)


def log_loss(joint, codes, temperature):
    return -log_posterior(joint, temperature)[np.arange(len(codes)), codes].mean()


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_a_temperature_is_a_power_of_the_posterior(temperature):
    joint, _ = joints()
    exact, tempered = log_posterior(joint), log_posterior(joint, temperature)
    np.testing.assert_allclose(
        (tempered - tempered[:, :1]) * temperature, exact - exact[:, :1], rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(np.exp(tempered).sum(1), 1, rtol=0, atol=1e-9)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_no_temperature_changes_the_most_probable_class(temperature):
    joint, _ = joints()
    joint[::3, 1] = -np.inf
    joint[5] = joint[5, 0] - 1e-12 * np.arange(4)
    posterior = np.exp(log_posterior(joint, temperature))
    assert (posterior[::3, 1] == 0).all()
    best = joint.argmax(1)
    np.testing.assert_array_equal(posterior[np.arange(len(joint)), best], posterior.max(1))


@pytest.mark.parametrize("factor", [0.3, 1.0, 17.0, 500.0])
def test_the_temperature_undoes_what_makes_a_model_too_sure(factor):
    joint, codes = joints(4000)
    found = fit_temperature(factor * joint, codes)
    assert found == pytest.approx(factor * fit_temperature(joint, codes), rel=1e-9)
    assert found == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize("scale", [0.5, 3.0, 100.0])
def test_no_other_temperature_has_a_smaller_loss(scale):
    rng = np.random.RandomState(1)
    joint, codes = scale * rng.randn(200, 3), rng.randint(3, size=200)
    joint[np.arange(200), codes] += 0.7 * scale
    found = fit_temperature(joint, codes)
    losses = [log_loss(joint, codes, found * each) for each in (1, 0.5, 0.99, 1.01, 2)]
    assert min(losses) == losses[0]


def test_a_class_of_prior_0_is_left_out():
    joint, codes = joints()
    codes[codes == 1] = 0
    without = joint[:, [0, 2, 3]]
    joint[:, 1] = -np.inf
    expected = fit_temperature(without, np.array([0, 0, 1, 2])[codes])
    assert fit_temperature(joint, codes) == pytest.approx(expected, rel=1e-9)
    codes[:50] = 1  # they cost infinitely much, whatever the temperature
    assert fit_temperature(joint, codes) == pytest.approx(fit_temperature(joint[50:], codes[50:]), rel=1e-9)
    assert fit_temperature(joint, np.ones(300, dtype=int)) == 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_where_all_are_right_bayes_theorem_is_kept(scale):
    """The loss would fall for ever as the temperature goes to 0."""
    joint, _ = joints(scale=scale)
    assert fit_temperature(joint, joint.argmax(1)) == 1
    assert fit_temperature(np.zeros((5, 3)), np.zeros(5, dtype=int)) == 1
    assert fit_temperature(joint[:0], np.zeros(0, dtype=int)) == 1


def test_where_the_model_is_always_wrong_classes_become_equal():
    joint, _ = joints()
    assert fit_temperature(joint, joint.argmin(1)) == 1e4
    np.testing.assert_allclose(np.exp(log_posterior(joint, 1e4)), 0.25, atol=1e-3)


def test_one_mistake_among_gaps_that_saturate():
    """Ten nats wrong once in a hundred: sure, but no longer beyond doubt."""
    joint = np.tile([0.0, -80.0], (100, 1))
    joint[0] = [-10.0, 0.0]
    found = fit_temperature(joint, np.zeros(100, dtype=int))
    assert (
        log_loss(joint, np.zeros(100, dtype=int), found) < log_loss(joint, np.zeros(100, dtype=int), 1) / 1.2
    )
    assert 5 < found < 80


def test_an_equal_likelihood_leaves_the_prior():
    p = prior()
    np.testing.assert_allclose(
        log_posterior(joint_log_prob(np.full((1, 4), -2.0), p))[0], np.log(p), atol=1e-12
    )


def test_results_are_float64():
    joint = joint_log_prob(likelihoods(1.0), prior())
    for values in (joint, log_posterior(joint), log_marginal(joint)):
        assert values.dtype == np.float64


def test_without_priors_frequencies_count():
    np.testing.assert_array_equal(class_prior(None, [1, 3, 4], [0, 1, 2]), [0.125, 0.375, 0.5])
    np.testing.assert_array_equal(class_prior(None, [0, 2.5], [0, 1]), [0, 1])


@pytest.mark.parametrize(
    "priors", [[0.25, 0.75], (0.0, 1.0), np.array([0.5, 0.5], dtype=np.float32)], ids=str
)
def test_given_priors_are_taken_as_they_are(priors):
    found = class_prior(priors, [1, 1], [0, 1])
    np.testing.assert_array_equal(found, priors)
    assert found.dtype == np.float64


OWNER = "The parameter 'priors' of GenerativeBayesClassifier must "
SHARES = "Give shares, such as counts divided by their sum."


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ([0.5, 0.3, 0.2], "have a number for each of the 2 classes, got an array of shape (3,)."),
        ([[0.5, 0.5]], "have a number for each of the 2 classes, got an array of shape (1, 2)."),
        (0.5, "have a number for each of the 2 classes, got an array of shape ()."),
        ("even", "have a number for each of the 2 classes, got 'even'."),
        ([0.5, "a"], "have a number for each of the 2 classes, got [0.5, 'a']."),
        ([0.5, 0.4], "be non-negative and sum to 1, got [0.5, 0.4], which sums to 0.9. " + SHARES),
        ([1.5, -0.5], "be non-negative and sum to 1, got [1.5, -0.5], which sums to 1. " + SHARES),
        ([2, 2], "be non-negative and sum to 1, got [2.0, 2.0], which sums to 4. " + SHARES),
        ([np.nan, 1], "be non-negative and sum to 1, got [nan, 1.0], which sums to nan. " + SHARES),
    ],
    ids=str,
)
def test_priors_that_do_not_fit(priors, message):
    with pytest.raises(InvalidParameterError, match=f"^{re.escape(OWNER + message)}$"):
        class_prior(priors, [3, 5], [0, 1])


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
def test_labelled_priors_go_to_their_classes(given):
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
    with pytest.raises(InvalidParameterError, match=re.escape(OWNER)) as caught:
        class_prior(priors, [1, 1, 1], np.array(["a", "m", "z"]))
    assert named in str(caught.value)


def test_a_class_is_named_once_by_priors():
    with pytest.raises(InvalidParameterError, match=re.escape(OWNER + "name each class once")):
        class_prior(pd.Series([0.5, 0.25, 0.25], index=[0, 1, 1]), [1, 1], [0, 1])


@pytest.mark.parametrize("priors", [["0.5", "0.5"], [0.5 + 0j, 0.5], {0: "0.5", 1: 0.5}, {0.5}, [None, 1]])
def test_priors_that_are_no_numbers(priors):
    with pytest.raises(InvalidParameterError, match=re.escape(OWNER)):
        class_prior(priors, [1, 1], [0, 1])


def test_what_is_said_of_many_priors_is_short():
    for priors in (np.ones(10**5), {f"class {i}": 1.0 for i in range(10**5)}):
        with pytest.raises(InvalidParameterError) as caught:
            class_prior(priors, np.ones(10**5), np.arange(10**5))
        assert len(str(caught.value)) < 1000


# Temperatures out of the ordinary


@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-300, 1e-3, 1e300, 1.7e308])
def test_rows_sum_to_1_at_every_temperature(temperature):
    joint = joint_log_prob(likelihoods(5e3), np.array([0.3, 0.0, 0.5, 0.2]))
    posterior = np.exp(log_posterior(joint, temperature))
    np.testing.assert_allclose(posterior.sum(1), 1, rtol=0, atol=1e-12)
    best = posterior[np.arange(50), joint.argmax(1)]
    np.testing.assert_array_equal(best, posterior.max(1))
    assert (posterior[:, 1] == 0).all()


def test_the_smallest_prior_is_still_a_number():
    joint = joint_log_prob(np.zeros((1, 2)), class_prior([5e-324, 1.0], [1, 1], [0, 1]))
    np.testing.assert_allclose(log_posterior(joint), [[np.log(5e-324), 0]], atol=1e-12)
