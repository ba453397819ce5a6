"""A classifier of images of a different size: the same weights, or a clear error."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import all_images
from sklearn.base import clone
from small import PLAIN

from gencls import (
    ConditionalPixelCNN,
    ConditionerError,
    GenerativeBayesClassifier,
    InvalidInputError,
    InvalidParameterError,
    Stage,
    list_conditioners,
)

FOR_PLACES = {"spatial", "spatial-film", "template"}  # they learn something for every place of an image


def shades(n=24, size=(3, 3), n_levels=3):
    rng = np.random.RandomState(0)
    y = np.arange(n) % 3
    return (y.reshape(-1, *[1] * len(size)) + rng.randint(2, size=(n, *size))) % n_levels, y


def quick(conditioner="mild", **parameters):
    small: dict[str, Any] = {"n_filters": 4, "n_mixtures": 1, "batch_size": 12, "max_epochs": 2, "lr": 0.01}
    small |= {"conditioner": conditioner, "random_state": 0, "compute": "plain"}
    return GenerativeBayesClassifier(**(PLAIN | small | parameters))


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(*shades())


def assert_same_predictions(one, other, X):
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))


# The model


def test_the_density_is_that_of_the_weights_at_the_new_size(fitted):
    weights = fitted.net_.averaged_model.state_dict()
    expected = ConditionalPixelCNN((1, 5, 4), 3, 3, n_filters=4, n_mixtures=1).eval()
    expected.load_state_dict(weights)
    X, y = shades(size=(5, 4))
    with torch.no_grad():
        scores = expected(torch.tensor(X)[:, None], torch.tensor(y)).numpy()
    other = fitted.resized((5, 4))
    np.testing.assert_allclose(other.log_likelihood(X, y), scores, rtol=1e-6)


def test_the_classifier_itself_stays_as_it_is(fitted):
    X, _ = shades()
    before, scores = pickle.dumps(fitted.get_params()), fitted.predict_joint_log_proba(X)
    other = fitted.resized(5)
    assert other is not fitted
    other.partial_fit(*shades(size=(5, 5)))
    other.temperature_ = 9.0
    assert pickle.dumps(fitted.get_params()) == before
    assert fitted.image_shape_ == (3, 3)
    assert fitted.n_iter_ == 2
    assert fitted.temperature_ == 1
    np.testing.assert_array_equal(fitted.predict_joint_log_proba(X), scores)


def test_it_is_normalised(fitted):
    every = all_images((1, 2, 3), 3)[:, 0].numpy()
    np.testing.assert_allclose(np.exp(fitted.resized((2, 3)).score_samples(every)).sum(), 1, rtol=1e-5)


def test_to_a_different_size_and_back_nothing_has_changed(fitted):
    X, _ = shades()
    again = fitted.resized(8).resized((3, 3))
    assert_same_predictions(again, fitted, X)
    assert again.history_ == fitted.history_
    assert again.n_iter_ == 2
    assert repr(again) == repr(fitted)


@pytest.mark.parametrize(
    ("shape", "parameters", "resized"),
    [
        ((9,), {}, (25,)),
        ((6,), {"image_shape": (2, 3)}, (25,)),
        ((3, 2), {}, (5, 5)),
        ((2, 3, 3), {"pixel_range": (-1.0, 9.5), "n_levels": 7}, (5, 5, 3)),
        ((3, 2, 2), {"channel_axis": 1, "image_shape": [3, 2, 2]}, (3, 5, 5)),
    ],
    ids=str,
)
def test_images_of_every_layout(shape, parameters, resized, tmp_path):
    clf = quick(**parameters).fit(*shades(size=shape)).resized(5)
    X, y = shades(size=resized)
    drawn, _ = clf.sample(2, random_state=0)
    assert drawn.shape == (2, *resized)
    assert clf.n_features_in_ == resized[0]
    assert np.prod(clf.image_shape_) == np.prod(resized)
    clf.save(tmp_path / "model.safetensors")
    for other in (
        GenerativeBayesClassifier.load(tmp_path / "model.safetensors").set_params(compute="plain"),
        pickle.loads(pickle.dumps(clf)),
    ):
        assert_same_predictions(clf, other, X)
    assert clone(clf).fit(X, y).image_shape_ == clf.image_shape_


def test_what_else_was_learned_stays(fitted):
    mine = copy.copy(fitted)
    mine.temperature_ = 3.0
    other = mine.resized(5)
    assert other.temperature_ == 3
    np.testing.assert_array_equal(other.class_prior_, fitted.class_prior_)
    np.testing.assert_array_equal(other.classes_, fitted.classes_)
    assert other.codec_.n_levels_ == fitted.codec_.n_levels_ == 3


def test_the_names_of_the_columns_are_those_of_different_images():
    X, y = shades(size=(9,))
    clf = quick(max_epochs=1).fit(pd.DataFrame(X).rename(columns=str), y)
    other = clf.resized(5)
    assert not hasattr(other, "feature_names_in_")
    assert other.predict(shades(size=(25,))[0]).shape == (24,)


# Training continues


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_continues(method, fitted):
    X, y = shades(size=(6, 5))
    mine = fitted.resized((6, 5)).set_params(warm_start=True, max_epochs=1)
    before = mine.bits_per_dim(X, y)
    for _ in range(3):
        getattr(mine, method)(X, y)
    assert mine.n_iter_ == 5
    assert mine.bits_per_dim(X, y) < before


def test_what_was_learned_of_small_images_helps_with_larger_ones():
    X, y = shades(60, size=(12, 12))
    learned, fresh = quick(max_epochs=3).fit(*shades(60, size=(8, 8))), quick(max_epochs=1).fit(X, y)
    assert learned.resized(12).bits_per_dim(X, y) < fresh.bits_per_dim(X, y)


def test_settings_for_skorch_stay():
    clf = quick(net_params={"optimizer": torch.optim.SGD}).fit(*shades()).resized(4)
    assert isinstance(clf.net_.optimizer_, torch.optim.SGD)


# What cannot be


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "4", None, (4,), (4, 0), (4, 4, 3)])
def test_sizes_that_are_none(size, fitted):
    with pytest.raises(InvalidParameterError, match=rf"'size' of resized .*got {re.escape(repr(size))}"):
        fitted.resized(size)


def test_parameters_that_changed_since_fit(fitted):
    with pytest.raises(InvalidParameterError, match="n_filters was 4 and is 8"):
        copy.copy(fitted).set_params(n_filters=8).resized(4)


@pytest.mark.parametrize("name", list_conditioners())
def test_every_conditioner(name):
    clf = quick(name, max_epochs=1, n_filters=2, batch_size=24).fit(*shades())
    assert_same_predictions(clf.resized(3), clf, shades()[0])
    if name not in FOR_PLACES:
        assert clf.resized(4).predict(shades(size=(4, 4))[0]).shape == (24,)
        return
    with pytest.raises(ConditionerError, match=f"'{name}'.*one size"):
        clf.resized(4)


def test_images_of_the_size_before(fitted):
    with pytest.raises(InvalidInputError, match=re.escape("images of shape (4, 4) as in fit")):
        fitted.resized(4).predict(shades()[0])


# With a resolution, and with stages


def photographs(n=24, size=(8, 8)):
    rng = np.random.RandomState(0)
    y = np.arange(n) % 2
    return (rng.randint(150, size=(n, *size, 3)) + 100 * y[:, None, None, None]).astype(np.uint8), y


def test_a_model_of_reduced_images_gets_a_different_resolution_of_the_same_images():
    X, y = photographs()
    clf = quick(resolution=4).fit(X, y)
    other = clf.resized((5, 6))
    assert (clf.resolution, other.resolution) == (4, (5, 6))
    assert other.image_shape_ == (8, 8, 3)
    assert other.codec_.tensor_shape_ == (3, 5, 6)
    model = other.net_.averaged_model
    with torch.no_grad():
        scores = model.log_prob(torch.from_numpy(other.codec_.encode(X.reshape(24, -1))), torch.from_numpy(y))
    np.testing.assert_allclose(other.log_likelihood(X, y), scores, rtol=1e-6)
    np.testing.assert_array_equal(other.resized(4).score_samples(X), clf.score_samples(X))
    assert other.set_params(warm_start=True, max_epochs=1).fit(X, y).n_iter_ == 3
    with pytest.raises(InvalidInputError, match=r"8 rows .*resolution=\(9, 9\)"):
        clf.resized(9)


def test_a_model_of_stages_becomes_one_without():
    X, y = photographs()
    stages = [Stage(1, resolution=4), Stage(1, resolution=6, augmentation="flip")]
    clf = quick(stages=stages).fit(X, y)
    other = clf.resized(7)
    assert other.stages is None
    assert other.resolution == (7, 7)
    for each in (clf, other):  # the density stays symmetric
        flipped = np.ascontiguousarray(X[:, :, ::-1])
        np.testing.assert_allclose(each.score_samples(flipped), each.score_samples(X), rtol=1e-5)
    np.testing.assert_array_equal(other.resized(6).score_samples(X), clf.score_samples(X))
