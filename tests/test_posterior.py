"""Bayes' theorem."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gencls.errors import InvalidParameterError
from gencls.posterior import class_prior, joint_log_prob, log_evidence, log_posterior

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
    posterior, evidence = np.exp(log_posterior(joint)), np.exp(log_evidence(joint))
    np.testing.assert_allclose(posterior * evidence[:, None], np.exp(log_likelihood) * p, rtol=1e-12)
    np.testing.assert_allclose(evidence, (np.exp(log_likelihood) * p).sum(1), rtol=1e-12)


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
    evidence = log_evidence(joint_log_prob(log_likelihood + shift, p))
    np.testing.assert_allclose(evidence, shift + log_evidence(joint_log_prob(log_likelihood, p)), rtol=1e-12)


def test_differences_of_thousands_of_nats_stay_exact_in_log_space():
    joint = np.array([[-100.0, -9100.0], [-9100.0, -100.0]])
    np.testing.assert_array_equal(log_posterior(joint), [[0.0, -9000.0], [-9000.0, 0.0]])


def test_a_prior_of_0_rules_a_class_out_without_a_warning():
    joint = joint_log_prob(likelihoods(1.0, k=3), np.array([0.25, 0.0, 0.75]))
    assert (joint[:, 1] == -np.inf).all()
    posterior = np.exp(log_posterior(joint))
    assert (posterior[:, 1] == 0).all()
    np.testing.assert_allclose(posterior.sum(1), 1, atol=1e-12)


def test_an_equal_likelihood_leaves_the_prior():
    p = prior()
    np.testing.assert_allclose(
        log_posterior(joint_log_prob(np.full((1, 4), -2.0), p))[0], np.log(p), atol=1e-12
    )


def test_results_are_float64():
    joint = joint_log_prob(likelihoods(1.0), prior())
    for values in (joint, log_posterior(joint), log_evidence(joint)):
        assert values.dtype == np.float64


def test_without_priors_frequencies_count():
    np.testing.assert_array_equal(class_prior(None, [1, 3, 4]), [0.125, 0.375, 0.5])
    np.testing.assert_array_equal(class_prior(None, [0, 2.5]), [0, 1])


@pytest.mark.parametrize(
    "priors", [[0.25, 0.75], (0.0, 1.0), np.array([0.5, 0.5], dtype=np.float32)], ids=str
)
def test_given_priors_are_taken_as_they_are(priors):
    found = class_prior(priors, [1, 1])
    np.testing.assert_array_equal(found, priors)
    assert found.dtype == np.float64


OWNER = "The parameter 'priors' of GenerativeBayesClassifier must "


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ([0.5, 0.3, 0.2], "have a number for each of the 2 classes, got an array of shape (3,)."),
        ([[0.5, 0.5]], "have a number for each of the 2 classes, got an array of shape (1, 2)."),
        (0.5, "have a number for each of the 2 classes, got an array of shape ()."),
        ("even", "have a number for each of the 2 classes, got 'even'."),
        ([0.5, "a"], "have a number for each of the 2 classes, got [0.5, 'a']."),
        ([0.5, 0.4], "be non-negative and sum to 1, got [0.5, 0.4], which sums to 0.9."),
        ([1.5, -0.5], "be non-negative and sum to 1, got [1.5, -0.5], which sums to 1."),
        ([2, 2], "be non-negative and sum to 1, got [2.0, 2.0], which sums to 4."),
        ([np.nan, 1], "be non-negative and sum to 1, got [nan, 1.0], which sums to nan."),
    ],
    ids=str,
)
def test_priors_that_do_not_fit(priors, message):
    with pytest.raises(InvalidParameterError, match=f"^{re.escape(OWNER + message)}$"):
        class_prior(priors, [3, 5])
