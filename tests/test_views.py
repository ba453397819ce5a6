"""Views of images over which predictions are averaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small import PLAIN

from gencls import GenerativeBayesClassifier
from gencls.images import six_crops
from gencls.images.resizing import resize_images
from gencls.images.views import VIEWS, views_of
from gencls.inference import Scorer

SIZE = (8, 8)


def noise(*shape):
    return np.random.RandomState(0).randint(256, size=shape).astype(np.uint8)


@pytest.fixture(scope="module")
def fitted():
    X, y = noise(24, 20, 20, 3), np.arange(24) % 2
    options: dict[str, Any] = {
        "n_filters": 4,
        "n_mixtures": 1,
        "max_epochs": 1,
        "compute": "plain",
        "random_state": 0,
    }
    return GenerativeBayesClassifier(**PLAIN | options | {"resolution": 8}).fit(X, y)


def test_without_views_images_are_their_only_view():
    images = noise(2, 20, 20, 3)
    without: tuple[list[str] | None, ...] = (None, [])
    for names in without:
        (view,) = views_of(images, names, SIZE)
        assert view is images


def test_flips():
    images = noise(2, 20, 20, 3)
    one, other = views_of(images, "flips", SIZE)
    np.testing.assert_array_equal(one, images)
    np.testing.assert_array_equal(other, images[:, :, ::-1])


def test_six_crops_are_those_of_the_transformers():
    images = noise(2, 20, 30, 3)
    found = list(views_of(images, "six-crops", SIZE))
    expected = [crop.transform(images) for _, crop in six_crops(8)]
    assert len(found) == 6
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("names", [["flips", "six-crops"], ("six-crops", "flips")])
def test_several_give_all_combinations(names):
    images = noise(2, 20, 20, 3)
    found = {view.tobytes() for view in views_of(images, names, SIZE)}
    expected = {
        crop.transform(each).tobytes() for each in (images, images[:, :, ::-1]) for _, crop in six_crops(8)
    }
    if names[0] == "flips":
        assert found == expected
    assert len(found) == 12


@pytest.mark.parametrize("views", [*VIEWS, ["flips", "six-crops"]], ids=str)
def test_predictions_are_those_of_the_mean_of_joint_log_probabilities(fitted, views):
    X = noise(5, 20, 20, 3)
    scorer = Scorer(fitted.net_.averaged_model, fitted.class_prior_)
    small = [np.moveaxis(resize_images(view, SIZE), -1, 1) for view in views_of(X, views, SIZE)]
    joint = np.mean([scorer.joint(torch.from_numpy(np.ascontiguousarray(each))) for each in small], axis=0)
    expected = np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))
    plain, density = fitted.predict_proba(X), fitted.score_samples(X)
    fitted.set_params(views=views)
    try:
        np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=1e-6)
        np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[expected.argmax(1)])
        np.testing.assert_array_equal(fitted.score_samples(X), density)
    finally:
        fitted.set_params(views=None)
    np.testing.assert_array_equal(fitted.predict_proba(X), plain)
    assert not np.allclose(plain, expected)
