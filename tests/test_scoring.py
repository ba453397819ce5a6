"""Scores of images: the same whatever is scored with them, in batches of bounded size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import REPRESENTATIVE, four_of_each, make_levels, make_model

from gencls.inference import Scorer, scoring
from gencls.pixelcnn import Execution


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
    Scorer(model).log_likelihood(levels)
    hook.remove()
    return sizes


@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_they_are_what_the_model_says_of_each_class(conditioner):
    model = make_model((3, 3, 5), conditioner=conditioner)
    levels = make_levels(model, 7)
    scores = Scorer(model).log_likelihood(levels)
    assert scores.shape == (7, 3)
    assert scores.dtype == np.float64
    for label in range(3):
        expected = model(levels, torch.full((7,), label)).detach().numpy()
        np.testing.assert_allclose(scores[:, label], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("conditioner", ["strong", "unconditional"])
@pytest.mark.parametrize("budget", [30, None])
def test_they_do_not_depend_on_what_else_is_scored(conditioner, dtype, budget, monkeypatch):
    """To the last bit for what else is there, to rounding for the place in the batch."""
    model = make_model((1, 4, 4), 256, conditioner=conditioner).to(dtype)
    if budget is not None:
        monkeypatch.setitem(scoring.FEATURES_IN_FLIGHT, "cpu", budget * 4 * 4 * 4)
    levels = make_levels(model, 50)
    scores = Scorer(model).log_likelihood(levels)

    others = make_levels(model, 50, seed=1)
    others[::7] = levels[::7]
    np.testing.assert_array_equal(Scorer(model).log_likelihood(others)[::7], scores[::7])
    np.testing.assert_array_equal(Scorer(model).log_likelihood(levels[:1]), scores[:1])

    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    rounding = 1e-6 if dtype == torch.float32 else 1e-14
    for part in (slice(1, 2), slice(3, 31), order, order[:5]):
        found = Scorer(model).log_likelihood(levels[part])
        np.testing.assert_allclose(found, scores[part], rtol=rounding)


@pytest.mark.parametrize("n_classes", [2, 5, 6, 7, 20])
@pytest.mark.parametrize("n_images", [1, 3, 10])
@pytest.mark.usefixtures("_small_batches")
def test_batches_stay_within_the_budget(n_classes, n_images, monkeypatch):
    model = make_model(n_classes=n_classes)
    levels = make_levels(model, n_images)
    sizes = batch_sizes(model, levels, monkeypatch)
    assert max(sizes) <= 6
    scores = Scorer(model).log_likelihood(levels)
    monkeypatch.undo()
    assert max(batch_sizes(model, levels, monkeypatch)) > 6
    np.testing.assert_allclose(scores, Scorer(model).log_likelihood(levels), rtol=1e-12)


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


def test_scoring_leaves_no_gradients_and_is_not_random():
    model = make_model().train()
    levels = make_levels(model)
    np.testing.assert_array_equal(Scorer(model).log_likelihood(levels), Scorer(model).log_likelihood(levels))
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_it_computes_as_it_is_executed():
    """In two precisions and with dropout, and nothing remains of either."""
    model = make_model((1, 4, 4), 256).float()
    levels = make_levels(model)
    exact = Scorer(model).log_likelihood(levels)
    rough = Scorer(model, execution=Execution(dtype=torch.bfloat16)).log_likelihood(levels)
    assert not np.array_equal(rough, exact)
    np.testing.assert_allclose(rough, exact, rtol=0.05)
    seeded = Execution(dropout=0.5, generator=torch.Generator().manual_seed(0))
    assert not np.allclose(Scorer(model, execution=seeded).log_likelihood(levels), exact)
    np.testing.assert_array_equal(Scorer(model).log_likelihood(levels), exact)


# Joint tables, candidates, rows, pixels

PRIOR = np.array([0.2, 0.0, 0.5, 0.3])
CANDIDATES = np.array([[3, 0], [1, 2], [2, 2], [0, 1], [0, 3]])


MODELS = {"strong": None, "low-rank": "flip", "spatial-film": four_of_each(5)}


@pytest.fixture(params=MODELS)
def model(request):
    """Of four classes; each conditioner with a symmetry of a different size."""
    name = request.param
    return make_model((2, 4, 3), 5, n_classes=4, conditioner=name, symmetry=MODELS[name])


@pytest.mark.parametrize("n_rows", [None, 0, 1, 3])
@pytest.mark.parametrize("candidates", [None, CANDIDATES], ids=["all", "some"])
@pytest.mark.parametrize("budget", [2, 1000])
def test_a_joint_is_the_log_likelihood_plus_the_log_prior(budget, candidates, n_rows, model, monkeypatch):
    monkeypatch.setitem(scoring.FEATURES_IN_FLIGHT, "cpu", budget * 4 * 4 * 3)
    levels, scorer = make_levels(model, 5), Scorer(model, PRIOR)
    with torch.inference_mode():
        every = model.log_prob_per_class(levels, torch.arange(4), n_rows).numpy()
    with np.errstate(divide="ignore"):
        log_prior = np.broadcast_to(np.log(PRIOR), every.shape)
    expected = [every, every + log_prior, every + np.log(1 / 4)]
    if candidates is not None:
        expected = [np.take_along_axis(each, candidates, axis=1) for each in expected]
    found = [
        scorer.log_likelihood(levels, n_rows, candidates),
        scorer.joint(levels, n_rows, candidates),
        Scorer(model).joint(levels, n_rows, candidates),
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(scorer.with_prior(found[0], candidates), found[1])


@pytest.mark.parametrize("budget", [2, 1000])
def test_the_table_per_pixel_sums_to_the_log_likelihood(budget, model, monkeypatch):
    monkeypatch.setitem(scoring.FEATURES_IN_FLIGHT, "cpu", budget * 4 * 4 * 3)
    levels, scorer = make_levels(model, 5), Scorer(model)
    table = scorer.pixel_log_likelihood(levels)
    assert table.shape == (5, 4, 4, 3)
    for n_rows in range(5):
        found = table[..., :n_rows, :].sum((-2, -1))
        np.testing.assert_allclose(found, scorer.log_likelihood(levels, n_rows), rtol=1e-12, atol=1e-12)
    codes = np.array([3, 0, 1, 1, 2])
    own = scorer.pixel_log_likelihood(levels, codes)
    np.testing.assert_allclose(own, table[np.arange(5), codes], rtol=1e-9, atol=1e-12)


def test_the_table_per_pixel_stays_within_the_budget(monkeypatch):
    monkeypatch.setitem(scoring.FEATURES_IN_FLIGHT, "cpu", 6 * 4 * 4 * 4)
    model = make_model(n_classes=20)
    sizes = []
    hook = model.network.head.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[:2].numel()))
    Scorer(model).pixel_log_likelihood(make_levels(model, 3))
    Scorer(model).pixel_log_likelihood(make_levels(model, 8), np.arange(8))
    hook.remove()
    assert max(sizes) <= 6
