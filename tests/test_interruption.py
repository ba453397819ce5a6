"""Ctrl-C: a single training keeps what was learned, and several end together."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback
from small import PLAIN

from gencls import (
    GenerativeBayesClassifier,
    NonFiniteLossError,
    TrainingDivergedWarning,
    TrainingInterruptedWarning,
)

X = np.random.RandomState(0).randint(0, 4, size=(24, 3, 3)).astype(float)
Y = np.arange(24) % 2


class CtrlC(Callback):
    """Interrupts every training in its third epoch."""

    def on_train_begin(self, net, **kwargs):
        STARTED.append(net)

    def on_batch_end(self, net, training=False, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


STARTED: list[Any] = []


@pytest.fixture(autouse=True)
def _none_started():
    STARTED.clear()


def make(**params):
    small: dict[str, Any] = {
        "n_filters": 2,
        "n_mixtures": 1,
        "batch_size": 12,
        "device": "cpu",
        "random_state": 0,
    }
    several = {"max_epochs": 5, "net_params": {"callbacks": [CtrlC()]}}
    return GenerativeBayesClassifier(**PLAIN | small | several | params)


SEVERAL = {
    "search": lambda: GridSearchCV(make(), {"n_filters": [1, 2]}, cv=2).fit(X, Y),
    "search in a search": lambda: cross_val_score(GridSearchCV(make(), {"lr": [0.1]}, cv=2), X, Y, cv=2),
    "cross-validation": lambda: cross_val_score(make(), X, Y, cv=2),
    "ensemble": lambda: VotingClassifier([("a", make()), ("b", make())]).fit(X, Y),
    "calibration": lambda: CalibratedClassifierCV(make(), cv=2).fit(X.reshape(24, -1), Y),
    "pipelines in a search": lambda: GridSearchCV(
        make_pipeline(FunctionTransformer(), make()), {"functiontransformer__validate": [False]}, cv=2
    ).fit(X, Y),
}


@pytest.mark.parametrize("run", SEVERAL.values(), ids=SEVERAL)
def test_it_ends_all_trainings_of_a_library(run):
    with pytest.raises(KeyboardInterrupt, match="after 2 of 5 epochs"):
        run()
    assert len(STARTED) == 1


def test_it_keeps_what_a_fit_has_learned():
    clf = make()
    with pytest.warns(TrainingInterruptedWarning, match="after 2 of 5 epochs"):
        clf.fit(X, Y)
    assert clf.n_iter_ == 2
    assert clf.predict_proba(X).shape == (24, 2)


def test_it_ends_a_loop_of_partial_fit_and_keeps_what_was_learned():
    clf = make(net_params={"callbacks": [CtrlC()]})
    for _ in range(2):
        clf.partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(KeyboardInterrupt, match="after 0 of 1 epochs"):
        clf.partial_fit(X, Y)
    assert clf.n_iter_ == 2
    assert clf.predict_proba(X).shape == (24, 2)


def test_it_keeps_what_a_pipeline_has_learned():
    pipeline = make_pipeline(FunctionTransformer(), make())
    with pytest.warns(TrainingInterruptedWarning):
        pipeline.fit(X, Y)
    assert pipeline.predict(X).shape == (24,)


def test_what_was_learned_is_kept_before_anything_is_raised():
    """As by whoever trains in a loop of their own, and makes the warning an error to end it."""
    clf = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingInterruptedWarning)
        with pytest.raises(TrainingInterruptedWarning):
            clf.fit(X, Y)
    assert clf.predict_proba(X).shape == (24, 2)


def test_a_training_that_diverged_says_so():
    diverging = make(net_params={"gradient_clip": None}, lr=10.0, max_epochs=3)
    with pytest.warns(TrainingDivergedWarning, match="diverged.*bits per dimension.*lr"):
        diverging.fit(X, Y)


def test_weights_that_are_not_finite_after_the_only_step_are_an_error():
    with pytest.raises(NonFiniteLossError, match=r"not finite after the last step.*lr \(now 1e\+308\)"):
        make(net_params=None, lr=1e308, max_epochs=1, batch_size=24).fit(X, Y)


@pytest.mark.parametrize("early_stopping", [False, "accuracy"])
def test_one_that_restored_good_weights_did_not(early_stopping):
    """Early stopping undoes what diverged after the best epoch."""

    class Jump(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                net.history.record("train_bpd", 1e17)

    clf = make(net_params={"callbacks": [Jump()]}, max_epochs=2, early_stopping=early_stopping)
    clf.set_params(validation_fraction=0.5, lr=1e-9, priors=[0.9, 0.1])  # so that no class ties with another
    if early_stopping:
        clf.fit(X, Y)
    else:
        with pytest.warns(TrainingDivergedWarning, match=r"1e\+17"):
            clf.fit(X, Y)
