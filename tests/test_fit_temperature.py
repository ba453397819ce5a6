"""The temperature with the smallest log-loss."""

from __future__ import annotations

import numpy as np
import pytest

from gencls.bayes import fit_temperature, log_posterior


def joints(n=300, k=4, scale=3.0, seed=0):
    """Joint log-probabilities, and classes drawn from their posterior."""
    rng = np.random.RandomState(seed)
    joint = scale * rng.randn(n, k) - 1000 * rng.random_sample((n, 1))
    posterior = np.exp(log_posterior(joint))
    return joint, (posterior.cumsum(1) < rng.random_sample((n, 1))).sum(1)


def log_loss(joint, codes, temperature):
    return -log_posterior(joint, temperature)[np.arange(len(codes)), codes].mean()


@pytest.mark.parametrize("factor", [0.3, 1.0, 17.0, 500.0])
def test_the_temperature_corrects_an_overconfident_model(factor):
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


def test_a_class_of_prior_0_is_ignored():
    joint, codes = joints()
    codes[codes == 1] = 0
    without = joint[:, [0, 2, 3]]
    joint[:, 1] = -np.inf
    expected = fit_temperature(without, np.array([0, 0, 1, 2])[codes])
    assert fit_temperature(joint, codes) == pytest.approx(expected, rel=1e-9)
    codes[:50] = 1  # an infinite loss at every temperature
    assert fit_temperature(joint, codes) == pytest.approx(fit_temperature(joint[50:], codes[50:]), rel=1e-9)
    assert fit_temperature(joint, np.ones(300, dtype=int)) == 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_temperature_is_1_if_all_images_are_classified_correctly(scale):
    """The loss decreases without bound as the temperature goes to 0."""
    joint, _ = joints(scale=scale)
    assert fit_temperature(joint, joint.argmax(1)) == 1
    assert fit_temperature(np.zeros((5, 3)), np.zeros(5, dtype=int)) == 1
    assert fit_temperature(joint[:0], np.zeros(0, dtype=int)) == 1


def test_classes_become_equally_probable_if_the_model_is_always_wrong():
    joint, _ = joints()
    assert fit_temperature(joint, joint.argmin(1)) == 1e4
    np.testing.assert_allclose(np.exp(log_posterior(joint, 1e4)), 0.25, atol=1e-3)


def test_one_error_among_saturated_posteriors():
    """One error of ten nats in a hundred images: the model becomes less confident, but stays confident."""
    joint = np.tile([0.0, -80.0], (100, 1))
    joint[0] = [-10.0, 0.0]
    found = fit_temperature(joint, np.zeros(100, dtype=int))
    assert (
        log_loss(joint, np.zeros(100, dtype=int), found) < log_loss(joint, np.zeros(100, dtype=int), 1) / 1.2
    )
    assert 5 < found < 80
