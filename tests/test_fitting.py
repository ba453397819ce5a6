"""From images and parameters to a trained net: weights, seeds, warm starts, held-out images."""

from __future__ import annotations

import math
import pickle
import re
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from small import (
    NAMES,
    missing,
    quick,
    reshaped,
    same_predictions,
    shades,
    trained,
    unseen_images,
)

from gencls import (
    GenerativeBayesClassifier,
    InvalidInputError,
    InvalidParameterError,
    Likelihood,
    NonFiniteLossError,
    TrainingInterruptedWarning,
)
from gencls.conditioners.strong import Strong
from gencls.estimators import _fitting as fitting
from gencls.training.data import hold_out


@pytest.fixture
def fitted():
    return trained()


@pytest.fixture
def unseen():
    return unseen_images()


# Weights and seeds


def test_a_weight_is_a_repetition():
    X, y = shades()
    weights = np.random.RandomState(0).randint(0, 4, size=36)
    weights[:3] = 1  # every class is there
    weighted = quick().fit(X, y, sample_weight=weights)
    repeated = quick().fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert same_predictions(weighted, repeated, X)
    np.testing.assert_array_equal(weighted.class_count_, repeated.class_count_)
    assert not same_predictions(weighted, quick().fit(X, y), X)


def test_samples_of_no_weight_are_not_there():
    X, y = shades()
    X = X.copy()
    X[5] = 99
    weights = np.ones(36)
    weights[5] = 0
    clf = quick().fit(X, y, sample_weight=weights)
    assert clf.codec_.high_ == 8
    assert same_predictions(clf, quick().fit(np.delete(X, 5, 0), np.delete(y, 5)), X[:5])


def test_the_order_of_the_samples_does_not_matter():
    X, y = shades()
    assert same_predictions(quick().fit(X, y), quick().fit(X[::-1], y[::-1]), X)


def test_a_seed_makes_it_reproducible():
    X, y = shades()
    options = {"dropout": 0.2, "max_epochs": 2}
    clf = quick(**options).fit(X, y)
    assert same_predictions(clf, quick(**options).fit(X, y), X)
    other = quick(**(options | {"random_state": 1})).fit(X, y)
    assert not same_predictions(clf, other, X)
    state = quick(**(options | {"random_state": np.random.RandomState(0)}))
    assert same_predictions(clf, state.fit(X, y), X)
    assert not same_predictions(clf, state.fit(X, y), X)  # the stream has gone on


def test_nobody_elses_random_numbers_are_touched(fitted):
    X, y = shades()
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    quick().fit(X, y).predict(X)
    fitted.sample(2, random_state=0)
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.rand(3), expected[1])  # noqa: NPY002


# Warm starts


def test_a_warm_start_continues():
    X, y = shades()
    clf = quick(max_epochs=2, warm_start=True).fit(X, y)
    net, before = clf.net_, clf.predict_joint_log_proba(X)
    clf.set_params(max_epochs=3).fit(X, y)
    assert clf.net_ is net
    assert clf.n_iter_ == 5
    assert [row["epoch"] for row in clf.history_] == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(clf.class_count_, [12, 12, 12])
    assert (clf.predict_joint_log_proba(X) != before).any()
    assert clf.history_[-1]["train_bpd"] < clf.history_[1]["train_bpd"]


def test_settings_of_training_may_change_after_a_warm_start(capsys, plans):
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    others = {"net__ema_decay": 0.25, "net__gradient_clip": None, "early_stopping": "accuracy"}
    clf.set_params(**others, n_iter_no_change=1, validation_fraction=0.4, max_epochs=40, verbose=1).fit(X, y)
    assert clf.net_.averaged_.multi_avg_fn.decay == 0.25
    assert plans[-1].gradient_clip is None
    assert "valid_accuracy" in clf.history_[-1]
    assert clf.n_iter_ < 41
    assert "epoch 1/40" in capsys.readouterr().err
    clf.set_params(early_stopping=False, max_epochs=1).fit(X, y)
    assert "valid_accuracy" not in clf.history_[-1]


