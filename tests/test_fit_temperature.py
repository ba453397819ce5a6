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


def test_an_expected_temperature_decides_for_few_images():
    joint, codes = joints(4000)
    assert fit_temperature(8 * joint, codes, expected=2.0) == pytest.approx(8, rel=0.05)  # many images
    assert fit_temperature(joint[:0], codes[:0], expected=2.0) == pytest.approx(2, rel=1e-3)
    right = np.array([[0.0, -80.0]] * 50), np.zeros(50, dtype=int)
    assert 3 < fit_temperature(*right, expected=4.0) < 4.01
    few = joint[:20], codes[:20]
    between = sorted([fit_temperature(*few), 30.0])
    assert between[0] < fit_temperature(*few, expected=30.0) < between[1]


@pytest.mark.parametrize("expected", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_an_expected_temperature_is_the_centre_of_a_density(scale, expected):
    joint, codes = joints(30, scale=scale)
    found = fit_temperature(joint, codes, expected=expected)
    assert 0.01 <= found <= 1e4

    def cost(temperature):
        return 30 * log_loss(joint, codes, temperature) + np.log(temperature / expected) ** 2 / 2

    others = np.clip(found * np.array([0.5, 0.9, 1.1, 2.0]), 0.01, 1e4)
    assert all(cost(found) <= cost(each) + 1e-3 for each in others)
