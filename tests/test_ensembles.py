"""scikit-learn's ensembles of the estimator."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator

from gencls import GenerativeBayesClassifier


def colours(n=24, seed=0):
    """Colour images of 2×3 pixels; each class has a shade, with noise."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % 2
    X = (100 * y[:, None, None, None] + rng.randint(100, size=(n, 2, 3, 3))).astype(np.uint8)
    return X, np.array(["dark", "light"])[y]


def member(seed=None, **params):
    options = {"n_filters": 4, "n_mixtures": 1, "max_epochs": 2, "lr": 0.01, "batch_size": 8, "device": "cpu"}
    return GenerativeBayesClassifier(**(options | {"random_state": seed} | params))


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