@pytest.mark.parametrize("random_state", [None, 0, np.random.RandomState(0)], ids=str)
def test_a_warm_start_holds_out_the_same_images_again(random_state, monkeypatch):
    X, y = shades(70)
    held_out: list[Any] = []

    def watched(*args):
        held_out.append(hold_out(*args)[1].levels)
        return hold_out(*args)

    monkeypatch.setattr(fitting, "hold_out", watched)
    clf = quick(random_state=random_state, warm_start=True, temperature="auto", validation_fraction=0.3)
    clf.fit(X, y).fit(X, y)
    first, second = held_out
    np.testing.assert_array_equal(first, second)


def test_without_a_warm_start_fitting_begins_again():
    X, y = shades()
    clf = quick(max_epochs=2).fit(X, y)
    before = clf.predict_joint_log_proba(X)
    clf.fit(X, y)
    assert clf.n_iter_ == 2
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), before)


def test_a_new_learning_rate_holds_after_a_warm_start():
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    clf.set_params(lr=1e-30).fit(X, y)
    before = {name: value.clone() for name, value in clf.net_.module_.state_dict().items()}
    clf.fit(X, y)
    for name, value in clf.net_.module_.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-20)


def test_training_continues_with_a_different_dropout(plans):
    X, y = shades()
    clf = quick(dropout=0.5, warm_start=True).fit(X, y)
    draws = torch.get_rng_state()
    same, other = (deepcopy(clf).set_params(dropout=dropout).fit(X, y) for dropout in (0.5, 0.0))
    assert [plan.execution.dropout for plan in plans] == [0.5, 0.5, 0.0]
    assert not np.array_equal(same.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    assert torch.equal(torch.get_rng_state(), draws)


def test_a_changed_network_is_refused():
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    before = clf.predict_joint_log_proba(X)
    clf.set_params(n_filters=5, conditioner="strong")
    changed = r"conditioner was Mild\(\) and is Strong\(\).*n_filters was 4 and is 5.*warm_start=False"
    for go_on in (clf.fit, clf.partial_fit):
        with pytest.raises(InvalidParameterError, match=changed):
            go_on(X, y)
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), before)


def test_a_warm_start_needs_the_classes_of_before():
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    with pytest.raises(InvalidInputError, match=r"^y .*\(0, 1, 2\), got also 3"):
        clf.fit(X, y + 1)


def test_a_warm_start_needs_images_of_all_classes_or_priors():
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    with pytest.raises(InvalidInputError, match=r"^y .*warm_start=True.*\[2\].*priors"):
        clf.fit(X[y < 2], y[y < 2])
    np.testing.assert_allclose(clf.class_prior_, 1 / 3)
    clf.set_params(priors=[0.2, 0.3, 0.5]).fit(X[y < 2], y[y < 2])
    np.testing.assert_array_equal(clf.class_prior_, [0.2, 0.3, 0.5])


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("pixel_range", (0, 9), "pixel_range was (0.0, 8.0) and is (0, 9)"),
        ("n_levels", 5, "n_levels was 9 and is 5"),
        ("image_shape", (1, 9), "image_shape was (3, 3) and is (1, 9)"),
        ("channel_axis", 1, "channel_axis was -1 and is 1"),
    ],
)
def test_changed_images_are_refused(parameter, value, message):
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    clf.set_params(pixel_range=[0, 8], n_levels=9, image_shape=[3, 3]).fit(X, y)
    with pytest.raises(InvalidParameterError, match=re.escape(message)):
        clf.set_params(**{parameter: value}).fit(X, y)


# Partial fits


def test_partial_fits_add_up():
    X, y = shades()
    clf = quick(pixel_range=(0, 8), n_levels=9)
    clf.partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    assert clf.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(clf.class_count_, [12, 12, 0])
    np.testing.assert_array_equal(clf.class_prior_, [0.5, 0.5, 0])
    assert (clf.predict(X) < 2).all()
    net = clf.net_
    clf.partial_fit(X[y == 2], y[y == 2]).partial_fit(X, y, sample_weight=np.full(36, 0.5))
    assert clf.net_ is net
    assert clf.n_iter_ == 3
    np.testing.assert_array_equal(clf.class_count_, [18, 18, 18])


def test_a_partial_fit_after_a_fit_continues():
    X, y = shades()
    clf = quick(max_epochs=2).fit(X, y)
    clf.partial_fit(X, y)
    assert clf.n_iter_ == 3


