"""Several classifiers that decide together: scikit-learn's ensembles, and the mean of joints."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from small import PLAIN

from gencls import GenerativeBayesClassifier, InvalidInputError, InvalidParameterError, MeanJointClassifier
from gencls.bayes import fit_temperature, log_posterior


def colours(n=24, seed=0):
    """Colour images of 2×3 pixels; each class has a shade, with noise."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % 2
    X = (100 * y[:, None, None, None] + rng.randint(100, size=(n, 2, 3, 3))).astype(np.uint8)
    return X, np.array(["dark", "light"])[y]


def member(seed=None, **params):
    options: dict[str, Any] = {
        "n_filters": 4,
        "n_mixtures": 1,
        "max_epochs": 2,
        "lr": 0.01,
        "batch_size": 8,
        "device": "cpu",
    }
    return GenerativeBayesClassifier(**(PLAIN | options | {"random_state": seed} | params))


def test_a_soft_vote_is_the_mean_of_the_posteriors():
    X, y = colours()
    vote = VotingClassifier([("a", member(0)), ("b", member(1, conditioner="film"))], voting="soft").fit(X, y)
    found = [clf.predict_proba(X) for clf in vote.estimators_]
    assert (found[0] != found[1]).any()
    np.testing.assert_allclose(vote.predict_proba(X), np.mean(found, axis=0))
    expected = np.array(["dark", "light"])[np.mean(found, axis=0).argmax(axis=1)]
    np.testing.assert_array_equal(vote.predict(X), expected)


def test_members_of_a_vote_may_be_trained_already():
    X, y = colours()
    members = [member(seed).fit(X, y) for seed in range(2)]
    frozen = [(f"{i}", FrozenEstimator(clf)) for i, clf in enumerate(members)]
    vote = VotingClassifier(frozen, voting="soft").fit(X, y)
    expected = np.mean([clf.predict_proba(X) for clf in members], axis=0)
    np.testing.assert_allclose(vote.predict_proba(X), expected)


def test_bagging_draws_images_and_is_reproducible_in_other_processes():
    X, y = colours()
    flat = X.reshape(len(X), -1)
    bagging = BaggingClassifier(
        member(image_shape=(2, 3, 3)), n_estimators=2, max_samples=0.7, random_state=0
    )
    one, other = (clone(bagging).set_params(n_jobs=n_jobs).fit(flat, y) for n_jobs in (None, 2))
    np.testing.assert_array_equal(one.predict_proba(flat), other.predict_proba(flat))
    expected = np.mean([clf.predict_proba(flat) for clf in one.estimators_], axis=0)
    np.testing.assert_allclose(one.predict_proba(flat), expected)
    assert [clf.image_shape_ for clf in one.estimators_] == [(2, 3, 3)] * 2
    first, second = (clf.predict_proba(flat) for clf in one.estimators_)
    assert (first != second).any()


# The mean of joints


def to_rows(X):
    return X.reshape(len(X), -1)


def darker(X):
    return X // 2


@pytest.fixture(scope="module")
def members():
    """Different seeds, conditioners, resolutions and views."""
    X, y = colours()
    return [
        member(0).fit(X, y),
        member(1, conditioner="late").fit(X, y),
        member(2, resolution=2).fit(X, y),
        member(3, views="flips").fit(X, y),
    ]


@pytest.fixture(scope="module")
def mean(members):
    return MeanJointClassifier.from_fitted(members)


def joint_of(members, X):
    """By hand; that of views is their mean."""
    tables = [each.predict_joint_log_proba(X) for each in members[:3]]
    views = [members[3].predict_joint_log_proba(view) for view in (X, X[:, :, ::-1])]
    return np.mean([*tables, np.mean(views, axis=0)], axis=0)


