"""Copies, pipelines, searches and other processes."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler
from small import quick, same_predictions, shades, trained, unseen_images

from gencls import (
    Conditioner,
    Hybrid,
    Modulation,
    Stage,
    list_conditioners,
    neg_bits_per_dim_scorer,
    per_site,
)
from gencls.conditioners import zero_embedding
from gencls.conditioners.strong import Strong


@pytest.fixture
def fitted():
    return trained()


@pytest.fixture
def unseen():
    return unseen_images()


# Copies


def test_a_clone_learns_the_same():
    X, y = shades()
    clf = quick(conditioner=Strong(), priors=[0.2, 0.3, 0.5])
    assert same_predictions(clone(clf).fit(X, y), clf.fit(X, y), X)


def test_pickle_and_joblib_keep_everything(fitted, unseen, tmp_path):
    X, _ = unseen
    joblib.dump(fitted, tmp_path / "model.joblib")
    for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "model.joblib")):
        assert same_predictions(again, fitted, X)
        assert again.history_ == fitted.history_
        np.testing.assert_array_equal(again.sample(3, random_state=0)[0], fitted.sample(3, random_state=0)[0])


def test_an_unpickled_model_learns_on():
    X, y = shades()
    clf = quick().fit(X, y)
    again = pickle.loads(pickle.dumps(clf))
    assert same_predictions(clf.partial_fit(X, y), again.partial_fit(X, y), X)


def predict_elsewhere(clf, X, path, **environment):
    """The joint log-probabilities from another process."""
    joblib.dump((clf, X), path)
    code = (
        "import json, sys, joblib, torch; torch.set_num_threads(1); clf, X = joblib.load(sys.argv[1]); "
        "print(json.dumps(clf.predict_joint_log_proba(X).tolist()))"
    )
    command = [sys.executable, "-c", code, str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    return json.loads(shown)


def test_a_model_in_another_process_is_the_same(fitted, unseen, tmp_path):
    X, _ = unseen
    found = predict_elsewhere(fitted, X, tmp_path / "model.joblib")
    np.testing.assert_array_equal(found, fitted.predict_joint_log_proba(X))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_model_of_a_gpu_works_where_there_is_none(tmp_path):
    X, y = shades()
    clf = quick(device="cuda").fit(X, y)
    found = predict_elsewhere(clf, X, tmp_path / "model.joblib", CUDA_VISIBLE_DEVICES="")
    np.testing.assert_allclose(found, clf.predict_joint_log_proba(X), rtol=1e-3)


# Pipelines and searches


def to_rows(X):
    return X.reshape(len(X), -1)


def test_a_pipeline():
    X, y = shades()
    pipeline = make_pipeline(FunctionTransformer(to_rows), MinMaxScaler(), quick()).fit(X, y)
    assert pipeline.predict_proba(X).shape == (36, 3)
    assert (pipeline[-1].codec_.low_, pipeline[-1].codec_.high_) == (0, 1)
    assert pipeline[-1].image_shape_ == (3, 3)


def test_cross_validation():
    X, y = shades()
    scores = cross_val_score(quick(), X, y, cv=2)
    assert scores.shape == (2,)
    bits = cross_val_score(quick(), X, y, cv=2, scoring=neg_bits_per_dim_scorer)
    assert (bits < 0).all()
    losses = cross_val_score(quick(), X, y, cv=2, scoring="neg_log_loss")
    assert np.isfinite(losses).all()


GRID = [
    {"n_layers": [1, 2]},
    {"n_filters": [3]},
    {"n_mixtures": [2]},
    {"conditioner": ["strong", Strong, Strong()]},
]


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_a_grid_search(n_jobs):
    X, y = shades(18)
    clf = quick(pixel_range=(0, 8), n_levels=9)
    search = GridSearchCV(
        clf, GRID, cv=2, n_jobs=n_jobs, error_score="raise", scoring=neg_bits_per_dim_scorer
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) == 5  # a name, a class and an instance are the same
    assert search.best_params_ == search.cv_results_["params"][scores.argmax()]
    assert search.predict(X).shape == (18,)


class Ranked(Conditioner):
    """With a hyper-parameter."""

    def __init__(self, first_stage=5):
        super().__init__()
        self.first_stage = first_stage

    def build(self, n_classes, sites):
        chosen = sites.named("second").in_stages(range(self.first_stage, 6))
        self.bias = per_site(chosen, lambda site: zero_embedding(n_classes, site.channels))

    def forward(self, labels):
        return {site: Modulation(shift=bias(labels)) for site, bias in self.bias.items()}


@pytest.mark.parametrize("conditioner", [Ranked, Ranked()], ids=["class", "instance"])
def test_hyper_parameters_of_the_conditioner_are_searched(conditioner):
    X, y = shades()
    grid = {"conditioner__first_stage": [3, 5]}
    search = GridSearchCV(quick(conditioner=conditioner), grid, cv=2, error_score="raise").fit(X, y)
    best = search.best_params_["conditioner__first_stage"]
    assert search.best_estimator_.conditioner_.first_stage == best


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("objective", ["hybrid", Hybrid(temperature=4.0)], ids=["name", "instance"])
def test_hyper_parameters_of_the_objective_are_searched(objective, n_jobs):
    X, y = shades()
    clf = quick(objective=objective, max_epochs=2, lr=0.01)
    grid = {"objective__weight": [0.01, 3.0]}
    search = GridSearchCV(
        clf, grid, cv=2, n_jobs=n_jobs, error_score="raise", scoring=neg_bits_per_dim_scorer
    ).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 2
    assert search.best_estimator_.objective.weight == search.best_params_["objective__weight"]
    assert clf.objective is objective


def test_settings_of_all_components_are_searched():
    X, y = shades()
    grid = {
        "augmentation__most": [0, 1],
        "net__ema_decay": [0.5],
        "compute__compile": [False],
        "stages": [None, [Stage(1), Stage(1, objective="hybrid")]],
    }
    search = GridSearchCV(quick(augmentation="shift"), grid, cv=2, error_score="raise").fit(X, y)
    best = search.best_estimator_
    assert best.augmentation.most == search.best_params_["augmentation__most"]
    assert best.net_params == {"ema_decay": 0.5}
    assert best.compute.compile is False


def test_pickles_are_small_and_hold_no_images():
    X, y = shades(900, size=(6, 6))
    few, many = (quick(batch_size=300).fit(X[:n], y[:n], X_val=X[:n], y_val=y[:n]) for n in (30, 900))
    for name in ("plan_", "stage_", "data_", "held_out_", "resumed_"):
        assert getattr(many.net_, name) is None
    assert abs(len(pickle.dumps(many)) - len(pickle.dumps(few))) < 4000


@pytest.mark.parametrize("conditioner", list_conditioners())
def test_every_conditioner_trains(conditioner):
    X, y = shades()
    clf = quick(conditioner=conditioner, max_epochs=2).fit(X, y)
    assert np.isfinite(clf.predict_joint_log_proba(X)).all()
    assert clf.history_[1]["train_bpd"] < clf.history_[0]["train_bpd"]
    assert clf.sample(2, random_state=0)[0].shape == (2, 3, 3)
