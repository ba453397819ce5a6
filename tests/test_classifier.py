"""The public methods of the classifier, and what scikit-learn asks of an estimator."""

from __future__ import annotations

import math
import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp, softmax
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import _num_features
from skorch.helper import SliceDataset
from small import NAMES, missing, quick, reshaped, same_predictions, shades, trained, unseen_images
from torch.utils.data import TensorDataset

from gencls import (
    GenerativeBayesClassifier,
    ImageFileError,
    InvalidInputError,
    InvalidParameterError,
    PixelClippingWarning,
    PixelScaleWarning,
    neg_bits_per_dim_scorer,
)
from gencls.inference.scoring import Scorer


@pytest.fixture
def fitted():
    return trained()


@pytest.fixture
def unseen():
    return unseen_images()


# The checks of scikit-learn


@pytest.mark.filterwarnings("ignore::gencls.TrainingDivergedWarning")  # on a few points of the plane
@parametrize_with_checks(
    [
        GenerativeBayesClassifier(
            n_filters=4,
            n_mixtures=1,
            dropout=0.0,
            max_epochs=2,  # one of each objective
            batch_size=16,
            lr=0.01,
            net_params={"gradient_clip": 1.0},
            random_state=0,
        )
    ]
)
def test_the_checks_of_scikit_learn(estimator, check):
    if check.func.__name__ == "check_classifiers_train":  # which demands an accuracy
        estimator = clone(estimator).set_params(max_epochs=8)  # fewer depend on torch's version
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


# Images


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


# Attributes


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


# Scores


WRONG_SCORES = {
    "weights in another order": (
        {"sample_weight": pd.Series(1.0, index=range(30, 0, -1))},
        "different order",
    ),
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


# Before fit


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
    "resized": lambda clf, X: clf.resized(4),
}


@pytest.mark.parametrize("method", METHODS)
def test_nothing_works_before_fit(method):
    with pytest.raises(NotFittedError, match="GenerativeBayesClassifier"):
        METHODS[method](quick(), shades()[0])


@pytest.mark.parametrize("method", METHODS)
def test_a_failed_first_fit_is_no_fit(method):
    clf = quick()
    with pytest.raises(InvalidInputError):
        clf.fit(*shades(), X_val=shades()[0])
    with pytest.raises(NotFittedError, match="GenerativeBayesClassifier"):
        METHODS[method](clf, shades()[0])


@pytest.mark.parametrize("attribute", ["image_shape_", "conditioner_", "history_", "n_iter_", "classes_"])
def test_nothing_is_known_before_fit(attribute):
    assert not hasattr(quick(), attribute)


# Wrong input


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"sample", "resized"}))
def test_images_of_another_shape_than_in_fit(method, fitted):
    with pytest.raises(InvalidInputError, match=r"^X .*\(3, 3\).* 9 .*got \(3, 4\)"):
        METHODS[method](fitted, reshaped(5, 3, 4))
    with pytest.raises(InvalidInputError, match=r"^X has 10 features, .* 9 features"):
        METHODS[method](fitted, reshaped(5, 10))
    with pytest.raises(InvalidInputError, match="X contains NaN"):
        METHODS[method](fitted, missing(math.nan))
    with pytest.raises(InvalidInputError, match="0 sample"):
        METHODS[method](fitted, np.zeros((0, 3, 3)))


def test_missing_classes_after_fit(fitted):
    with pytest.raises(InvalidInputError, match=r"^y .*missing"):
        fitted.log_likelihood(shades()[0][:2], [None, None])


@pytest.mark.parametrize("method", ["log_likelihood", "bits_per_dim", "calibrate"])
def test_classes_are_checked_before_anything_is_scored(method, fitted, unseen, monkeypatch):
    monkeypatch.setattr(Scorer, "log_likelihood", None)
    with pytest.raises(InvalidInputError, match="got also 'dog'"):
        getattr(fitted, method)(unseen[0][:2], ["ant", "dog"])


def test_values_outside_the_range_of_fit_are_clipped_with_a_warning(fitted):
    X = shades()[0][:2] * 1.0
    clipped = X.copy()
    X[0, 0, 0], X[1, 2, 2] = -5, 99
    clipped[0, 0, 0], clipped[1, 2, 2] = 0, 8
    with pytest.warns(PixelClippingWarning, match=r"^2 of 18 .*from 0 to 8.*pixel_range") as caught:
        found = fitted.predict_joint_log_proba(X)
    assert len(caught) == 1
    np.testing.assert_array_equal(found, fitted.predict_joint_log_proba(clipped))


def test_what_is_no_image_is_sent_to_the_reader(fitted):
    X, y = shades()
    for call in (fitted.predict, lambda X: fitted.complete(X, 1)):
        with pytest.raises(ImageFileError, match=r"'a\.png' cannot be read"):
            call(["a.png"] * 36)
    with pytest.raises(InvalidInputError, match="ReadImages"):
        quick().fit(["a.png"] * 36, y)
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


# Images on a different scale


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
    with pytest.raises(InvalidInputError, match="different scale"):
        LEARNING[method](clf, BYTES * scale - (scale == 1 / 127.5))
    assert clf.n_iter_ == 1


@pytest.mark.parametrize("method", PREDICTING)
def test_predictions_of_images_on_another_scale_have_a_warning(method, of_bytes):
    clf = pickle.loads(of_bytes)
    with pytest.warns(PixelScaleWarning, match="different scale") as caught:
        PREDICTING[method](clf, BYTES / 255)
    assert len(caught) == 1
    PREDICTING[method](clf, BYTES * 1.0)