def test_a_partial_fit_holds_nothing_out_and_never_stops_early():
    X, y = shades()
    clf = quick(early_stopping=True, n_iter_no_change=1, temperature="auto", validation_fraction=0.4)
    for each in (clf, clone(clf).fit(X, y)):
        before = getattr(each, "n_iter_", 0)
        each.partial_fit(X, y, classes=[0, 1, 2])
        assert each.n_iter_ == before + 1
        assert "valid_bpd" not in each.history_[-1]


def test_the_first_partial_fit_needs_the_classes():
    X, y = shades()
    with pytest.raises(InvalidInputError, match=r"^classes .*partial_fit"):
        quick().partial_fit(X, y)
    with pytest.raises(InvalidInputError, match=r"^y .*\(0, 1\), got also 2"):
        quick().partial_fit(X, y, classes=[0, 1])
    with pytest.raises(InvalidInputError, match="at least 2 classes, got 1 class: 0"):
        quick().partial_fit(X, y, classes=[0])


def test_later_partial_fits_need_the_same_classes():
    X, y = shades()
    clf = quick().partial_fit(X, y, classes=[0, 1, 2])
    clf.partial_fit(X, y, classes=[2, 1, 0])
    with pytest.raises(InvalidInputError, match="classes"):
        clf.partial_fit(X, y, classes=[0, 1, 2, 3])


# Priors


def test_priors_are_learned_or_given(unseen):
    X, y = shades()
    X, y = X[6:], y[6:]
    keep = (y != 2) | (np.arange(30) % 2 == 0)
    learned = quick().fit(X[keep], y[keep])
    counts = np.bincount(y[keep])
    np.testing.assert_allclose(learned.class_prior_, counts / counts.sum())

    given = quick(priors=[0.7, 0.2, 0.1]).fit(X[keep], y[keep])
    np.testing.assert_array_equal(given.class_prior_, [0.7, 0.2, 0.1])
    np.testing.assert_array_equal(given.class_count_, counts)
    np.testing.assert_allclose(
        given.predict_joint_log_proba(X) - np.log(given.class_prior_),
        learned.predict_joint_log_proba(X) - np.log(learned.class_prior_),
        rtol=1e-9,
    )


def test_a_class_of_prior_0_is_never_predicted_or_drawn():
    X, y = shades()
    clf = quick(priors=[0.5, 0, 0.5]).fit(X, y)
    assert (clf.predict_proba(X)[:, 1] == 0).all()
    assert 1 not in clf.predict(X)
    assert 1 not in clf.sample(50, random_state=0)[1]


@pytest.mark.parametrize("kind", ["Series", "dict"])
def test_priors_by_class(kind, tmp_path):
    X, y = shades()
    shares = {"cat": 0.5, "ant": 0.2, "bee": 0.3}
    clf = quick(priors=pd.Series(shares) if kind == "Series" else shares).fit(X, NAMES[y])
    np.testing.assert_array_equal(clf.class_prior_, [0.2, 0.3, 0.5])
    clf.partial_fit(X, NAMES[y])
    np.testing.assert_array_equal(clf.class_prior_, [0.2, 0.3, 0.5])
    clf.save(tmp_path / "model")
    again = GenerativeBayesClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.partial_fit(X, NAMES[y]).class_prior_, [0.2, 0.3, 0.5])
    with pytest.raises(InvalidParameterError, match="'dog'"):
        clf.set_params(priors={"ant": 0.5, "bee": 0.2, "dog": 0.3}).fit(X, NAMES[y])


def test_a_prior_may_be_set_after_fit_by_class(fitted, unseen, tmp_path):
    X, _ = unseen
    clf, shares = deepcopy(fitted), {"cat": 0.5, "ant": 0.2, "bee": 0.3}
    clf.class_prior_ = np.array([0.2, 0.3, 0.5])
    expected = clf.predict_proba(X), clf.sample(9, random_state=0)[1]
    for prior in (pd.Series(shares), shares, [0.2, 0.3, 0.5]):
        clf.class_prior_ = prior
        np.testing.assert_array_equal(clf.predict_proba(X), expected[0])
        np.testing.assert_array_equal(clf.predict(X), clf.classes_[expected[0].argmax(1)])
        np.testing.assert_array_equal(clf.sample(9, random_state=0)[1], expected[1])
        clf.save(tmp_path / "model")
        again = GenerativeBayesClassifier.load(tmp_path / "model")
        np.testing.assert_array_equal(again.predict_proba(X), expected[0])
    clf.class_prior_ = pd.Series([0.5, 0.3, 0.2], index=["ant", "bee", "dog"])
    for predict in (clf.predict, clf.predict_proba, clf.score_samples, lambda X: clf.sample(1)):
        with pytest.raises(InvalidParameterError, match=r"attribute 'class_prior_' .*'dog'"):
            predict(X)


