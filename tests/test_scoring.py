"""Scores of images: the same whatever is scored with them, in batches of bounded size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import make_levels, make_model

from gencls import list_conditioners
from gencls.inference import class_log_likelihoods, scoring


@pytest.fixture
def _small_batches(monkeypatch):
    """Room for six images and classes of 4×4 pixels with 4 filters."""
    monkeypatch.setitem(scoring.FEATURES_IN_FLIGHT, "cpu", 6 * 4 * 4 * 4)


def batch_sizes(model, levels, monkeypatch):
    """Images times classes of each pass through the network."""
    sizes = []
    hook = model.network.head.register_forward_hook(
        lambda _, inputs, out: sizes.append(out.shape[:2].numel())
    )
    class_log_likelihoods(model, levels)
    hook.remove()
    return sizes


@pytest.mark.parametrize("conditioner", list_conditioners())
def test_they_are_what_the_model_says_of_each_class(conditioner):
    model = make_model((3, 3, 5), conditioner=conditioner)
    levels = make_levels(model, 7)
    scores = class_log_likelihoods(model, levels)
    assert scores.shape == (7, 3)
    assert scores.dtype == np.float64
    for label in range(3):
        expected = model(levels, torch.full((7,), label)).detach().numpy()
        np.testing.assert_allclose(scores[:, label], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("conditioner", ["mild", "strong", "unconditional"])
@pytest.mark.parametrize("budget", [30, None])
def test_they_do_not_depend_on_what_else_is_scored(conditioner, dtype, budget, monkeypatch):
    """To the last bit for what else is there, to rounding for the place in the batch."""
    model = make_model((1, 4, 4), 256, conditioner=conditioner).to(dtype)
    if budget is not None:
        monkeypatch.setitem(scoring.FEATURES_IN_FLIGHT, "cpu", budget * 4 * 4 * 4)
    levels = make_levels(model, 50)
    scores = class_log_likelihoods(model, levels)

    others = make_levels(model, 50, seed=1)
    others[::7] = levels[::7]
    np.testing.assert_array_equal(class_log_likelihoods(model, others)[::7], scores[::7])
    np.testing.assert_array_equal(class_log_likelihoods(model, levels[:1]), scores[:1])

    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    rounding = 1e-6 if dtype == torch.float32 else 1e-14
    for part in (slice(1, 2), slice(3, 31), order, order[:5]):
        found = class_log_likelihoods(model, levels[part])
        np.testing.assert_allclose(found, scores[part], rtol=rounding)


@pytest.mark.parametrize("n_classes", [2, 5, 6, 7, 20])
@pytest.mark.parametrize("n_images", [1, 3, 10])
@pytest.mark.usefixtures("_small_batches")
def test_batches_stay_within_the_budget(n_classes, n_images, monkeypatch):
    model = make_model(n_classes=n_classes)
    levels = make_levels(model, n_images)
    sizes = batch_sizes(model, levels, monkeypatch)
    assert max(sizes) <= 6
    scores = class_log_likelihoods(model, levels)
    monkeypatch.undo()
    assert max(batch_sizes(model, levels, monkeypatch)) > 6
    np.testing.assert_allclose(scores, class_log_likelihoods(model, levels), rtol=1e-12)


@pytest.mark.parametrize("largest", [1, 4])
def test_the_number_of_images_is_bounded_too(largest, monkeypatch):
    monkeypatch.setitem(scoring.LARGEST_BATCH, "cpu", largest)
    model = make_model()
    assert max(batch_sizes(model, make_levels(model, 10), monkeypatch)) <= largest


def test_an_image_larger_than_the_budget_is_scored_alone(monkeypatch):
    monkeypatch.setitem(scoring.FEATURES_IN_FLIGHT, "cpu", 1)
    model = make_model()
    levels = make_levels(model, 2)
    assert batch_sizes(model, levels, monkeypatch) == [1] * 6


def test_scoring_leaves_no_gradients_and_turns_dropout_off():
    model = make_model(dropout=0.5).train()
    levels = make_levels(model)
    np.testing.assert_array_equal(class_log_likelihoods(model, levels), class_log_likelihoods(model, levels))
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
