"""The estimator: a citizen of scikit-learn, and Bayes' theorem over the model of each class."""

from __future__ import annotations

import json
import math
import os
import pickle
import re
import subprocess
import sys
import warnings
from copy import deepcopy

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp, softmax
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import _num_features
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, Initializer, LRScheduler
from skorch.dataset import ValidSplit
from skorch.helper import SliceDataset, predefined_split
from torch.utils.data import TensorDataset

from gencls import (
    Conditioner,
    ConditionerError,
    GenerativeBayesClassifier,
    InvalidInputError,
    InvalidParameterError,
    Modulation,
    NonFiniteLossError,
    PixelClippingWarning,
    PixelScaleWarning,
    TrainingInterruptedWarning,
    list_conditioners,
    neg_bits_per_dim_scorer,
    per_site,
)
from gencls.conditioners import zero_embedding
from gencls.conditioners.strong import Strong
from gencls.estimators import classifier as estimator
from gencls.objectives import hybrid as objectives

SMALL = {"n_filters": 4, "n_mixtures": 1, "dropout": 0.0, "random_state": 0, "batch_size": 8}
QUICK = SMALL | {"max_epochs": 1}
NAMES = np.array(["ant", "bee", "cat"])


def whole(message):
    return f"^{re.escape(message)}$"