# Held-out images and early stopping


def test_held_out_images_are_scored_after_each_epoch():
    X, y = shades()
    X_val, y_val = shades(20, seed=1)
    clf = quick(max_epochs=2).fit(X, y, X_val=X_val, y_val=y_val)
    row = clf.history_[-1]
    assert row["valid_bpd"] == pytest.approx(clf.bits_per_dim(X_val, y_val))
    assert row["valid_accuracy"] == clf.score(X_val, y_val)
    posterior = clf.predict_log_proba(X_val)
    assert row["valid_log_loss"] == pytest.approx(-posterior[np.arange(20), y_val].mean())
    assert row["dur"] > 0
    assert same_predictions(clf, quick(max_epochs=2).fit(X, y), X)  # they are only looked at


@pytest.mark.parametrize("monitor", [True, "log_loss", "accuracy"])
def test_early_stopping(monitor):
    X, y = shades(60)
    clf = quick(early_stopping=monitor, n_iter_no_change=2, max_epochs=40, validation_fraction=0.4, lr=0.01)
    clf.fit(X, y)
    key, sign = {"log_loss": ("valid_log_loss", 1), "accuracy": ("valid_accuracy", -1)}.get(
        monitor, ("valid_bpd", 1)
    )
    figures = sign * np.array([row[key] for row in clf.history_])
    assert clf.n_iter_ < 40
    assert figures.argmin() == clf.n_iter_ - 3
    assert "valid_bpd" in clf.history_[0]


def test_early_stopping_keeps_the_best_weights_for_predictions():
    X, y = shades()
    X_val, y_val = shades(20, seed=1)
    clf = quick(early_stopping=True, n_iter_no_change=2, max_epochs=30, lr=0.01)
    clf.fit(X, y, X_val=X_val, y_val=y_val)
    best = min(row["valid_bpd"] for row in clf.history_)
    assert clf.bits_per_dim(X_val, y_val) == pytest.approx(best)


def test_a_class_of_one_image_is_named_where_images_are_held_out():
    X, y = shades()
    labels = NAMES[y].astype(object)
    labels[4] = "zebra"
    with pytest.raises(InvalidInputError, match=r"^validation_fraction=0.1 .*'zebra'"):
        quick(early_stopping=True).fit(X, labels)


def test_with_a_class_of_one_image_no_temperature_is_learned():
    X, y = shades(70)
    labels = NAMES[y].astype(object)
    labels[4] = "zebra"
    assert quick(temperature="auto", validation_fraction=0.3).fit(X, labels).temperature_ == 1


