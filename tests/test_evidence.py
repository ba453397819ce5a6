"""The table per pixel, evidence maps, and answers after each row."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest
from scipy.special import logsumexp
from small import photographs, quick

from gencls import InvalidInputError
from gencls.bayes import evidence_against, evidence_for, log_posterior, log_posterior_of_rows, mixture_table
from gencls.estimators import _evidence_mixin

PRIOR = np.array([0.5, 0.2, 0.3])


def table_of(*shape, seed=0):
    return -5 * np.random.RandomState(seed).random_sample(shape)


@pytest.fixture(scope="module", params=[None, "flip"])
def fitted(request):
    X, y = photographs(24)
    clf = quick(conditioner="low-rank", augmentation=request.param, views=None, priors=PRIOR, temperature=2.0)
    return clf.fit(X, y), X, y


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(_evidence_mixin, "CHUNK", 10)


# Tables


@pytest.mark.parametrize("n_parts", [1, 2, 3])
def test_the_upper_rows_of_a_mixture_have_its_probability(n_parts):
    tables = table_of(n_parts, 4, 3, 5, 6)
    mixed = mixture_table(tables)
    assert mixed.shape == (4, 3, 5, 6)
    for n_rows in range(1, 6):
        exact = logsumexp(tables[..., :n_rows, :].sum((-2, -1)), axis=0) - np.log(n_parts)
        np.testing.assert_allclose(mixed[..., :n_rows, :].sum((-2, -1)), exact, rtol=1e-12)
    np.testing.assert_allclose(mixture_table(tables[:1].repeat(n_parts, axis=0)), tables[0], rtol=1e-12)


def test_a_part_that_explains_the_rows_above_decides_the_next_row():
    tables = table_of(2, 5, 6)
    tables[1, 0] -= 100  # the second part has practically lost after the first row
    np.testing.assert_allclose(mixture_table(tables)[1:], tables[0, 1:], rtol=1e-12)


def test_the_posterior_of_rows_is_bayes_theorem():
    table = table_of(4, 3, 5, 6)
    found = log_posterior_of_rows(table.sum(-1), PRIOR, temperature=2.0)
    assert found.shape == (6, 4, 3)
    for n_rows in range(6):
        joint = table[:, :, :n_rows].sum((-2, -1)) + np.log(PRIOR)
        np.testing.assert_allclose(found[n_rows], log_posterior(joint, 2.0), rtol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_evidence_adds_up_and_follows_the_pixels(temperature):
    table, codes = table_of(4, 3, 5, 6), np.array([0, 2, 1, 1])
    found = evidence_for(table, PRIOR, codes, temperature)
    images = np.arange(4)
    for n_pixels in (0, 1, 7, 30):
        joint = table.reshape(4, 3, 30)[..., :n_pixels].sum(-1) + np.log(PRIOR)
        change = (log_posterior(joint, temperature) - log_posterior(np.log(PRIOR)[None], temperature))[
            images, codes
        ]
        np.testing.assert_allclose(found.reshape(4, 30)[:, :n_pixels].sum(-1), change, atol=1e-10)
    others = np.array([1, 0, 0, 2])
    against = evidence_against(table, codes, others, temperature)
    assert np.array_equal(against, -evidence_against(table, others, codes, temperature))
    sums = table.sum((-2, -1))
    np.testing.assert_allclose(
        against.sum((1, 2)), (sums[images, codes] - sums[images, others]) / temperature
    )


def test_two_classes_have_no_other_opponent():
    table, prior, codes = table_of(5, 2, 3, 3), np.array([0.4, 0.6]), np.zeros(5, dtype=int)
    change = evidence_for(table, prior, codes) - evidence_for(table, prior, 1 - codes)
    np.testing.assert_allclose(change, evidence_against(table, codes, 1 - codes), atol=1e-10)


# The classifier


def test_the_table_sums_to_the_likelihoods(fitted):
    clf, X, y = fitted
    table = clf.pixel_log_likelihood(X)
    height, width = clf.codec_.tensor_shape_[1:]
    assert table.shape == (24, 3, height, width)
    joint = table.sum((-2, -1)) + np.log(PRIOR)
    np.testing.assert_allclose(joint, clf.predict_joint_log_proba(X), rtol=1e-6)
    own = clf.pixel_log_likelihood(X, y)
    np.testing.assert_allclose(own.sum((-2, -1)), clf.log_likelihood(X, y), rtol=1e-6)
    one = clf.pixel_log_likelihood(X, clf.classes_[1])
    np.testing.assert_allclose(one, table[:, 1], rtol=1e-4, atol=1e-4)


def test_evidence_is_the_change_from_the_prior_to_the_posterior(fitted):
    clf, X, y = fitted
    codes = np.searchsorted(clf.classes_, y)
    at_first = log_posterior(np.log(PRIOR)[None], 2.0)[0]
    change = clf.predict_log_proba(X)[np.arange(24), codes] - at_first[codes]
    np.testing.assert_allclose(clf.evidence(X, y).sum((1, 2)), change, atol=1e-4)
    posterior = list(clf.staged_predict_proba(X))[-1]
    exact = np.log(posterior)[np.arange(24), codes] - at_first[codes]
    np.testing.assert_allclose(clf.evidence(X, y).sum((1, 2)), exact, atol=1e-6)
    best = clf.classes_[posterior.argmax(1)]
    np.testing.assert_array_equal(clf.evidence(X), clf.evidence(X, best))


def test_evidence_against_one_class_is_the_change_of_the_odds(fitted):
    clf, X, _ = fitted
    first, second = clf.classes_[:2]
    found = clf.evidence(X, first, versus=second)
    log_odds = np.subtract(*clf.predict_log_proba(X).T[:2]) - np.log(PRIOR[0] / PRIOR[1]) / 2
    np.testing.assert_allclose(found.sum((1, 2)), log_odds, atol=1e-4)
    np.testing.assert_allclose(found, -clf.evidence(X, second, versus=first), atol=1e-9)
    strongest = clf.evidence(X, versus=second)  # of the best of the remaining classes
    assert (
        strongest.sum((1, 2)) >= found.sum((1, 2)) + (np.log(PRIOR[0] / PRIOR[2]) / 2).clip(max=0) - 1e-9
    ).all()


def test_the_stages_are_exact_posteriors_of_the_upper_rows(fitted):
    clf, X, _ = fitted
    stages = list(clf.staged_predict_proba(X))
    assert len(stages) == clf.codec_.tensor_shape_[1]
    np.testing.assert_allclose(stages[-1], clf.predict_proba(X), atol=1e-4)
    for n_rows, stage in enumerate(stages, start=1):
        joint = clf._scorer.joint(clf._encode_images(X), n_rows)
        np.testing.assert_allclose(np.log(stage), log_posterior(joint, 2.0), atol=1e-4)
        np.testing.assert_allclose(stage.sum(1), 1)


def test_later_rows_do_not_matter(fitted):
    clf, X, _ = fitted
    changed = X.copy()
    changed[:, X.shape[1] // 2 :] = 255 - changed[:, X.shape[1] // 2 :]
    half = clf.codec_.tensor_shape_[1] // 2
    before, after = (list(clf.staged_predict_proba(each)) for each in (X, changed))
    np.testing.assert_allclose(before[half - 1], after[half - 1], atol=1e-5)
    assert not np.allclose(before[-1], after[-1], atol=1e-3)


def test_mistakes_are_named(fitted):
    clf, X, y = fitted
    first = clf.classes_[0]
    with pytest.raises(InvalidInputError, match="'cow'"):
        clf.evidence(X, "cow")
    with pytest.raises(InvalidInputError, match=r"versus does not fit.*'cow'"):
        clf.evidence(X, y, versus="cow")
    with pytest.raises(InvalidInputError, match="versus must be a class different from y"):
        clf.evidence(X, y, versus=first)
    with pytest.raises(InvalidInputError, match="y must have"):
        clf.pixel_log_likelihood(X, y[:3])
    without = copy(clf)
    without.class_prior_ = np.array([0.0, 0.5, 0.5])
    with pytest.raises(InvalidInputError, match="prior 0"):
        without.evidence(X, first)
    assert np.isfinite(without.evidence(X)).all()