def shades(n=36, n_classes=3, seed=0, size=(3, 3)):
    """Grey images of whole numbers; each class has three shades of its own."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % n_classes
    X = 3 * y[:, None, None] + rng.randint(3, size=(n, *size))
    X[0].flat[0], X[n_classes - 1].flat[0] = 0, 3 * n_classes - 1  # the whole range
    return X, y


def quick(**parameters):
    return GenerativeBayesClassifier(**(QUICK | parameters))


@pytest.fixture(scope="module")
def fitted():
    """A model that has learned something: strings for classes, whole numbers for pixels."""
    X, y = shades(90)
    options = {"n_filters": 6, "max_epochs": 12, "batch_size": 16, "lr": 3e-3, "gradient_clip": 1.0}
    clf = GenerativeBayesClassifier(**(SMALL | options))
    return clf.fit(X, NAMES[y])


@pytest.fixture(scope="module")
def unseen():
    X, y = shades(30, seed=1)
    return X, NAMES[y]


def same_predictions(one, other, X):
    return np.array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))


# scikit-learn's own checks


@pytest.mark.filterwarnings("ignore::gencls.TrainingDivergedWarning")  # on a few points of the plane
@parametrize_with_checks(
    [
        GenerativeBayesClassifier(
            n_filters=4,
            n_mixtures=1,
            dropout=0.0,
            max_epochs=8,  # with fewer it depends on torch's version whether it learns
            batch_size=16,
            lr=0.01,
            gradient_clip=1.0,
            random_state=0,
        )
    ]
)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_it_is_a_classifier():
    assert is_classifier(GenerativeBayesClassifier())


# Predictions


def test_it_learns(fitted, unseen):
    X, y = unseen
    assert fitted.score(X, y) > 0.9
    assert fitted.history_[-1]["train_bpd"] < fitted.history_[0]["train_bpd"]
    assert math.log2(3) < fitted.bits_per_dim(X, y) < 2.2  # of what is there, and of log2(9) without learning


def test_all_predictions_derive_from_the_joint_probability(fitted, unseen):
    X, y = unseen
    joint = fitted.predict_joint_log_proba(X)
    assert joint.shape == (30, 3)
    assert joint.dtype == np.float64
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[joint.argmax(1)])
    np.testing.assert_allclose(fitted.predict_proba(X), softmax(joint, axis=1), rtol=1e-12)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(1), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), fitted.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(fitted.score_samples(X), logsumexp(joint, axis=1), rtol=1e-12)
    assert fitted.score(X, y) == (fitted.predict(X) == y).mean()


def test_bayes_theorem_holds(fitted, unseen):
    X, _ = unseen
    for k, name in enumerate(fitted.classes_):
        likelihood = fitted.log_likelihood(X, np.full(30, name))
        np.testing.assert_allclose(
            fitted.predict_log_proba(X)[:, k] + fitted.score_samples(X),
            likelihood + np.log(fitted.class_prior_[k]),
            rtol=1e-12,
        )


def test_bits_per_dimension(fitted, unseen):
    X, y = unseen
    nats = 9 * math.log(2)
    assert fitted.bits_per_dim(X, y) == pytest.approx(-fitted.log_likelihood(X, y).mean() / nats, rel=1e-12)
    assert fitted.bits_per_dim(X) == pytest.approx(-fitted.score_samples(X).mean() / nats, rel=1e-12)
    assert neg_bits_per_dim_scorer(fitted, X, y) == -fitted.bits_per_dim(X, y)
    assert neg_bits_per_dim_scorer(fitted, X) == -fitted.bits_per_dim(X)
    pipeline = make_pipeline(FunctionTransformer(lambda X: X[:, ::-1]), fitted)
    assert neg_bits_per_dim_scorer(pipeline, X, y) == -fitted.bits_per_dim(X[:, ::-1], y)
    assert neg_bits_per_dim_scorer(make_pipeline(fitted), X) == -fitted.bits_per_dim(X)


def test_an_image_is_scored_the_same_alone_and_among_others(fitted, unseen):
    X, _ = unseen
    together = fitted.predict_joint_log_proba(X)
    np.testing.assert_allclose(fitted.predict_joint_log_proba(X[7:8]), together[7:8], rtol=1e-6)
    np.testing.assert_allclose(fitted.predict_joint_log_proba(X[::-1]), together[::-1], rtol=1e-6)


def test_images_flat_rows_and_lists_are_the_same(fitted, unseen):
    X, _ = unseen
    expected = fitted.predict_joint_log_proba(X)
    for other in (
        X.reshape(30, 9),
        X.tolist(),
        X.astype(np.float32),
        X.astype(np.uint8),
        torch.from_numpy(X),
    ):
        np.testing.assert_array_equal(fitted.predict_joint_log_proba(other), expected)


def test_columns_and_sequences_of_images_are_the_same(fitted, unseen):
    X, y = unseen
    expected = fitted.predict_joint_log_proba(X)
    column = pd.Series(list(X), index=np.arange(30)[::-1])
    lazy = SliceDataset(TensorDataset(torch.from_numpy(X), torch.arange(30)))
    for other in (list(X), column, column.to_numpy(), column.to_frame("image"), lazy, list(torch.tensor(X))):
        np.testing.assert_array_equal(fitted.predict_joint_log_proba(other), expected)
    found = quick().fit(column, y)
    assert not hasattr(found, "feature_names_in_")
    assert same_predictions(found, quick().fit(X, y), X)
    scores = cross_val_score(quick(), list(X), y, cv=2, error_score="raise")
    np.testing.assert_array_equal(scores, cross_val_score(quick(), X, y, cv=2))


def test_read_only_images_will_do(unseen):
    X, y = unseen
    X = X.copy()
    X.flags.writeable = False
    y.flags.writeable = False
    clf = quick().fit(X, y)
    assert clf.predict(X).shape == (30,)
    assert clf.fit(X.astype(np.uint8)[::-1], y[::-1]).sample(2)[0].dtype == np.uint8
    X = X.astype(np.uint8)
    X.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clf.set_params(pixel_range=(0, 255)).fit(X, y).predict(X).shape == (30,)


def test_what_is_fitted(fitted):
    assert fitted.classes_.tolist() == ["ant", "bee", "cat"]
    np.testing.assert_array_equal(fitted.class_count_, [30, 30, 30])
    np.testing.assert_allclose(fitted.class_prior_, 1 / 3)
    assert fitted.n_features_in_ == 3  # X.shape[1], as scikit-learn counts
    assert fitted.image_shape_ == (3, 3)
    assert fitted.n_iter_ == len(fitted.history_) == 12
    assert fitted.codec_.n_levels_ == 9
    assert fitted.conditioner_ is fitted.net_.averaged_model.conditioner
    assert not hasattr(fitted, "feature_names_in_")


@pytest.mark.parametrize("shape", [(3, 4), (4, 3, 3), (12,)], ids=str)
def test_features_are_counted_as_scikit_learn_counts_them(shape, tmp_path):
    X, y = shades(size=(3, np.prod(shape) // 3))
    X = X.reshape(36, *shape)
    clf = quick().fit(X, y)
    clf.save(tmp_path / "model")
    again = GenerativeBayesClassifier.load(tmp_path / "model")
    for each in (clf, again, pickle.loads(pickle.dumps(clf)), clf.fit(list(X), y)):
        assert each.n_features_in_ == _num_features(X) == X.shape[1]
        assert each.bits_per_dim(X) == each.bits_per_dim(X.reshape(36, -1)) == again.bits_per_dim(X)
        nats = -each.score_samples(X).mean()
        assert each.bits_per_dim(X) == pytest.approx(nats / (np.prod(shape) * math.log(2)))


def test_fitting_changes_no_parameter():
    parameters = {
        "image_shape": [3, 3],
        "pixel_range": [0, 8],
        "priors": [0.2, 0.3, 0.5],
        "conditioner": "strong",
    }
    clf = quick(**parameters).fit(*shades())
    for name, value in parameters.items():
        assert getattr(clf, name) is value


# Labels


@pytest.mark.parametrize(
    "classes",
    [["b", "a", "c"], ["long name", "x", "ä"], [10, -3, 7], [0.0, 2.0, 1.0], [False, True]],
    ids=str,
)
def test_labels_of_any_kind(classes):
    X, y = shades(n_classes=len(classes))
    labels = np.array(classes)[y]
    clf = quick().fit(X, labels)
    np.testing.assert_array_equal(clf.classes_, np.unique(classes))
    assert clf.predict(X).dtype == labels.dtype
    assert set(clf.predict(X)) <= set(classes)
    reference = quick().fit(X, np.searchsorted(clf.classes_, labels))
    np.testing.assert_array_equal(clf.predict_proba(X), reference.predict_proba(X))
    np.testing.assert_array_equal(clf.sample(y=labels[:2], random_state=0)[1], labels[:2])


def test_labels_of_objects_and_series():
    X, y = shades()
    clf = quick().fit(X, NAMES[y].astype(object))
    assert clf.predict(X).dtype == object
    assert same_predictions(clf, quick().fit(X, pd.Series(NAMES[y]).astype("category")), X)


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


# Model selection


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


def test_parameters_of_the_conditioner_are_set_even_where_it_is_given_by_name():
    clf = quick(conditioner="low-rank").set_params(conditioner__rank=3, n_layers=2)
    assert (clf.conditioner.rank, clf.n_layers) == (3, 2)
    assert clf.get_params()["conditioner__rank"] == 3
    both = quick().set_params(conditioner="low-rank", conditioner__rank=5)
    assert both.conditioner.rank == 5
    with pytest.raises(ValueError, match=r"Invalid parameter 'size' for estimator LowRank"):
        clf.set_params(conditioner__size=3)


@pytest.mark.parametrize("conditioner", list_conditioners())
def test_every_conditioner_trains(conditioner):
    X, y = shades()
    clf = quick(conditioner=conditioner, max_epochs=2).fit(X, y)
    assert np.isfinite(clf.predict_joint_log_proba(X)).all()
    assert clf.history_[1]["train_bpd"] < clf.history_[0]["train_bpd"]
    assert clf.sample(2, random_state=0)[0].shape == (2, 3, 3)


# Weights, seeds, going on


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


def test_a_warm_start_goes_on():
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


def test_what_training_is_like_may_be_another_after_a_warm_start(capsys):
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    others = {"ema_decay": 0.25, "gradient_clip": None, "early_stopping": "accuracy", "n_iter_no_change": 1}
    clf.set_params(**others, validation_fraction=0.4, max_epochs=40, verbose=1).fit(X, y)
    assert clf.net_.averaged_.multi_avg_fn.decay == 0.25
    assert clf.net_.gradient_clip is None
    assert "valid_accuracy" in clf.history_[-1]
    assert clf.n_iter_ < 41
    assert "epoch 1/40" in capsys.readouterr().err
    clf.set_params(early_stopping=False, max_epochs=1).fit(X, y)
    assert "valid_accuracy" not in clf.history_[-1]


@pytest.mark.parametrize("random_state", [None, 0, np.random.RandomState(0)], ids=str)
def test_a_warm_start_holds_out_the_same_images_again(random_state, monkeypatch):
    X, y = shades()
    held_out, split = [], estimator.hold_out

    def watched(*args):
        held_out.append(split(*args)[1].levels)
        return split(*args)

    monkeypatch.setattr(estimator, "hold_out", watched)
    clf = quick(random_state=random_state, warm_start=True, temperature="auto", validation_fraction=0.3)
    clf.fit(X, y).fit(X, y)
    np.testing.assert_array_equal(*held_out)


def test_without_a_warm_start_fitting_begins_anew():
    X, y = shades()
    clf = quick(max_epochs=2).fit(X, y)
    before = clf.predict_joint_log_proba(X)
    clf.fit(X, y)
    assert clf.n_iter_ == 2
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), before)


def test_another_learning_rate_holds_after_a_warm_start():
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    clf.set_params(lr=1e-30).fit(X, y)
    before = {name: value.clone() for name, value in clf.net_.module_.state_dict().items()}
    clf.fit(X, y)
    for name, value in clf.net_.module_.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-20)


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


def test_a_partial_fit_after_a_fit_goes_on():
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


WRONG_SCORES = {
    "weights in another order": ({"sample_weight": pd.Series(1.0, index=range(30, 0, -1))}, "another order"),
    "too few weights": ({"sample_weight": [1.0, 2.0]}, r"sample_weight must have the shape \(30,\)"),
    "negative weights": (
        {"sample_weight": np.full(30, -1.0)},
        "sample_weight must be finite and non-negative",
    ),
    "weights by class": (
        {"sample_weight": {"ant": 2}},
        "sample_weight must be numbers.*compute_sample_weight",
    ),
    "numbers for words": ({"y": np.arange(30) % 3}, "y must have classes like .*'ant'"),
    "too few classes": ({"y": ["ant"]}, r"y must have the shape \(30,\)"),
    "no classes": ({"y": None}, r"y must have the shape \(30,\).* got None"),
}


@pytest.mark.parametrize("name", WRONG_SCORES)
def test_a_score_names_what_does_not_fit(name, fitted, unseen):
    X, y = unseen
    given, words = WRONG_SCORES[name]
    with pytest.raises(InvalidInputError, match=words):
        fitted.score(X, **({"y": pd.Series(y, index=range(1, 31))} | given))


def test_a_score_may_have_classes_that_fit_did_not_see(fitted, unseen):
    X, y = unseen
    weights = np.arange(30.0)
    right = fitted.predict(X) == y
    assert fitted.score(X, y, weights) == pytest.approx(np.average(right, weights=weights))
    assert fitted.score(X, ["dog"] * 30) == 0


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


# Validation and early stopping


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


@pytest.mark.parametrize("parameters", [{"early_stopping": True}, {"temperature": "auto"}], ids=str)
def test_a_class_of_one_image_is_named_where_images_are_held_out(parameters):
    X, y = shades()
    labels = NAMES[y].astype(object)
    labels[4] = "zebra"
    with pytest.raises(InvalidInputError, match="only one, and two are needed: 'zebra'"):
        quick(**parameters).fit(X, labels)


def test_progress_is_shown_on_request(capsys):
    X, y = shades()
    quick().fit(X, y)
    assert capsys.readouterr().err == ""
    clf = quick(verbose=1, max_epochs=2).fit(X, y)
    assert [line[:9] for line in capsys.readouterr().err.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    clf.sample(1, random_state=0)
    assert "sampling" in capsys.readouterr().err


# What skorch can do


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


def test_other_optimizers_and_more_callbacks():
    X, y = shades()
    net_params = {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "callbacks": [("counter", Counter())],
        "iterator_train__drop_last": False,
    }
    clf = quick(net_params=net_params, max_epochs=2)
    clf.fit(X, y)
    assert isinstance(clf.net_.optimizer_, torch.optim.SGD)
    assert clf.net_.optimizer_.param_groups[0]["momentum"] == 0.9
    assert dict(clf.net_.callbacks_)["counter"].steps_ == 2 * math.ceil(len(np.unique(X, axis=0)) / 8)
    assert clone(clf).get_params()["net_params"]["optimizer"] is torch.optim.SGD


def test_net_params_come_before_parameters_of_the_same_name():
    others = {"lr": 0.25, "batch_size": 7, "ema_decay": 0.5, "gradient_clip": 9.0, "max_epochs": 2}
    clf = quick(net_params=others, max_epochs=1).fit(*shades())
    assert {name: getattr(clf.net_, name) for name in others} == others
    assert clf.n_iter_ == 2


def test_an_optimizer_is_tuned_without_another():
    clf = quick(net_params={"optimizer__weight_decay": 0.25}).fit(*shades())
    assert isinstance(clf.net_.optimizer_, torch.optim.Adam)
    assert clf.net_.optimizer_.param_groups[0]["weight_decay"] == 0.25


SPLITS = {
    "ValidSplit": ValidSplit(3, stratified=True),
    "predefined_split": predefined_split(TensorDataset(*map(torch.from_numpy, shades(20, seed=1)))),
}


@pytest.mark.parametrize("split", SPLITS)
def test_skorch_says_what_is_held_out(split):
    X, y = shades()
    clf = quick(net_params={"train_split": SPLITS[split]}, temperature="auto").fit(X, y)
    row = clf.history_[-1]
    X_val, y_val = shades(20, seed=1)
    if split == "predefined_split":
        assert row["valid_bpd"] == pytest.approx(clf.bits_per_dim(X_val, y_val))
    assert np.isfinite(row["valid_log_loss"])
    given = clf.fit(X, y, X_val=X_val[:4], y_val=y_val[:4])
    assert given.history_[-1]["valid_bpd"] == pytest.approx(clf.bits_per_dim(X_val[:4], y_val[:4]))
    clf.set_params(net_params={"train_split": None}, temperature=1.0).fit(X, y)
    assert "valid_bpd" not in clf.history_[-1]


def no_split(dataset, y):
    raise RuntimeError("no")


BAD_NET_PARAMS = {
    "a split that is none": ({"train_split": 0.2}, "X_val.*early_stopping.*validation_fraction"),
    "a class of splits": ({"train_split": ValidSplit}, "X_val.*early_stopping.*validation_fraction"),
    "a split that fails": ({"train_split": no_split}, "X_val.*early_stopping.*validation_fraction"),
    "a split into nothing": ({"train_split": lambda dataset, y: (dataset,)}, "X_val.*early_stopping"),
    "held-out images without labels": (
        {"train_split": predefined_split(TensorDataset(torch.zeros(2, 3, 3)))},
        "X_val.*early_stopping",
    ),
    "more parts than images": ({"train_split": ValidSplit(999)}, "X_val.*early_stopping"),
    "another module": ({"module": torch.nn.Linear}, "'module'.*own parameters"),
    "parameters of the module": ({"module__n_filters": 8}, "'module__n_filters'.*own parameters"),
    "another criterion": ({"criterion": torch.nn.MSELoss}, "discriminative_weight"),
    "another data set": ({"dataset": TensorDataset}, "X of fit"),
    "batches of held-out images": ({"iterator_valid__batch_size": 8}, "iterator_valid__batch_size"),
    "size of batches": ({"iterator_train__batch_size": 8}, "set batch_size"),
    "how batches are collated": ({"iterator_train__collate_fn": list}, "iterator_train__collate_fn"),
    "device": ({"device": "cpu"}, "parameter of the estimator itself"),
    "verbose": ({"verbose": 1}, "parameter of the estimator itself"),
    "warm_start": ({"warm_start": True}, "parameter of the estimator itself"),
    "compile": ({"compile": True}, "parameter of the estimator itself"),
    "an unknown name": ({"optimiser": torch.optim.SGD}, "Did you mean 'optimizer'"),
    "no name": ({3: 4}, "got 3"),
    "a long name": ({"x" * 10**6: 1}, "unknown"),
    "wrong number": ({"max_epochs": "many"}, "'max_epochs', which must be an int of at least 1"),
    "wrong rate": ({"lr": -1}, "'lr', which must be a number above 0"),
    "no callbacks at all": ({"callbacks": "disable"}, "list of skorch's callbacks"),
    "callbacks that are none": ({"callbacks": [3]}, "list of skorch's callbacks"),
    "a callback of our name": ({"callbacks": [("validation", Callback())]}, "'validation'.*Choose another"),
    "two of one name": ({"callbacks": [("a", Callback()), ("a", Callback())]}, "'a'.*Choose another"),
    "without averaging": ({"callbacks__averaging": None}, "needs the callback 'averaging'"),
    "without validation": ({"callbacks__validation": None}, "needs the callback 'validation'"),
    "without loss": ({"callbacks__train_loss": None}, "needs the callback 'train_loss'"),
    "a misspelt callback": ({"callbacks__schedul": None}, "no callback 'schedul'"),
    "a schedule that is none": ({"callbacks__schedule": 3}, "None or a callback"),
    "the name of an optimizer": ({"optimizer": "Adam"}, "cannot work"),
    "no optimizer": ({"optimizer": torch.nn.Linear}, "cannot work"),
    "an unknown setting": ({"optimizer__weigth_decay": 0.1}, "weigth_decay"),
    "an optimizer of sparse weights": ({"optimizer": torch.optim.SparseAdam}, "cannot work.*sparse|dense"),
    "a wrong setting": ({"optimizer__weight_decay": -1}, "Invalid weight_decay"),
    "an unknown setting of batches": ({"iterator_train__size": 3}, "cannot work.*'size'"),
}


@pytest.mark.parametrize("name", BAD_NET_PARAMS)
def test_net_params_that_cannot_work(name):
    net_params, words = BAD_NET_PARAMS[name]
    with pytest.raises(InvalidParameterError, match=words) as caught:
        quick(net_params=net_params).fit(*shades())
    assert str(caught.value).startswith("The parameter 'net_params' of GenerativeBayesClassifier ")
    assert len(str(caught.value)) < 1000


class Failing(Callback):
    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, net, **kwargs):
        raise self.error


FAILING = {
    "a figure that there is not": [EarlyStopping()],
    "a figure without held-out images": [Checkpoint(monitor="valid_bpd_best", f_params=None)],
    "a policy that there is not": [LRScheduler("NoSuchPolicy")],
    "a function that is none": [Initializer("*", fn=3)],
    "a wrong index": [Failing(IndexError(3))],
}


@pytest.mark.parametrize("name", FAILING)
def test_callbacks_that_fail_are_told_what_there_is_to_monitor(name):
    with pytest.raises(InvalidParameterError, match=r"'net_params' .*callbacks.*valid_bpd") as caught:
        quick(net_params={"callbacks": FAILING[name]}).fit(*shades())
    assert len(str(caught.value)) < 1000


class StopError(ValueError):
    pass


@pytest.mark.parametrize("error", [StopError("now"), RuntimeError("now"), ZeroDivisionError("now")], ids=repr)
def test_what_a_callback_means_to_raise_passes(error):
    with pytest.raises(type(error), match=r"^now$") as caught:
        quick(net_params={"callbacks": [Failing(error)]}).fit(*shades())
    assert caught.value is error


def test_optimizers_may_loop_over_weights():
    for option in ("foreach", "differentiable"):
        quick(net_params={f"optimizer__{option}": option == "foreach"}, max_epochs=1).fit(*shades())


def test_an_epoch_without_a_batch_is_refused():
    net_params = {"iterator_train__drop_last": True}
    with pytest.raises(InvalidParameterError, match=r"'batch_size' .*got 100"):
        quick(net_params=net_params, batch_size=100).fit(*shades())


def test_mistakes_in_net_params_are_reported_together():
    with pytest.raises(InvalidParameterError) as caught:
        quick(net_params={"module": 1, "lr": 0, "fast": True}).fit(*shades())
    assert len(str(caught.value).splitlines()) == 4


def test_an_interruption_keeps_what_was_learned():
    X, y = shades()
    clf = quick(max_epochs=9, net_params={"callbacks": [Counter(interrupt_at=8)]})
    message = "Training was interrupted after 1 of 9 epochs; what was learned is kept."
    with pytest.warns(TrainingInterruptedWarning, match=whole(message)):
        clf.fit(X, y)
    assert clf.n_iter_ == 1
    assert np.isfinite(clf.predict_proba(X)).all()


def test_a_loss_that_is_not_finite_leaves_the_last_good_weights(monkeypatch):
    X, y = shades()
    calls, forward = [], objectives.NegativeLogLikelihood.forward

    def poisoned(self, *args):
        calls.append(1)
        return forward(self, *args) * (math.nan if len(calls) == 9 else 1)

    monkeypatch.setattr(objectives.NegativeLogLikelihood, "forward", poisoned)
    clf = quick(max_epochs=9)
    with pytest.raises(NonFiniteLossError, match="in epoch 2"):
        clf.fit(X, y)
    assert clf.n_iter_ == 1
    assert np.isfinite(clf.predict_joint_log_proba(X)).all()
    pickle.loads(pickle.dumps(clf))


# Another scale


BYTES = (shades(size=(4, 4))[0] * 31).astype(np.uint8)
LEARNING = {
    "partial_fit": lambda clf, X: clf.partial_fit(X, shades()[1]),
    "warm start": lambda clf, X: clf.set_params(warm_start=True).fit(X, shades()[1]),
    "X_val": lambda clf, X: clf.fit(BYTES, shades()[1], X_val=X, y_val=shades()[1]),
    "calibrate": lambda clf, X: clf.calibrate(X, shades()[1]),
}
PREDICTING = {
    "predict": lambda clf, X: clf.predict(X),
    "predict_proba": lambda clf, X: clf.predict_proba(X),
    "score": lambda clf, X: clf.score(X, shades()[1]),
    "score_samples": lambda clf, X: clf.score_samples(X),
    "bits_per_dim": lambda clf, X: clf.bits_per_dim(X, shades()[1]),
    "complete": lambda clf, X: clf.complete(X, 3),
}


@pytest.fixture(scope="module")
def of_bytes():
    return pickle.dumps(quick().fit(BYTES, shades()[1]))


@pytest.mark.parametrize("method", LEARNING)
@pytest.mark.parametrize("scale", [1 / 255, 1 / 127.5, 257.0], ids=str)
def test_nothing_is_learned_from_images_on_another_scale(method, scale, of_bytes):
    clf = pickle.loads(of_bytes)
    with pytest.raises(InvalidInputError, match="another scale"):
        LEARNING[method](clf, BYTES * scale - (scale == 1 / 127.5))
    assert clf.n_iter_ == 1


@pytest.mark.parametrize("method", PREDICTING)
def test_predictions_of_images_on_another_scale_have_a_warning(method, of_bytes):
    clf = pickle.loads(of_bytes)
    with pytest.warns(PixelScaleWarning, match="another scale") as caught:
        PREDICTING[method](clf, BYTES / 255)
    assert len(caught) == 1
    PREDICTING[method](clf, BYTES * 1.0)


# Samples


LAYOUTS = {
    "grey": ((3, 4), {}),
    "colour": ((3, 2, 3), {}),
    "two channels first": ((2, 3, 2), {"channel_axis": 1}),
    "four channels": ((1, 2, 4), {}),
    "flat square": ((9,), {}),
    "flat strip": ((5,), {}),
    "flat colour": ((12,), {"image_shape": (2, 2, 3)}),
    "one pixel": ((1, 1), {}),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64, np.bool_], ids=lambda t: t.__name__)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_look_like_the_training_images(layout, dtype):
    shape, parameters = LAYOUTS[layout]
    high = {np.uint8: 256, np.bool_: 2}.get(dtype, 7)
    X = np.random.RandomState(0).randint(high, size=(12, *shape)).astype(dtype)
    X.flat[:2] = 0, high - 1
    if dtype is np.float32:
        X /= 6
    clf = quick(**parameters).fit(X, np.arange(12) % 2)
    drawn, labels = clf.sample(3, random_state=0)
    assert drawn.shape == (3, *shape)
    assert drawn.dtype == X.dtype
    assert labels.shape == (3,)
    assert drawn.min() >= X.min()
    assert drawn.max() <= (255 if dtype is np.uint8 else X.max())
    assert np.isfinite(clf.predict_joint_log_proba(drawn)).all()


def test_classes_of_samples(fitted):
    drawn, labels = fitted.sample(4, y="bee", random_state=0)
    assert labels.tolist() == ["bee"] * 4
    assert drawn.shape == (4, 3, 3)
    wanted = ["cat", "ant", "cat"]
    drawn, labels = fitted.sample(y=wanted, random_state=0)
    assert labels.tolist() == wanted
    _, labels = fitted.sample(200, random_state=0)
    assert set(labels) == set(NAMES)


def test_samples_are_recognised(fitted):
    drawn, labels = fitted.sample(60, random_state=0)
    assert fitted.score(drawn, labels) > 0.8


def test_the_seed_decides_what_is_drawn(fitted):
    first, labels = fitted.sample(5, random_state=3)
    again, labels_again = fitted.sample(5, random_state=3)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert (fitted.sample(5, y=labels, random_state=4)[0] != first).any()
    more, _ = fitted.sample(y=np.tile(labels, 2), random_state=3)
    np.testing.assert_array_equal(fitted.sample(y=labels, random_state=3)[0], more[:5])


def test_the_first_samples_are_the_same_when_more_are_drawn(fitted):
    few, few_labels = fitted.sample(5, random_state=0)
    many, many_labels = fitted.sample(20, random_state=0)
    np.testing.assert_array_equal(few_labels, many_labels[:5])
    np.testing.assert_array_equal(few, many[:5])


# Bad input


BAD_PARAMETERS = {
    "n_layers": (0, "an int of at least 1"),
    "n_filters": (2.0, "an int of at least 1"),
    "n_mixtures": (True, "an int of at least 1"),
    "dropout": (1.0, "a number from 0 to below 1"),
    "flip": (1, "True or False"),
    "shift": (-1, "an int of at least 0"),
    "image_shape": ((3,), "None or a tuple of 2 or 3 ints of at least 1"),
    "channel_axis": (0, "-1 or 1"),
    "pixel_range": ((3, 3), "'auto' or a tuple (low, high) with low < high, from -1e300 to 1e300"),
    "n_levels": (257, "'auto' or an int from 2 to 256"),
    "temperature": (1e-101, "'auto' or a number from 1e-100 to 1e100"),
    "early_exit": (0, "None or a number above 0, in nats"),
    "max_epochs": (0, "an int of at least 1"),
    "batch_size": (-1, "an int of at least 1"),
    "lr": (0, "a number above 0"),
    "ema_decay": (1, "a number from 0 to below 1"),
    "gradient_clip": (-1.0, "None or a number above 0"),
    "discriminative_weight": (-0.1, "a number of at least 0"),
    "discriminative_temperature": (0, "a number from 1e-6 to 1e6"),
    "n_contrasted": (1, "None or an int of at least 2"),
    "early_stopping": ("loss", "True or False or 'bits_per_dim' or 'log_loss' or 'accuracy'"),
    "validation_fraction": (0, "a number above 0 and below 1"),
    "n_iter_no_change": ("5", "an int of at least 1"),
    "net_params": ([], "None or a dict"),
    "random_state": (-1, "None or an int from 0 to 2**32 - 1 or a numpy.random.RandomState"),
    "verbose": (-1, "True or False or an int of at least 0"),
    "warm_start": (1, "True or False"),
}
ALSO_BAD = [
    ("lr", math.inf),
    ("lr", math.nan),
    ("lr", "fast"),
    ("discriminative_weight", math.inf),
    ("discriminative_weight", None),
    ("discriminative_temperature", math.inf),
    ("discriminative_temperature", 5e-324),
    ("random_state", 2**32),
    ("random_state", 1.5),
    ("random_state", "seed"),
    ("pixel_range", (0, 1e308)),
    ("shift", 1.5),
    ("shift", True),
    ("dropout", -0.1),
    ("dropout", None),
    ("image_shape", "3x3"),
    ("image_shape", (3, 0)),
    ("image_shape", (3, 3.0)),
    ("pixel_range", "all"),
    ("pixel_range", (0, 1, 2)),
    ("pixel_range", (0, math.nan)),
    ("n_levels", 1),
    ("n_levels", "many"),
    ("n_levels", None),
    ("temperature", "hot"),
    ("temperature", math.inf),
    ("temperature", None),
]


@pytest.mark.parametrize("name", BAD_PARAMETERS)
def test_a_parameter_of_wrong_type_or_range(name):
    value, rule = BAD_PARAMETERS[name]
    message = f"The parameter {name!r} of GenerativeBayesClassifier must be {rule}, got {value!r}."
    with pytest.raises(InvalidParameterError, match=whole(message)):
        quick(**{name: value}).fit(*shades())


@pytest.mark.parametrize(("name", "value"), ALSO_BAD)
def test_more_of_wrong_type_or_range(name, value):
    rule = BAD_PARAMETERS[name][1]
    message = f"The parameter {name!r} of GenerativeBayesClassifier must be {rule}, got {value!r}."
    with pytest.raises(InvalidParameterError, match=whole(message)) as caught:
        quick(**{name: value}).fit(*shades())
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)


def test_all_parameters_of_wrong_type_or_range_are_reported_together():
    lines = "\n".join(
        f"- {name!r} of GenerativeBayesClassifier must be {rule}, got {value!r}."
        for name, (value, rule) in BAD_PARAMETERS.items()
    )
    message = f"{len(BAD_PARAMETERS)} parameters do not fit:\n{lines}"
    clf = quick(**{name: value for name, (value, _) in BAD_PARAMETERS.items()})
    for fit in (clf.fit, lambda *data: clf.partial_fit(*data, classes=[0, 1, 2])):
        with pytest.raises(InvalidParameterError, match=whole(message)):
            fit(*shades())


@pytest.mark.parametrize("name", ["lr", "temperature", "gradient_clip", "discriminative_weight"])
def test_numbers_beyond_those_of_float64(name):
    with pytest.raises(InvalidParameterError, match=f"{name!r} of GenerativeBayesClassifier must be"):
        quick(**{name: 10**400}).fit(*shades())


@pytest.mark.parametrize("pixel_range", [(0, math.inf), (-math.inf, 8), (0, 10**400)], ids=["+", "-", "long"])
def test_a_range_that_is_not_finite(pixel_range):
    with pytest.raises(InvalidParameterError, match="'pixel_range' of GenerativeBayesClassifier must be"):
        quick(pixel_range=pixel_range).fit(*shades())


def test_an_unknown_conditioner_lists_the_known_ones():
    known = ", ".join(list_conditioners())
    message = f"There is no conditioner 'mildd'; known are {known}. Did you mean 'mild'?"
    with pytest.raises(ConditionerError, match=whole(message)):
        quick(conditioner="mildd").fit(*shades())


def test_something_that_is_no_conditioner():
    with pytest.raises(ConditionerError, match=r"conditioner must be .* gencls\.Conditioner .*, got 3"):
        quick(conditioner=3).fit(*shades())


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 99], ids=str)
def test_a_device_that_is_not_there(device):
    start = (
        "The parameter 'device' of GenerativeBayesClassifier must be 'auto' or a device that is there, got "
        f"{str(device)!r} ("
    )
    end = "). Use device='auto' or 'cpu'."
    with pytest.raises(InvalidParameterError, match=f"^{re.escape(start)}.+{re.escape(end)}$"):
        quick(device=device).fit(*shades())


@pytest.mark.parametrize("device", [None, "meta"])
def test_what_is_no_device_to_compute_on(device):
    with pytest.raises(
        InvalidParameterError, match="'device' of GenerativeBayesClassifier must be 'auto' or a"
    ):
        quick(device=device).fit(*shades())


def test_parameters_conditioner_and_device_are_reported_together():
    with pytest.raises(InvalidParameterError) as caught:
        quick(lr=-1, conditioner="mildd", device="gpu").fit(*shades())
    lines = str(caught.value).splitlines()
    assert lines[0] == "The parameter 'lr' of GenerativeBayesClassifier must be a number above 0, got -1."
    assert lines[1].startswith("There is no conditioner 'mildd'; known are ")
    assert lines[2].startswith(
        "The parameter 'device' of GenerativeBayesClassifier must be 'auto' or a device"
    )


PRIORS = "The parameter 'priors' of GenerativeBayesClassifier must "
SHARES = "Give shares, such as counts divided by their sum."


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ([0.5, 0.5], "have a number for each of the 3 classes, got an array of shape (2,)."),
        ("equal", "have a number for each of the 3 classes, got 'equal'."),
        ([0.5, 0.3, 0.1], "be non-negative and sum to 1, got [0.5, 0.3, 0.1], which sums to 0.9. " + SHARES),
        ([1.5, -0.5, 0], "be non-negative and sum to 1, got [1.5, -0.5, 0.0], which sums to 1. " + SHARES),
    ],
    ids=str,
)
def test_priors_that_do_not_fit(priors, message):
    with pytest.raises(InvalidParameterError, match=whole(PRIORS + message)):
        quick(priors=priors).fit(*shades())


def reshaped(*shape):
    return np.resize(shades()[0], shape)


def missing(value):
    X = shades()[0].astype(float)
    X[3, 1, 1] = value
    return X


OUR_ERRORS = {
    "X of five dimensions": (
        {"X": reshaped(36, 3, 3, 1, 1)},
        "X must have 2 dimensions (flat rows), 3 (grey images) or 4 (images with channels), got 5: the shape "
        "(36, 3, 3, 1, 1).",
    ),
    "five channels": (
        {"X": reshaped(36, 3, 3, 5)},
        "Images must have 1 to 4 channels, got 5 in images of shape (3, 3, 5) with channel_axis=-1. Use "
        "channel_axis=1 if the channels come first.",
    ),
    "one class": ({"y": np.zeros(36)}, "y must have at least 2 classes, got 1 class: 0.0."),
    "X_val without y_val": (
        {"X_val": reshaped(2, 3, 3)},
        "X_val and y_val must be given together, got one of them.",
    ),
    "X_val of another shape": (
        {"X_val": reshaped(2, 3, 4), "y_val": [0, 1]},
        "X_val and y_val do not fit: X must have images of shape (3, 3) as in fit, or flat rows of 9 "
        "features, got (3, 4).",
    ),
    "y_val of another length": (
        {"X_val": reshaped(2, 3, 3), "y_val": [0, 1, 2]},
        "X_val and y_val do not fit: y must have the shape (2,), a class for each image, got (3,).",
    ),
    "y_val of other classes": (
        {"X_val": reshaped(2, 3, 3), "y_val": [0, 7]},
        "X_val and y_val do not fit: y must have classes that fit saw (0, 1, 2), got also 7.",
    ),
    "weights of another length": (
        {"sample_weight": [1, 2]},
        "sample_weight must have the shape (36,), one a sample, got (2,).",
    ),
    "weights for one class": (
        {"sample_weight": (np.arange(36) % 3 == 1).astype(float)},
        "y must have at least 2 classes, got 1 class: 1.",
    ),
}


@pytest.mark.parametrize("name", OUR_ERRORS)
def test_bad_data(name):
    data, message = OUR_ERRORS[name]
    with pytest.raises(InvalidInputError, match=whole(message)):
        quick().fit(**(dict(zip("Xy", shades(), strict=True)) | data))


@pytest.mark.parametrize(
    ("X", "image_shape", "message"),
    [
        (
            reshaped(36, 3, 4),
            (4, 3),
            "X has images of shape (3, 4), but image_shape=(4, 3). Leave image_shape out, or reshape X.",
        ),
        (
            reshaped(36, 10),
            (3, 3),
            "X has 10 features, but image_shape=(3, 3) needs 9. Give the image_shape that the rows of X "
            "have.",
        ),
    ],
)
def test_an_image_shape_that_does_not_match(X, image_shape, message):
    with pytest.raises(InvalidInputError, match=whole(message)):
        quick(image_shape=image_shape).fit(X, shades()[1])


# These are scikit-learn's own words in our exception, and what follows them differs between its versions.
THEIR_ERRORS = {
    "X with NaN": ({"X": missing(math.nan)}, "Input X contains NaN."),
    "X with infinity": (
        {"X": missing(math.inf)},
        "Input X contains infinity or a value too large for dtype('float64').",
    ),
    "no samples": (
        {"X": np.zeros((0, 3, 3)), "y": []},
        "Found array with 0 sample(s) (shape=(0, 9)) while a minimum of 1 is required by "
        "GenerativeBayesClassifier.",
    ),
    "no pixels": (
        {"X": np.zeros((36, 0, 3))},
        "Found array with 0 feature(s) (shape=(36, 0)) while a minimum of 1 is required by "
        "GenerativeBayesClassifier.",
    ),
    "X of complex numbers": ({"X": reshaped(36, 9) + 1j}, "Complex data not supported"),
    "no y": (
        {"y": None},
        "This GenerativeBayesClassifier estimator requires y to be passed, but the target y is None.",
    ),
    "y of another length": (
        {"y": [0, 1, 2]},
        "Found input variables with inconsistent numbers of samples: [36, 3]",
    ),
    "y of numbers": ({"y": np.linspace(0, 1, 36)}, "Unknown label type: continuous."),
    "y of two columns": (
        {"y": np.zeros((36, 2))},
        "y should be a 1d array, got an array of shape (36, 2) instead.",
    ),
}


@pytest.mark.parametrize("name", THEIR_ERRORS)
def test_bad_data_that_scikit_learn_refuses(name):
    data, message = THEIR_ERRORS[name]
    with pytest.raises(InvalidInputError, match=f"^{re.escape(message)}"):
        quick().fit(**(dict(zip("Xy", shades(), strict=True)) | data))


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


NOT_FITTED = (
    "This GenerativeBayesClassifier instance is not fitted yet. Call 'fit' with appropriate arguments before "
    "using this estimator."
)
METHODS = {
    "predict": lambda clf, X: clf.predict(X),
    "predict_proba": lambda clf, X: clf.predict_proba(X),
    "predict_log_proba": lambda clf, X: clf.predict_log_proba(X),
    "predict_joint_log_proba": lambda clf, X: clf.predict_joint_log_proba(X),
    "score": lambda clf, X: clf.score(X, np.zeros(len(X))),
    "score_samples": lambda clf, X: clf.score_samples(X),
    "log_likelihood": lambda clf, X: clf.log_likelihood(X, np.zeros(len(X))),
    "bits_per_dim": lambda clf, X: clf.bits_per_dim(X),
    "sample": lambda clf, X: clf.sample(),
    "complete": lambda clf, X: clf.complete(X, 1),
    "calibrate": lambda clf, X: clf.calibrate(X, np.zeros(len(X))),
    "resize": lambda clf, X: clf.resize(4),
}


@pytest.mark.parametrize("method", METHODS)
def test_nothing_works_before_fit(method):
    with pytest.raises(NotFittedError, match=whole(NOT_FITTED)):
        METHODS[method](quick(), shades()[0])


@pytest.mark.parametrize("method", METHODS)
def test_a_failed_first_fit_is_no_fit(method):
    clf = quick()
    with pytest.raises(InvalidInputError):
        clf.fit(*shades(), X_val=shades()[0])
    with pytest.raises(NotFittedError, match=whole(NOT_FITTED)):
        METHODS[method](clf, shades()[0])


@pytest.mark.parametrize("attribute", ["image_shape_", "conditioner_", "history_", "n_iter_", "classes_"])
def test_nothing_is_known_before_fit(attribute):
    assert not hasattr(quick(), attribute)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"sample", "resize"}))
def test_images_of_another_shape_than_in_fit(method, fitted):
    message = "X must have images of shape (3, 3) as in fit, or flat rows of 9 features, got (3, 4)."
    with pytest.raises(InvalidInputError, match=whole(message)):
        METHODS[method](fitted, reshaped(5, 3, 4))
    message = "X has 10 features, but GenerativeBayesClassifier is expecting 9 features as input"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        METHODS[method](fitted, reshaped(5, 10))
    with pytest.raises(ValueError, match=r"^Input X contains NaN\."):
        METHODS[method](fitted, missing(math.nan))
    with pytest.raises(ValueError, match=r"^Found array with 0 sample\(s\) \(shape=\(0, 9\)\)"):
        METHODS[method](fitted, np.zeros((0, 3, 3)))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["ant", "dog"], "y must have classes that fit saw ('ant', 'bee', 'cat'), got also 'dog'."),
        ([0, 1], "y must have classes that fit saw ('ant', 'bee', 'cat'), got also 0, 1."),
        (["ant"], "y must have the shape (2,), a class for each image, got (1,)."),
        ([["ant", "bee"]], "y must have the shape (2,), a class for each image, got (1, 2)."),
    ],
    ids=str,
)
def test_classes_that_fit_did_not_see(y, message, fitted):
    for method in (fitted.log_likelihood, fitted.bits_per_dim):
        with pytest.raises(InvalidInputError, match=whole(message)):
            method(shades()[0][:2], y)


def test_missing_classes_after_fit(fitted):
    with pytest.raises(InvalidInputError, match=r"^y .*missing"):
        fitted.log_likelihood(shades()[0][:2], [None, None])


@pytest.mark.parametrize("n_samples", [0, -1, 2.0, True, "3", None], ids=repr)
def test_a_number_of_samples_that_is_none(n_samples, fitted):
    message = f"The parameter 'n_samples' of sample must be an int from 1 to 1000000000, got {n_samples!r}."
    with pytest.raises(InvalidParameterError, match=whole(message)):
        fitted.sample(n_samples)


@pytest.mark.parametrize(("y", "shown"), [("dog", "'dog'"), (["ant", "dog"], "'dog'"), (3, "3")])
def test_samples_of_a_class_that_is_none(y, shown, fitted):
    message = f"y must have classes that fit saw ('ant', 'bee', 'cat'), got also {shown}."
    with pytest.raises(InvalidInputError, match=whole(message)):
        fitted.sample(2, y=y)


def test_many_unknown_classes_are_not_all_listed(fitted):
    X = np.resize(shades()[0], (12, 3, 3))
    listed = ", ".join(f"'u{i:02}'" for i in range(10))
    message = f"y must have classes that fit saw ('ant', 'bee', 'cat'), got also {listed}, …."
    with pytest.raises(InvalidInputError, match=whole(message)):
        fitted.log_likelihood(X, [f"u{i:02}" for i in range(12)])


def test_the_first_partial_fit_needs_the_classes():
    X, y = shades()
    message = "classes must be given in the first call of partial_fit: all classes there will be."
    with pytest.raises(InvalidInputError, match=whole(message)):
        quick().partial_fit(X, y)
    message = "y must have classes that fit saw (0, 1), got also 2."
    with pytest.raises(InvalidInputError, match=whole(message)):
        quick().partial_fit(X, y, classes=[0, 1])
    message = "y must have at least 2 classes, got 1 class: 0."
    with pytest.raises(InvalidInputError, match=whole(message)):
        quick().partial_fit(X, y, classes=[0])


def test_later_partial_fits_need_the_same_classes():
    X, y = shades()
    clf = quick().partial_fit(X, y, classes=[0, 1, 2])
    clf.partial_fit(X, y, classes=[2, 1, 0])
    with pytest.raises(InvalidInputError, match="classes"):
        clf.partial_fit(X, y, classes=[0, 1, 2, 3])


def test_training_goes_on_with_another_dropout():
    X, y = shades()
    clf = quick(dropout=0.5, warm_start=True).fit(X, y)
    draws = torch.get_rng_state()
    same, other = (deepcopy(clf).set_params(dropout=dropout).fit(X, y) for dropout in (0.5, 0.0))
    assert {block.dropout for block in other.net_.module_.modules() if hasattr(block, "dropout")} == {0.0}
    assert not np.array_equal(same.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    assert torch.equal(torch.get_rng_state(), draws)


def test_going_on_with_another_network_is_refused():
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    before = clf.predict_joint_log_proba(X)
    clf.set_params(n_filters=5, conditioner="strong")
    message = (
        "Training can only go on with the network that there is, but parameters have changed: conditioner "
        "was Mild() and is Strong(); n_filters was 4 and is 5. Set them back, or fit anew with "
        "warm_start=False."
    )
    for go_on in (clf.fit, clf.partial_fit):
        with pytest.raises(InvalidParameterError, match=whole(message)):
            go_on(X, y)
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), before)


def test_a_warm_start_needs_the_classes_of_before():
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    message = "y must have classes that fit saw (0, 1, 2), got also 3."
    with pytest.raises(InvalidInputError, match=whole(message)):
        clf.fit(X, y + 1)


def test_a_warm_start_needs_images_of_all_classes_or_priors():
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    message = (
        "y must have all classes of the fit before, as warm_start=True, but has none of [2]. Their "
        "frequencies would be 0: give priors, or images of all classes."
    )
    with pytest.raises(InvalidInputError, match=whole(message)):
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
def test_going_on_with_other_images_is_refused(parameter, value, message):
    X, y = shades()
    clf = quick(warm_start=True).fit(X, y)
    clf.set_params(pixel_range=[0, 8], n_levels=9, image_shape=[3, 3]).fit(X, y)
    with pytest.raises(InvalidParameterError, match=re.escape(message)):
        clf.set_params(**{parameter: value}).fit(X, y)


@pytest.mark.parametrize("method", ["log_likelihood", "bits_per_dim", "calibrate"])
def test_classes_are_checked_before_anything_is_scored(method, fitted, unseen, monkeypatch):
    monkeypatch.setattr(estimator, "class_log_likelihoods", None)
    with pytest.raises(InvalidInputError, match="got also 'dog'"):
        getattr(fitted, method)(unseen[0][:2], ["ant", "dog"])


def test_values_outside_the_range_of_fit_are_clipped_with_a_warning(fitted):
    X = shades()[0][:2] * 1.0
    clipped = X.copy()
    X[0, 0, 0], X[1, 2, 2] = -5, 99
    clipped[0, 0, 0], clipped[1, 2, 2] = 0, 8
    message = (
        "2 of 18 values of X lie outside the range from 0 to 8 that was fitted, and were clipped to it. Give "
        "pixel_range to fit a wider one."
    )
    with pytest.warns(PixelClippingWarning, match=whole(message)) as caught:
        found = fitted.predict_joint_log_proba(X)
    assert len(caught) == 1
    np.testing.assert_array_equal(found, fitted.predict_joint_log_proba(clipped))


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


def test_what_is_no_image_is_sent_to_the_reader(fitted):
    X, y = shades()
    for call in (fitted.predict, lambda X: quick().fit(X, y), lambda X: fitted.complete(X, 1)):
        with pytest.raises(InvalidInputError, match="ReadImages"):
            call(["a.png"] * 36)
    with pytest.raises(InvalidInputError, match="ReadImages"):
        quick().fit([np.zeros((4, 5)), np.zeros((5, 4))], [0, 1])
    with pytest.raises(InvalidInputError, match="pair"):
        quick().fit(list(zip(X, y, strict=True)), y)


def test_a_single_image_is_to_be_put_into_a_list(fitted):
    with pytest.raises(InvalidInputError, match=re.escape("[X]")):
        fitted.predict(np.zeros((3, 3)))
    X, y = shades(size=(4, 12))
    X = X.reshape(36, 4, 4, 3)
    with pytest.raises(InvalidInputError, match=re.escape("[X]")):
        quick().fit(X, y).predict(X[0])


@pytest.mark.parametrize("labels", ["numbers", "words and numbers", "missing"])
def test_labels_of_another_kind_are_no_errors_of_others(labels, fitted):
    X, y = shades()
    given = {"numbers": y, "words and numbers": ["ant", 1] * 18, "missing": ["ant", None] * 18}[labels]
    for method in (fitted.score, fitted.log_likelihood, fitted.bits_per_dim, fitted.calibrate):
        with pytest.raises(InvalidInputError):
            method(X, given)
    if labels != "numbers":
        with pytest.raises(InvalidInputError, match=r"^y must"):
            quick().fit(X, given)


@pytest.mark.parametrize("random_state", [-1, 2**32, "seed", 1.5, np.random.default_rng(0)], ids=str)
def test_a_seed_that_is_none(random_state, fitted):
    for method in (fitted.sample, lambda random_state: fitted.complete(shades()[0], 1, None, random_state)):
        with pytest.raises(InvalidParameterError, match="'random_state' of"):
            method(random_state=random_state)


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
        with pytest.raises(InvalidInputError, match="same index in another order"):
            call()


# pandas


def test_feature_names_are_kept_and_compared():
    X, y = shades()
    frame = pd.DataFrame(X.reshape(36, 9), columns=[f"p{i}" for i in range(9)])
    clf = quick().fit(frame, pd.Series(y))
    assert clf.feature_names_in_.tolist() == list(frame.columns)
    expected = quick().fit(X.reshape(36, 9), y).predict_joint_log_proba(X)
    np.testing.assert_array_equal(clf.predict_joint_log_proba(frame), expected)
    with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
        clf.predict(frame.rename(columns={"p0": "q0"}))
    clf.fit(X, y)
    assert not hasattr(clf, "feature_names_in_")


def test_parameters_may_be_scalars_of_numpy(tmp_path):
    """As a grid over arrays gives them; and a model file is written all the same."""
    X = np.arange(64, dtype=np.uint8).reshape(16, 2, 2)
    params = {
        "conditioner": np.str_("mild"),
        "n_filters": np.int64(2),
        "n_mixtures": np.int16(1),
        "flip": np.True_,
        "shift": np.uint8(1),
        "channel_axis": np.int64(-1),
        "n_levels": np.int64(256),
        "temperature": np.float32(2),
        "max_epochs": np.int8(1),
        "batch_size": np.uint8(3),
        "lr": np.float32(0.01),
        "early_stopping": np.False_,
        "precision": np.str_("float32"),
        "device": np.str_("cpu"),
        "verbose": np.False_,
    }
    clf = GenerativeBayesClassifier(**params).fit(X, np.arange(16) % 2)
    clf.save(tmp_path / "model")
    again = GenerativeBayesClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    stopping = clf.set_params(early_stopping=np.True_, validation_fraction=0.25).fit(X, np.arange(16) % 2)
    assert "valid_bpd" in stopping.history_[0]
