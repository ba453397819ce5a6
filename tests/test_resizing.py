"""A classifier that goes on with images of another size: the same weights, or a clear error."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import all_images
from sklearn.base import clone

from gencls import (
    ConditionalPixelCNN,
    ConditionerError,
    GenerativeBayesClassifier,
    InvalidInputError,
    InvalidParameterError,
    list_conditioners,
)

FOR_PLACES = {"spatial", "spatial-film", "template"}  # they learn something for every place of an image


def shades(n=24, size=(3, 3), n_levels=3):
    rng = np.random.RandomState(0)
    y = np.arange(n) % 3
    return (y.reshape(-1, *[1] * len(size)) + rng.randint(2, size=(n, *size))) % n_levels, y


def quick(conditioner="mild", **parameters):
    small = {"n_filters": 4, "n_mixtures": 1, "batch_size": 12, "max_epochs": 2, "lr": 0.01}
    return GenerativeBayesClassifier(conditioner, **(small | {"random_state": 0} | parameters))


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(*shades())


@pytest.fixture
def mine(fitted):
    """One that a test may alter."""
    return copy.copy(fitted)


def assert_same_predictions(one, other, X):
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))


# The model


def test_the_density_is_that_of_the_weights_at_the_other_size(mine):
    weights = mine.net_.averaged_model.state_dict()
    expected = ConditionalPixelCNN((1, 5, 4), 3, 3, n_filters=4, n_mixtures=1).eval()
    expected.load_state_dict(weights)
    X, y = shades(size=(5, 4))
    with torch.no_grad():
        scores = expected(torch.tensor(X)[:, None], torch.tensor(y)).numpy()
    assert mine.resize((5, 4)) is mine
    np.testing.assert_allclose(mine.log_likelihood(X, y), scores, rtol=1e-6)


def test_it_is_normalised(mine):
    every = all_images((1, 2, 3), 3)[:, 0].numpy()
    np.testing.assert_allclose(np.exp(mine.resize((2, 3)).score_samples(every)).sum(), 1, rtol=1e-5)


def test_to_another_size_and_back_nothing_has_changed(mine, fitted):
    X, _ = shades()
    before = pickle.dumps(fitted.get_params())
    assert_same_predictions(mine.resize(8).resize((3, 3)), fitted, X)
    assert pickle.dumps(mine.get_params()) == before
    assert mine.history_ == fitted.history_
    assert mine.n_iter_ == 2


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
    clf = quick(**parameters).fit(*shades(size=shape)).resize(5)
    X, y = shades(size=resized)
    drawn, _ = clf.sample(2, random_state=0)
    assert drawn.shape == (2, *resized)
    assert clf.n_features_in_ == resized[0]
    assert np.prod(clf.image_shape_) == np.prod(resized)
    clf.save(tmp_path / "model.safetensors")
    for other in (
        GenerativeBayesClassifier.load(tmp_path / "model.safetensors"),
        pickle.loads(pickle.dumps(clf)),
    ):
        assert_same_predictions(clf, other, X)
    assert clone(clf).fit(X, y).image_shape_ == clf.image_shape_


def test_what_else_was_learned_stays(mine, fitted):
    mine.temperature_ = 3.0
    mine.resize(5)
    assert mine.temperature_ == 3
    np.testing.assert_array_equal(mine.class_prior_, fitted.class_prior_)
    np.testing.assert_array_equal(mine.classes_, fitted.classes_)
    assert mine.codec_.n_levels_ == fitted.codec_.n_levels_ == 3


def test_the_names_of_the_columns_are_those_of_other_images():
    X, y = shades(size=(9,))
    clf = quick(max_epochs=1).fit(pd.DataFrame(X).rename(columns=str), y)
    assert not hasattr(clf.resize(5), "feature_names_in_")
    assert clf.predict(shades(size=(25,))[0]).shape == (24,)


# Training goes on


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_goes_on(method, mine):
    X, y = shades(size=(6, 5))
    mine.resize((6, 5)).set_params(warm_start=True, max_epochs=1)
    before = mine.bits_per_dim(X, y)
    for _ in range(3):
        getattr(mine, method)(X, y)
    assert mine.n_iter_ == 5
    assert mine.bits_per_dim(X, y) < before


def test_what_was_learned_of_small_images_helps_with_larger_ones():
    X, y = shades(60, size=(12, 12))
    learned, fresh = quick(max_epochs=3).fit(*shades(60, size=(8, 8))), quick(max_epochs=1).fit(X, y)
    assert learned.resize(12).bits_per_dim(X, y) < fresh.bits_per_dim(X, y)


def test_settings_for_skorch_stay():
    clf = quick(net_params={"optimizer": torch.optim.SGD}).fit(*shades()).resize(4)
    assert isinstance(clf.net_.optimizer_, torch.optim.SGD)


# What cannot be


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "4", None, (4,), (4, 0), (4, 4, 3)])
def test_sizes_that_are_none(size, mine, fitted):
    message = (
        "The parameter 'size' of resize must be an int of at least 1, or a pair (height, width) of them, "
        f"got {size!r}."
    )
    with pytest.raises(InvalidParameterError, match=re.escape(message)):
        mine.resize(size)
    assert_same_predictions(mine, fitted, shades()[0])


def test_parameters_that_changed_since_fit(mine):
    message = "parameters have changed: n_filters was 4 and is 8"
    with pytest.raises(InvalidParameterError, match=message):
        mine.set_params(n_filters=8).resize(4)


@pytest.mark.parametrize("name", list_conditioners())
def test_every_conditioner(name):
    clf = quick(name, max_epochs=1, n_filters=2, batch_size=24).fit(*shades())
    same = copy.copy(clf).resize(3)
    assert_same_predictions(same, clf, shades()[0])
    if name not in FOR_PLACES:
        assert clf.resize(4).predict(shades(size=(4, 4))[0]).shape == (24,)
        return
    message = f"^A network with the conditioner '{name}' has weights for images of one size alone\\."
    with pytest.raises(ConditionerError, match=message):
        clf.resize(4)
    assert_same_predictions(same, clf, shades()[0])


def test_images_of_the_size_before(mine):
    with pytest.raises(InvalidInputError, match=re.escape("images of shape (4, 4) as in fit")):
        mine.resize(4).predict(shades()[0])
