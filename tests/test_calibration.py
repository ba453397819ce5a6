"""The temperature of the estimator: given, learned in `fit`, learned again by `calibrate`."""

from __future__ import annotations

from copy import copy, deepcopy

import numpy as np
import pytest
from sklearn.metrics import log_loss
from small import PLAIN

from gencls import GenerativeBayesClassifier, Hybrid, InvalidInputError
from gencls.bayes import fit_temperature, log_posterior
from gencls.inference import Scorer

NAMES = np.array(["ant", "bee", "cat"])


def shades(n=60, seed=0):
    """Grey images in three shades that overlap, so that some are taken for others."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % 3
    X = y[:, None, None] + rng.randint(8, size=(n, 3, 3))
    X[0].flat[0], X[2].flat[0] = 0, 9
    return X, NAMES[y]


def quick(**parameters):
    defaults = {
        "n_filters": 4,
        "n_mixtures": 1,
        "dropout": 0.0,
        "max_epochs": 2,
        "batch_size": 16,
        "lr": 0.01,
    }
    return GenerativeBayesClassifier(random_state=0, **(PLAIN | defaults | parameters))


HELD_OUT = shades(45, seed=1)
WATCHED = {"X_val": HELD_OUT[0], "y_val": HELD_OUT[1]}


@pytest.fixture(scope="module")
def plain():
    return quick().fit(*shades())


@pytest.fixture(scope="module")
def learned():
    return quick(temperature="auto").fit(*shades(), **WATCHED)


@pytest.fixture
def unseen():
    return shades(30, seed=2)


def at(clf, temperature):
    """A copy with another temperature."""
    other = copy(clf)
    other.temperature_ = temperature
    return other


def best_temperature(clf, X, y, expected=1.0):
    """That of `fit`, which expects 1 after training by likelihood."""
    table, codes = clf.predict_joint_log_proba(X), np.searchsorted(clf.classes_, y)
    return fit_temperature(table, codes, expected=expected)


def loss(clf, X, y):
    return log_loss(y, clf.predict_proba(X), labels=clf.classes_)


def assert_the_same_model(one, other, X, y):
    """In all that no temperature may change."""
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    np.testing.assert_array_equal(one.score_samples(X), other.score_samples(X))
    np.testing.assert_array_equal(one.log_likelihood(X, y), other.log_likelihood(X, y))
    assert one.bits_per_dim(X, y) == other.bits_per_dim(X, y)
    np.testing.assert_array_equal(one.sample(2, random_state=0)[0], other.sample(2, random_state=0)[0])


def test_the_default_is_bayes_theorem(plain, unseen):
    joint = plain.predict_joint_log_proba(unseen[0])
    assert plain.temperature_ == 1
    np.testing.assert_array_equal(plain.predict_log_proba(unseen[0]), log_posterior(joint))


def test_a_number_is_taken_as_it_is(plain, unseen):
    X, y = unseen
    clf = quick(temperature=20).fit(*shades())
    assert clf.temperature_ == 20
    assert_the_same_model(clf, plain, X, y)
    joint = plain.predict_joint_log_proba(X)
    np.testing.assert_array_equal(clf.predict_log_proba(X), log_posterior(joint, 20))
    np.testing.assert_array_equal(clf.predict_proba(X), np.exp(log_posterior(joint, 20)))


@pytest.mark.parametrize("prior", [None, [0.5, 0, 0.5]], ids=str)
def test_the_predicted_class_is_always_the_most_probable_one(prior, plain, unseen):
    X, _ = unseen
    clf = copy(plain)
    clf.class_prior_ = clf.class_prior_ if prior is None else np.array(prior)
    chosen = np.searchsorted(clf.classes_, clf.predict(X))
    for temperature in (1e-2, 1.0, 1e4):
        probabilities = at(clf, temperature).predict_proba(X)
        np.testing.assert_array_equal(probabilities[np.arange(len(X)), chosen], probabilities.max(1))
        np.testing.assert_array_equal(probabilities.argmax(1), chosen)
        assert prior is None or (probabilities[:, 1] == 0).all()


def test_it_is_learned_on_given_images(learned, plain, unseen):
    assert learned.temperature_ == best_temperature(learned, *HELD_OUT) != 1
    assert learned.temperature == "auto"
    assert_the_same_model(learned, plain, *unseen)
    assert loss(learned, *HELD_OUT) < loss(plain, *HELD_OUT)


def test_without_images_some_are_held_out_of_training():
    X, y = shades(70)
    clf = quick(temperature="auto", validation_fraction=0.3).fit(X, y)
    assert clf.temperature_ != 1
    assert "valid_bpd" not in clf.history_[0]  # they are scored once, after training
    scored = quick(temperature="auto", validation_fraction=0.3, early_stopping=True).fit(X, y)
    assert scored.temperature_ == pytest.approx(clf.temperature_, rel=1e-6)  # of the same ones
    assert clf.temperature_ == pytest.approx(scored.history_[-1]["valid_temperature"], rel=1e-6)
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), scored.predict_joint_log_proba(X))


def test_with_too_few_images_to_hold_out_the_temperature_is_that_of_the_objective():
    X, y = shades(66)
    for n_images, fraction in ((9, 0.1), (66, 0.3)):  # of the latter, 19 could be held out
        images, labels, parameters = X[:n_images], y[:n_images], {"validation_fraction": fraction, "lr": 1e-3}
        clf = quick(temperature="auto", **parameters).fit(images, labels)
        assert clf.temperature_ == 1
        np.testing.assert_array_equal(
            clf.predict_joint_log_proba(X), quick(lr=1e-3).fit(images, labels).predict_joint_log_proba(X)
        )
        hybrid = quick(temperature="auto", objective=Hybrid(temperature=3.0), **parameters)
        assert hybrid.fit(images, labels).temperature_ == 3
    with pytest.raises(InvalidInputError, match=r"^validation_fraction=0\.1 .*X_val and y_val.*temperature"):
        quick(temperature="auto", early_stopping=True).fit(*shades(9))


def test_the_log_loss_of_the_history_is_that_of_the_predictions(learned):
    for clf in (learned, quick(temperature=3).fit(*shades(), **WATCHED)):
        assert clf.history_[-1]["valid_log_loss"] == pytest.approx(loss(clf, *HELD_OUT), rel=1e-9)


def test_early_stopping_watches_the_log_loss_of_the_predictions():
    options = {"early_stopping": "log_loss", "n_iter_no_change": 2, "max_epochs": 20, "lr": 0.03}
    clf = quick(temperature="auto", **options).fit(*shades(), **WATCHED)
    losses = [row["valid_log_loss"] for row in clf.history_]
    assert min(losses) == pytest.approx(loss(clf, *HELD_OUT), rel=1e-9)
    assert np.argmin(losses) == clf.n_iter_ - 3
    assert clf.temperature_ == clf.history_[clf.n_iter_ - 3]["valid_temperature"]
    assert clf.temperature_ == best_temperature(clf, *HELD_OUT)


def test_held_out_images_are_scored_once_an_epoch(monkeypatch):
    """Also for the temperature in the end, which is that of the best epoch."""
    calls, score = [], Scorer.log_likelihood

    def counted(*args, **options):
        calls.append(1)
        return score(*args, **options)

    monkeypatch.setattr(Scorer, "log_likelihood", counted)
    options = {"early_stopping": "log_loss", "n_iter_no_change": 2, "max_epochs": 20, "lr": 0.03}
    for parameters in ({"temperature": "auto"}, {"temperature": "auto"} | options):
        clf = quick(**parameters).fit(*shades(), **WATCHED)
        assert len(calls) == clf.n_iter_
        calls.clear()


def test_without_early_stopping_it_is_that_of_the_last_epoch(learned):
    assert learned.temperature_ == learned.history_[-1]["valid_temperature"]
    assert all("valid_temperature" not in row for row in quick().fit(*shades(), **WATCHED).history_)


def test_calibrating_changes_only_the_temperature(plain, unseen):
    clf = copy(plain)
    assert clf.calibrate(*HELD_OUT) is clf
    images, classes = HELD_OUT
    assert clf.temperature_ == best_temperature(plain, images, classes, expected=None) != 1
    assert clf.temperature == 1
    assert_the_same_model(clf, plain, *unseen)
    assert at(plain, 7.0).calibrate(*HELD_OUT).temperature_ == clf.temperature_  # whatever it was before


def test_classes_that_do_not_fit_leave_the_temperature_as_it_is(plain):
    clf = at(plain, 7.0)
    with pytest.raises(InvalidInputError, match=r"^y .*'dog'"):
        clf.calibrate(shades()[0][:2], ["ant", "dog"])
    assert clf.temperature_ == 7


def test_partial_fits_learn_no_temperature():
    X, y = shades(30)
    clf = quick(temperature="auto").partial_fit(X, y, classes=NAMES)
    assert clf.temperature_ == 1
    found = clf.calibrate(*HELD_OUT).temperature_
    assert clf.partial_fit(X, y).temperature_ == found != 1
    assert quick(temperature=3).partial_fit(X, y, classes=NAMES).temperature_ == 3


def test_a_warm_start_learns_it_again(learned):
    clf = deepcopy(learned).set_params(warm_start=True).fit(*shades(), **WATCHED)
    assert clf.n_iter_ == 4
    assert clf.temperature_ == best_temperature(clf, *HELD_OUT) != learned.temperature_
    assert clf.set_params(temperature=2.5).fit(*shades()).temperature_ == 2.5