def test_joints_are_averaged_in_logarithms(mean, members):
    X, y = colours(30, seed=1)
    table = joint_of(members, X)
    np.testing.assert_allclose(mean.predict_joint_log_proba(X), table, rtol=1e-9)
    np.testing.assert_allclose(mean.predict_log_proba(X), log_posterior(table), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(mean.predict_proba(X).sum(1), 1)
    np.testing.assert_array_equal(mean.predict(X), mean.classes_[table.argmax(1)])
    assert mean.score(X, y) == (mean.predict(X) == y).mean()
    weights = np.arange(30.0)
    assert mean.score(X, y, weights) == pytest.approx(np.average(mean.predict(X) == y, weights=weights))


def test_fitted_members_are_taken_as_they_are(mean, members):
    assert mean.members_ == members
    assert all(one is other for one, other in zip(mean.members_, members, strict=True))
    assert mean.classes_.tolist() == ["dark", "light"]
    assert mean.n_features_in_ == 2
    assert mean.temperature_ == 1


def test_one_member_decides_as_it_does_by_itself(members):
    X, _ = colours(30, seed=1)
    for each in members:
        alone = MeanJointClassifier.from_fitted([each])
        np.testing.assert_allclose(alone.predict_proba(X), each.predict_proba(X), rtol=1e-9)


def test_fitting_fits_clones():
    X, y = colours()
    unfitted = [member(0), member(1)]
    mean = MeanJointClassifier(unfitted).fit(X, y)
    assert not any(hasattr(each, "classes_") for each in unfitted)
    expected = MeanJointClassifier.from_fitted([each.fit(X, y) for each in map(clone, unfitted)])
    np.testing.assert_array_equal(mean.predict_joint_log_proba(X), expected.predict_joint_log_proba(X))
    weighted = clone(mean).fit(X, y, sample_weight=np.r_[np.zeros(4), np.ones(20)])
    assert weighted.members_[0].class_count_.tolist() == [10, 10]


def test_it_is_a_classifier_that_is_cloned_pickled_and_fitted_again(mean):
    X, y = colours()
    assert is_classifier(mean)
    again = pickle.loads(pickle.dumps(mean))
    np.testing.assert_array_equal(again.predict_proba(X), mean.predict_proba(X))
    fresh = clone(mean)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    np.testing.assert_array_equal(fresh.fit(X, y).predict_joint_log_proba(X), mean.predict_joint_log_proba(X))


def test_the_temperature_is_learned_by_the_mean(mean):
    X, y = colours(40, seed=2)
    y = np.r_[y[:6][::-1], y[6:]]  # such that not all are right
    clf = MeanJointClassifier.from_fitted(mean.members_)
    before = clf.predict(X), clf.predict_joint_log_proba(X)
    assert clf.calibrate(X, y) is clf
    assert clf.temperature_ == fit_temperature(before[1], np.searchsorted(clf.classes_, y)) != 1
    np.testing.assert_array_equal(clf.predict(X), before[0])
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), before[1])
    np.testing.assert_allclose(clf.predict_log_proba(X), log_posterior(before[1], clf.temperature_))
    assert log_loss(y, clf.predict_proba(X)) <= log_loss(y, mean.predict_proba(X))
    assert [each.temperature_ for each in mean.members_] == [1] * 4


def test_members_may_be_pipelines():
    X, y = colours()
    rows = make_pipeline(FunctionTransformer(to_rows), member(0, image_shape=(2, 3, 3)))
    nested = make_pipeline(FunctionTransformer(darker), make_pipeline(member(1, views="flips")))
    mean = MeanJointClassifier([rows, nested, make_pipeline(member(2))]).fit(X, y)
    fitted = mean.members_
    half = X // 2
    views = [fitted[1][-1][-1].predict_joint_log_proba(view) for view in (half, half[:, :, ::-1])]
    tables = [
        fitted[0][-1].predict_joint_log_proba(X.reshape(24, -1)),
        np.mean(views, axis=0),
        fitted[2][-1].predict_joint_log_proba(X),
    ]
    np.testing.assert_allclose(mean.predict_joint_log_proba(X), np.mean(tables, axis=0), rtol=1e-9)
    assert cross_val_score(clone(mean), X, y, cv=2).shape == (2,)


def test_members_are_an_axis_of_a_search():
    X, y = colours()
    grid = {"members": [[member(0)], [member(0), member(1)]]}
    search = GridSearchCV(MeanJointClassifier([]), grid, cv=2, error_score="raise", scoring="neg_log_loss")
    search.fit(X, y)
    assert len(search.best_estimator_.members_) == len(search.best_params_["members"])
    assert len(set(search.cv_results_["mean_test_score"])) == 2


def test_in_a_pipeline():
    X, y = colours()
    clf = make_pipeline(FunctionTransformer(darker), MeanJointClassifier([member(0), member(1)])).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), clf[-1].predict_proba(X // 2))


def test_an_ensemble_may_be_a_member(mean, members):
    X, _ = colours()
    twice = MeanJointClassifier.from_fitted([mean, members[0]])
    expected = (joint_of(members, X) + members[0].predict_joint_log_proba(X)) / 2
    np.testing.assert_allclose(twice.predict_joint_log_proba(X), expected, rtol=1e-9)


@pytest.mark.parametrize("classes", [["dark", "grey"], [0, 1], ["dark", "light", "red"]], ids=str)
def test_members_of_different_classes_are_refused(classes, members):
    X, _ = colours()
    other = member(0).fit(X, np.resize(classes, 24))
    with pytest.raises(InvalidParameterError, match=r"'members' of MeanJointClassifier .*same classes"):
        MeanJointClassifier.from_fitted([members[0], other])


def test_members_that_are_not_fitted_are_refused(members):
    with pytest.raises(NotFittedError):
        MeanJointClassifier.from_fitted([members[0], member(0)])
    with pytest.raises(InvalidParameterError, match="'members' of MeanJointClassifier"):
        MeanJointClassifier.from_fitted([])


def test_what_members_refuse_is_refused(mean):
    X, _ = colours()
    with pytest.raises(InvalidInputError):
        mean.predict(X[:, :1])
    with pytest.raises(InvalidInputError, match="'dog'"):
        mean.calibrate(X[:2], ["dark", "dog"])
    with pytest.raises(InvalidInputError, match=r"^y "):
        mean.score(X, np.zeros(24))


def test_it_has_no_density(mean):
    assert not hasattr(mean, "score_samples")
    assert not hasattr(mean, "sample")
