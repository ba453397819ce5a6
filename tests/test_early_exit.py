"""The early exit: exact unless asked for, and then the best of the classes that are left half-way."""

from __future__ import annotations

import math
import re
from copy import copy
from typing import Any

import numpy as np
import pytest
import torch
from helpers import REPRESENTATIVE, make_levels, make_model
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from small import PLAIN

from gencls import Compute, GenerativeBayesClassifier, InvalidParameterError
from gencls.bayes import joint_log_prob
from gencls.density import ConditionalPixelCNN
from gencls.inference import Scorer, most_probable, scoring

PRIOR = np.array([0.5, 0.1, 0.0, 0.2, 0.2])


def make(image_shape=(1, 4, 4), n_levels=4, n_classes=5, **options):
    return make_model(image_shape, n_levels, n_classes, **options)


def by_hand(model, levels, prior, margin):
    """Each image by itself, class after class, from whole scores of its rows."""
    n_rows = levels.shape[2] // 2
    with torch.inference_mode():
        classes = torch.arange(model.n_classes)
        upper = joint_log_prob(model.log_prob_per_class(levels, classes, n_rows).numpy(), prior)
        whole = joint_log_prob(model.log_prob_per_class(levels, classes).numpy(), prior)
    found = []
    for half_way, joint in zip(upper, whole, strict=True):
        ranked = sorted(range(len(prior)), key=lambda label: -half_way[label])
        n_left = sum(half_way[label] >= max(half_way) - margin for label in ranked)
        size = next(2**i for i in range(10) if 2**i >= n_left)
        found.append(max(sorted(ranked[:size]), key=lambda label: joint[label]))
    return np.array(found)


@pytest.mark.parametrize("symmetry", [None, "flip"])
@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_the_best_of_the_classes_that_are_left_half_way(conditioner, symmetry):
    model = make((1, 5, 3), conditioner=conditioner, symmetry=symmetry)
    levels = make_levels(model, 20)
    exact = most_probable(Scorer(model, PRIOR), levels)
    for margin in (1e-9, 0.5, 2.0):
        found = most_probable(Scorer(model, PRIOR), levels, margin)
        np.testing.assert_array_equal(found, by_hand(model, levels, PRIOR, margin))
    for margin in (math.inf, 1e6):
        np.testing.assert_array_equal(most_probable(Scorer(model, PRIOR), levels, margin), exact)


@pytest.mark.parametrize("n_classes", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("image_shape", "n_levels"),
    [((1, 1, 1), 2), ((3, 1, 4), 256), ((1, 2, 1), 256), ((3, 3, 2), 5), ((1, 9, 5), 17)],
    ids=str,
)
def test_images_of_any_size_and_any_number_of_classes(image_shape, n_levels, n_classes):
    model = make(image_shape, n_levels, n_classes)
    levels, prior = make_levels(model, 8), np.full(n_classes, 1 / n_classes)
    exact = Scorer(model, prior).joint(levels).argmax(axis=1)
    np.testing.assert_array_equal(most_probable(Scorer(model, prior), levels), exact)
    np.testing.assert_array_equal(most_probable(Scorer(model, prior), levels, 1e6), exact)
    found = most_probable(Scorer(model, prior), levels, 0.5)
    if image_shape[1] == 1:  # there is no upper half
        np.testing.assert_array_equal(found, exact)
    else:
        np.testing.assert_array_equal(found, by_hand(model, levels, prior, 0.5))


def test_a_class_without_prior_is_never_chosen():
    model, prior = make(), np.array([0, 0, 0, 1.0, 0])
    levels = make_levels(model, 10)
    for margin in (None, 1e-3, 5, math.inf):
        assert (most_probable(Scorer(model, prior), levels, margin) == 3).all()


@pytest.mark.parametrize("margin", [0.3, 2.0])
@pytest.mark.parametrize("budget", [1, 6, 2**20])
def test_it_does_not_depend_on_what_else_is_predicted(margin, budget, monkeypatch):
    monkeypatch.setitem(scoring.FEATURES_IN_FLIGHT, "cpu", budget * 4 * 4 * 4)
    model = make((3, 4, 4), 256)
    levels = make_levels(model, 12)
    found = most_probable(Scorer(model, PRIOR), levels, margin)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(most_probable(Scorer(model, PRIOR), levels[order], margin), found[order])
    alone = [most_probable(Scorer(model, PRIOR), each, margin)[0] for each in levels.split(1)]
    np.testing.assert_array_equal(alone, found)


def rows_scored(model, levels, margin):
    """Image and class pairs of each pass, by the rows that it has."""
    pairs: dict[int, list[int]] = {}
    hook = model.network.head.register_forward_hook(
        lambda _, inputs, out: pairs.setdefault(out.shape[-2], []).append(out.shape[:2].numel())
    )
    most_probable(Scorer(model, PRIOR), levels, margin)
    hook.remove()
    return pairs


