"""Bayes' theorem, and its posterior at a temperature."""

from __future__ import annotations

import numpy as np
import pytest

from gencls.bayes import joint_log_prob, log_marginal, log_posterior

SCALES = [0.1, 1.0, 30.0]
TEMPERATURES = [1e-3, 0.1, 1.0, 2.5, 30.0, 1e6]


def likelihoods(scale, n=50, k=4, seed=0):
    return -scale * np.random.RandomState(seed).random_sample((n, k))


def prior(k=4, seed=1):
    weights = np.random.RandomState(seed).random_sample(k)
    return weights / weights.sum()


def joints(n=300, k=4, scale=3.0, seed=0):
    """Joint log-probabilities, far from 0."""
    rng = np.random.RandomState(seed)
    return scale * rng.randn(n, k) - 1000 * rng.random_sample((n, 1))


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
def test_a_common_shift_of_thousands_of_nats_cancels(shift):
    """Without the log space, the probabilities would be 0 or infinite."""
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


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_a_temperature_is_a_power_of_the_posterior(temperature):
    joint = joints()
    exact, tempered = log_posterior(joint), log_posterior(joint, temperature)
    np.testing.assert_allclose(
        (tempered - tempered[:, :1]) * temperature, exact - exact[:, :1], rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(np.exp(tempered).sum(1), 1, rtol=0, atol=1e-9)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_no_temperature_changes_the_most_probable_class(temperature):
    joint = joints()
    joint[::3, 1] = -np.inf
    joint[5] = joint[5, 0] - 1e-12 * np.arange(4)
    posterior = np.exp(log_posterior(joint, temperature))
    assert (posterior[::3, 1] == 0).all()
    best = joint.argmax(1)
    np.testing.assert_array_equal(posterior[np.arange(len(joint)), best], posterior.max(1))


def test_an_equal_likelihood_leaves_the_prior():
    p = prior()
    np.testing.assert_allclose(
        log_posterior(joint_log_prob(np.full((1, 4), -2.0), p))[0], np.log(p), atol=1e-12
    )


def test_results_are_float64():
    joint = joint_log_prob(likelihoods(1.0), prior())
    for values in (joint, log_posterior(joint), log_marginal(joint)):
        assert values.dtype == np.float64


@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-300, 1e-3, 1e300, 1.7e308])
def test_rows_sum_to_1_at_every_temperature(temperature):
    joint = joint_log_prob(likelihoods(5e3), np.array([0.3, 0.0, 0.5, 0.2]))
    posterior = np.exp(log_posterior(joint, temperature))
    np.testing.assert_allclose(posterior.sum(1), 1, rtol=0, atol=1e-12)
    best = posterior[np.arange(50), joint.argmax(1)]
    np.testing.assert_array_equal(best, posterior.max(1))
    assert (posterior[:, 1] == 0).all()
