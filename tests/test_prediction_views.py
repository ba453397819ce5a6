"""The classifier with views: predictions average the joint log-probability over them, densities do not."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest
import torch
from small import NAMES, photographs, quick

from gencls import Compute, InvalidInputError, PixelClippingWarning
from gencls.bayes import fit_temperature, log_posterior
from gencls.images.crops import POSITIONS, boxes_of
from gencls.images.resizing import resize_images


@pytest.fixture(scope="module")
def fitted():
    X, y = photographs(36, size=(10, 10))
    return quick(resolution=5, max_epochs=3, lr=0.01).fit(X, NAMES[y])


@pytest.fixture
def unseen():
    X, y = photographs(20, seed=1, size=(10, 10))
    return X, NAMES[y]


def by(fitted, views):
    """A copy that predicts by these views."""
    return copy(fitted).set_params(views=views)


def flips(X):
    return [X, X[:, :, ::-1]]


def crops(X):
    """The whole images, and boxes of nine tenths of their sides, at the resolution of the model."""
    found = [resize_images(X, (5, 5))]
    for row, column in POSITIONS.values():
        boxes = boxes_of((10, 10), *np.repeat([[0.9], [row], [column]], len(X), axis=1))
        found.append(resize_images(X, (5, 5), boxes=boxes))
    return found


BY_HAND = {
    "flips": flips,
    "six-crops": crops,
    ("flips", "six-crops"): lambda X: [crop for flip in flips(X) for crop in crops(flip)],
    ("six-crops", "flips"): lambda X: [flip for crop in crops(X) for flip in flips(crop)],
    ("flips",): flips,
}


@pytest.mark.parametrize("views", BY_HAND, ids=str)
def test_predictions_average_the_joint_log_probability_over_the_views(views, fitted, unseen):
    X, y = unseen
    clf = by(fitted, views if isinstance(views, str) else list(views))
    small = copy(fitted)
    small.codec_ = fitted.codec_.resized(5, 5)  # of images at the size of the model
    tables = [
        (fitted if view.shape[1] == 10 else small).predict_joint_log_proba(view) for view in BY_HAND[views](X)
    ]
    assert len(tables) == {"flips": 2, "six-crops": 6, ("flips",): 2}.get(views, 12)
    table = np.mean(tables, axis=0)
    np.testing.assert_allclose(clf.predict_log_proba(X), log_posterior(table), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[table.argmax(1)])
    assert clf.score(X, y) == (clf.predict(X) == y).mean()
    assert not np.allclose(clf.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("views", ["flips", "six-crops"])
def test_densities_are_those_of_the_image_itself(views, fitted, unseen):
    X, y = unseen
    clf = by(fitted, views)
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), fitted.predict_joint_log_proba(X))
    np.testing.assert_array_equal(clf.score_samples(X), fitted.score_samples(X))
    np.testing.assert_array_equal(clf.log_likelihood(X, y), fitted.log_likelihood(X, y))
    assert clf.bits_per_dim(X) == fitted.bits_per_dim(X)
    np.testing.assert_array_equal(clf.sample(2, random_state=0)[0], fitted.sample(2, random_state=0)[0])


@pytest.mark.parametrize("views", ["flips", "six-crops"])
def test_the_temperature_is_learned_by_the_views(views, fitted, unseen):
    X, y = unseen
    clf, codes = by(fitted, views), np.searchsorted(fitted.classes_, y)
    table = clf.predict_log_proba(X)  # up to a constant of each image
    codes[:5] = (codes[:5] + 1) % 3  # such that no temperature makes all of them right
    y = NAMES[codes]
    clf.calibrate(X, y)
    assert clf.temperature_ == pytest.approx(fit_temperature(table, codes), rel=1e-6)
    assert clf.temperature_ != copy(fitted).calibrate(X, y).temperature_
    np.testing.assert_allclose(clf.predict_log_proba(X), log_posterior(table, clf.temperature_), rtol=1e-5)


@pytest.mark.parametrize("margin", [None, 1e9])
def test_flips_of_a_symmetric_density_are_the_mean_over_both_orientations(margin):
    X, y = photographs(24)
    clf = quick(augmentation="flip", views=None, compute="plain").fit(X, y)
    model, scorer, levels = clf.net_.averaged_model, clf._scorer, clf._encode_images(X)
    modulations = model.modulate_classes(torch.arange(3))
    with torch.inference_mode():
        log_q = [model.network_log_prob(each, modulations) for each in (levels, levels.flip(-1))]
    table = scorer.with_prior(np.mean([each.numpy() for each in log_q], axis=0).T)
    flipped = by(clf, "flips").set_params(compute=Compute(compile=False, early_exit=margin))
    np.testing.assert_allclose(flipped.predict_log_proba(X), log_posterior(table), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(flipped.predict(X), clf.classes_[table.argmax(axis=1)])
    np.testing.assert_array_equal(flipped.score_samples(X), clf.score_samples(X))
    assert not np.allclose(flipped.predict_proba(X), clf.predict_proba(X))
    assert next(flipped._encode_views(X, flipped._image_views)).shape[0] == len(X)
    assert flipped._image_views == []


def test_all_views_are_scored_in_full(fitted, unseen):
    """Even where an early exit is wanted."""
    X, _ = unseen
    clf = by(fitted, "flips").set_params(compute=Compute(early_exit=1e-9))
    np.testing.assert_array_equal(clf.predict(X), by(fitted, "flips").predict(X))


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("views", ["flips", "six-crops"])
def test_views_of_every_layout(views, axis):
    X, y = photographs(12)
    moved = np.moveaxis(X, -1, axis)
    clf = quick(views=views, channel_axis=axis).fit(moved, y)
    expected = quick(views=views).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(moved), expected)
    np.testing.assert_array_equal(clf.predict_proba(moved.reshape(12, -1)), expected)


def test_images_that_do_not_fit(fitted, unseen):
    X, y = unseen
    clf = by(fitted, "flips")
    with pytest.raises(InvalidInputError, match=r"\(10, 10, 3\) as in fit"):
        clf.predict(X[..., :2])
    with pytest.raises(InvalidInputError, match=r"4 rows and 10 columns.*5×5"):
        clf.predict(X[:, :4])
    with pytest.raises(InvalidInputError, match="'dog'"):
        clf.calibrate(X[:2], ["ant", "dog"])
    with pytest.raises(InvalidInputError, match="scale"):
        clf.calibrate(X / 255, y)


def test_values_outside_the_range_are_warned_of_once():
    X, y = photographs(12)
    clf = quick(views="six-crops").fit(X / 1.0, y)
    outside = X / 1.0
    outside[7] += 100  # not the first image
    with pytest.warns(PixelClippingWarning) as caught:
        clf.predict(outside)
    assert len(caught) == 1