def test_progress_is_shown_on_request(capsys):
    X, y = shades()
    quick().fit(X, y)
    assert capsys.readouterr().err == ""
    clf = quick(verbose=1, max_epochs=2).fit(X, y)
    lines = capsys.readouterr().err.splitlines()
    assert [line[:9] for line in lines if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    clf.sample(1, random_state=0)
    assert "sampling" in capsys.readouterr().err


# Failures


class Counter(Callback):
    def __init__(self, interrupt_at=None):
        self.interrupt_at = interrupt_at

    def initialize(self):
        self.steps_ = 0
        return self

    def on_batch_end(self, net, training=False, **kwargs):
        self.steps_ += training
        if self.steps_ == self.interrupt_at:
            raise KeyboardInterrupt


def test_an_interruption_keeps_what_was_learned():
    X, y = shades()
    clf = quick(max_epochs=9, batch_size=8, net_params={"callbacks": [Counter(interrupt_at=8)]})
    with pytest.warns(TrainingInterruptedWarning, match="after 1 of 9 epochs"):
        clf.fit(X, y)
    assert clf.n_iter_ == 1
    assert np.isfinite(clf.predict_proba(X)).all()


def test_a_loss_that_is_not_finite_leaves_the_last_good_weights(monkeypatch):
    X, y = shades()
    calls, loss = [], Likelihood.loss

    def poisoned(self, terms):
        calls.append(1)
        return loss(self, terms) * (math.nan if len(calls) == 9 else 1)

    monkeypatch.setattr(Likelihood, "loss", poisoned)
    clf = quick(max_epochs=9, batch_size=8)
    with pytest.raises(NonFiniteLossError, match="in epoch 2"):
        clf.fit(X, y)
    assert clf.n_iter_ == 1
    assert np.isfinite(clf.predict_joint_log_proba(X)).all()
    pickle.loads(pickle.dumps(clf))


FRAME = pd.DataFrame(np.full((36, 4), math.nan), columns=list("abcd"))


BAD_FITS = {
    "one class": lambda clf: clf.fit(shades()[0], np.zeros(36)),
    "other classes, bad priors": lambda clf: clf.set_params(priors=[1]).fit(*shades(n_classes=2)),
    "another size, bad X_val": lambda clf: clf.fit(
        *shades(size=(4, 5)), X_val=reshaped(2, 3, 3), y_val=[0, 1]
    ),
    "NaN": lambda clf: clf.fit(missing(math.nan), shades()[1]),
    "a pandas frame with NaN": lambda clf: clf.fit(FRAME, shades()[1]),
    "bad shape": lambda clf: clf.set_params(image_shape=(2, 2)).fit(*shades()),
    "bad weights": lambda clf: clf.fit(*shades(size=(4, 4)), sample_weight=-np.ones(36)),
    "nothing to hold out": lambda clf: clf.set_params(early_stopping=True).fit(*shades(3, size=(2, 2))),
    "bad net_params": lambda clf: clf.set_params(net_params={"fast": 1}).fit(*shades(size=(2, 2))),
    "bad partial_fit": lambda clf: clf.partial_fit(shades()[0], shades()[1] + 1),
    "bad priors for partial_fit": lambda clf: clf.set_params(priors=[1]).partial_fit(*shades()),
    "an interruption": lambda clf: clf.set_params(conditioner=Interrupting()).fit(*shades(size=(2, 2))),
}


class Interrupting(Strong):
    """Ctrl-C while the network is built."""

    def build(self, n_classes, sites):
        raise KeyboardInterrupt


@pytest.mark.parametrize("bad_fit", BAD_FITS)
def test_a_failed_fit_leaves_the_model_as_it_was(bad_fit):
    X, y = shades()
    clf = quick().fit(X, y)
    expected = clf.predict_joint_log_proba(X)
    before = vars(clf).copy()
    with pytest.raises((ValueError, KeyboardInterrupt)):
        BAD_FITS[bad_fit](clf)
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), expected)
    learned = {name for name in before if name.endswith("_")}
    assert {name for name in vars(clf) if name.endswith("_")} == learned
    for name in learned:
        assert vars(clf)[name] is before[name]


@pytest.mark.parametrize(
    "value",
    [None, math.nan, pd.NA],
    ids=str,
)
def test_a_missing_label_is_called_so(value):
    X, y = shades()
    labels = NAMES[y].astype(object)
    labels[4] = value
    with pytest.raises(InvalidInputError, match=r"^y .*missing"):
        quick().fit(X, labels)


def test_one_index_in_two_orders_is_refused():
    X, y = shades()
    frame, labels = pd.DataFrame(X.reshape(36, 9), index=3 * np.arange(36)), pd.Series(NAMES[y])
    labels.index = frame.index
    clf = quick().fit(frame, labels, sample_weight=pd.Series(np.ones(36), index=frame.index))
    for call in (
        lambda: clf.fit(frame[::-1], labels),
        lambda: clf.fit(frame, labels, sample_weight=pd.Series(np.ones(36), index=frame.index[::-1])),
        lambda: clf.fit(frame, labels, X_val=frame, y_val=labels[::-1]),
        lambda: clf.score(frame[::-1], labels),
        lambda: clf.log_likelihood(frame[::-1], labels),
    ):
        with pytest.raises(InvalidInputError, match="index"):
            call()