def test_only_the_upper_half_is_computed_for_what_is_dropped():
    model = make()
    levels = make_levels(model, 1)
    joint = Scorer(model, PRIOR).joint(levels, 2)[0]
    best, second, *_ = sorted(joint, reverse=True)
    [n_filled] = rows_scored(model, levels, None)[4]
    assert set(rows_scored(model, levels, (best - second) / 2)) == {2}
    assert rows_scored(model, levels, (best - second) * 1.01)[4] == [2]
    assert rows_scored(model, levels, math.inf) == {4: [n_filled]}


def test_batches_stay_within_the_budget(monkeypatch):
    monkeypatch.setitem(scoring.FEATURES_IN_FLIGHT, "cpu", 6 * 4 * 4 * 4)
    model = make()
    pairs = rows_scored(model, make_levels(model, 40), 0.5)
    assert max(pairs[4]) <= 6
    assert 6 < max(pairs[2]) <= 12  # half an image takes half the room


# The estimator


def images(n=60):
    """Noise whose upper and lower rows each say a little of the class."""
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=n)
    X = rng.integers(5, size=(n, 5, 4)) + 2 * (y % 2)[:, None, None]
    X[:, 3:] += (y // 2)[:, None, None]
    return X, np.array(["a", "b", "c", "d"])[y]


def quick(**parameters):
    small: dict[str, Any] = {
        "n_filters": 4,
        "n_mixtures": 2,
        "max_epochs": 3,
        "lr": 0.01,
        "random_state": 0,
        "device": "cpu",
    }
    return GenerativeBayesClassifier(**(PLAIN | small | parameters))


def with_margin(clf, margin):
    """The same classifier, fitted, with this margin."""
    return copy(clf).set_params(compute=Compute(compile=False, early_exit=margin))


@pytest.fixture(scope="module")
def fitted():
    return quick(compute="plain").fit(*images())


def test_it_changes_predicted_classes_and_nothing_else(fitted):
    X, y = images()
    hasty = with_margin(fitted, 1e-3)
    exact = fitted.predict_joint_log_proba(X)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[exact.argmax(axis=1)])
    assert (hasty.predict(X) != fitted.predict(X)).any()
    assert hasty.score(X, y) == (hasty.predict(X) == y).mean()
    for method in ("predict_proba", "predict_log_proba", "predict_joint_log_proba", "score_samples"):
        np.testing.assert_array_equal(getattr(hasty, method)(X), getattr(fitted, method)(X))
    np.testing.assert_array_equal(hasty.log_likelihood(X, y), fitted.log_likelihood(X, y))
    assert hasty.bits_per_dim(X) == fitted.bits_per_dim(X)


def test_an_infinite_margin_is_exact(fitted):
    X, _ = images()
    np.testing.assert_array_equal(with_margin(fitted, math.inf).predict(X), fitted.predict(X))


def rows_asked_for(monkeypatch):
    """The rows of each pass through the network, from now on."""
    seen, score = [], ConditionalPixelCNN.network_log_prob

    def note(self, levels, modulations, n_rows=None, execution=None):
        seen.append(n_rows)
        return score(self, levels, modulations, n_rows, execution)

    monkeypatch.setattr(ConditionalPixelCNN, "network_log_prob", note)
    return seen


def test_it_is_off_by_default(fitted, monkeypatch):
    assert Compute().early_exit is None
    seen = rows_asked_for(monkeypatch)
    fitted.predict(images(4)[0])
    assert seen == [None]  # all rows
    with_margin(fitted, 1e-3).predict(images(4)[0])
    assert seen[1] == 2


def test_it_is_searched_as_a_parameter_of_compute():
    X, y = images()
    clf = clone(quick(compute=Compute(early_exit=2.5)))
    assert clf.get_params()["compute__early_exit"] == 2.5
    pipeline = make_pipeline(FunctionTransformer(), clf).fit(X, y)
    name = "generativebayesclassifier__compute__early_exit"
    found = pipeline.set_params(**{name: 1e-3}).predict(X)
    assert (pipeline.set_params(**{name: None}).predict(X) != found).any()


@pytest.mark.parametrize("value", [0, -1.0, math.nan, "7", True, [7]])
def test_a_margin_that_is_none(value, fitted):
    X, y = images()
    message = rf"'early_exit' of Compute .* above 0.* got {re.escape(repr(value))}"
    with pytest.raises(InvalidParameterError, match=message):
        quick(compute=Compute(early_exit=value)).fit(X, y)
    with pytest.raises(InvalidParameterError, match=message):
        with_margin(fitted, value).predict(X)


def test_a_model_from_a_file_takes_a_margin(fitted, tmp_path):
    """The margin belongs to the computation, not to the model."""
    X, _ = images()
    with_margin(fitted, 1e-3).save(tmp_path / "model")
    loaded = GenerativeBayesClassifier.load(tmp_path / "model", device="cpu").set_params(compute="plain")
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(with_margin(loaded, 1e-3).predict(X), with_margin(fitted, 1e-3).predict(X))


def test_completing_scores_the_rows_that_are_given(fitted, monkeypatch):
    seen = rows_asked_for(monkeypatch)
    fitted.complete(images(2)[0], n_rows=2, random_state=0)
    assert seen == [2]
