"""Augmentations by name, in lists, and random crops in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import make_model
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from small import PLAIN

from gencls import (
    AugmentationError,
    Flip,
    GenerativeBayesClassifier,
    InvalidParameterError,
    RandomCrop,
    Shift,
)
from gencls.augmentations import (
    Augmentation,
    Composed,
    get_augmentation,
    has_orbit,
    list_augmentations,
    make_augmentation,
    register_augmentation,
)
from gencls.images import crop_at_random


class Negative(Augmentation):
    """Images are equally likely with 7 instead of 0, 6 instead of 1, and so on."""

    def per_batch(self, levels, generator=None):
        chosen = (torch.rand(len(levels), generator=generator) < 0.5).to(levels.device)
        return torch.where(chosen[:, None, None, None], 7 - levels, levels)

    def orbit(self, levels):
        return [levels, 7 - levels]


def seeded():
    return torch.Generator().manual_seed(0)


def photographs(n=24, side=20):
    """Images in two colours, with noise; each class has a colour."""
    rng = np.random.RandomState(0)
    y = np.arange(n) % 2
    X = rng.randint(128, size=(n, side, side, 3))
    X[..., 0] += 120 * y[:, None, None]
    return X.astype(np.uint8), y


def quick(**parameters):
    options: dict[str, Any] = {
        "n_filters": 4,
        "n_mixtures": 1,
        "batch_size": 8,
        "max_epochs": 1,
        "compute": "plain",
    }
    return GenerativeBayesClassifier(**(PLAIN | options | {"random_state": 0} | parameters))


# Names


def test_the_built_in_names():
    assert {"flip", "random-crop", "shift"} <= set(list_augmentations())
    assert get_augmentation("random-crop") is RandomCrop
    with pytest.raises(AugmentationError, match="'flip'"):
        get_augmentation("flop")


@pytest.mark.usefixtures("own_plugins")
def test_an_augmentation_is_registered_by_name():
    register_augmentation("negative", Negative)
    assert [type(part) for part in make_augmentation(["negative", "flip"]).parts] == [Negative, Flip]
    with pytest.raises(AugmentationError, match="'flip'"):
        register_augmentation("flip", Negative)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (None, []),
        ([], []),
        ("flip", [Flip()]),
        (Shift, [Shift()]),
        (Shift(2), [Shift(2)]),
        (("flip", Shift(2), RandomCrop), [Flip(), Shift(2), RandomCrop()]),
        (Composed([Flip(), Shift(3)]), [Flip(), Shift(3)]),
        ([Composed(["flip"]), [Shift(3)]], [Flip(), Shift(3)]),  # type: ignore[list-item]
    ],
    ids=str,
)
def test_what_the_estimator_accepts(given, parts):
    made = make_augmentation(given)
    assert repr(made) == repr(Composed(parts))
    assert not any(part is given for part in made.parts)


@pytest.mark.parametrize(
    "given", [3, "flop", [None], [Flip(), 3], "hybrid", GenerativeBayesClassifier()], ids=str
)
def test_other_values_are_refused(given):
    with pytest.raises(AugmentationError):
        make_augmentation(given)
    with pytest.raises(AugmentationError):
        quick(augmentation=given).fit(*photographs())


# Several of them


def test_parts_are_applied_in_their_order():
    levels = torch.randint(8, (20, 1, 3, 4), generator=seeded())
    found = Composed([Shift(1), Negative()]).per_batch(levels, seeded())
    generator = seeded()
    assert torch.equal(found, Negative().per_batch(Shift(1).per_batch(levels, generator), generator))
    images, _ = photographs()
    cropped = Composed([RandomCrop(0.5), RandomCrop(0.9)]).per_epoch(images, (5, 6), np.random.RandomState(0))
    random_state = np.random.RandomState(0)
    for crop in (RandomCrop(0.5), RandomCrop(0.9)):
        images = crop.per_epoch(images, (5, 6), random_state)
    np.testing.assert_array_equal(cropped, images)


def test_the_orbit_has_all_combinations():
    levels = torch.randint(8, (2, 1, 3, 4), generator=seeded())
    orbit = Composed([Flip(), Shift(1), Negative()]).orbit(levels)
    expected = [levels, 7 - levels, levels.flip(-1), 7 - levels.flip(-1)]
    assert all(map(torch.equal, orbit, expected))
    assert len(orbit) == 4


def test_only_parts_with_an_orbit_make_the_density_symmetric():
    assert [has_orbit(each) for each in (Flip(), Shift(), RandomCrop(), Negative())] == [
        True,
        False,
        False,
        True,
    ]
    assert repr(Composed([Shift(1), Flip()]).symmetric()) == repr(Composed([Flip()]))
    assert Composed().orbit(torch.zeros(1))[0].shape == (1,)
    parts = Composed([Flip(), RandomCrop(0.7)]).per_epoch_parts
    assert [type(part) for part in parts] == [RandomCrop]


def test_the_density_is_the_mean_over_the_orbit():
    model = make_model((1, 3, 4), 8, symmetry=[Flip(), Shift(1), Negative()])
    plain = make_model((1, 3, 4), 8)
    levels, labels = torch.randint(8, (5, 1, 3, 4), generator=seeded()), torch.arange(5) % 3
    with torch.inference_mode():
        orbit = [levels, levels.flip(-1), 7 - levels, 7 - levels.flip(-1)]
        expected = torch.stack([plain(each, labels).exp() for each in orbit]).mean(0).log()
        torch.testing.assert_close(model.log_prob(levels, labels), expected, rtol=1e-9, atol=1e-9)


def test_it_is_cloned():
    composed = Composed([Flip(), Shift(2)])
    again = clone(composed)
    assert repr(again) == repr(composed)
    assert again.parts[1] is not composed.parts[1]


def test_every_part_is_checked():
    with pytest.raises(InvalidParameterError, match="'most' of Shift"):
        quick(augmentation=[Flip(), Shift(-1)], resolution=4).fit(*photographs())


# Random crops


def test_it_is_a_random_crop_of_the_images_as_given():
    images, _ = photographs()
    found = RandomCrop(0.5, "box").per_epoch(images, (8, 9), np.random.RandomState(3))
    expected = crop_at_random(images, (8, 9), smallest=0.5, resample="box", random_state=3)
    np.testing.assert_array_equal(found, expected)


def test_sizes_of_crops_are_uniform_for_numbers_of_any_type():
    ramp = np.tile(np.arange(200.0) / 1e6, (1000, 200, 1))[..., None]
    found = RandomCrop(0.5).per_epoch(ramp, (10, 10), np.random.RandomState(0))
    assert found.dtype == np.float64
    steps = np.diff(found[:, 5, 2:8, 0], axis=1).mean(1)  # pixels of the ramp for one of a crop
    assert kstest((steps * 1e6 * 10 / 200 - 0.5) / 0.5, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "value"), [("smallest", 0), ("smallest", 1.1), ("smallest", "1"), ("resample", "spline")]
)
def test_wrong_parameters_of_a_crop_are_refused(name, value):
    with pytest.raises(InvalidParameterError, match=rf"'{name}' of RandomCrop must be .*, got {value!r}"):
        quick(augmentation=RandomCrop(**{name: value}), resolution=4).fit(*photographs())


def test_every_epoch_has_crops_of_its_own(monkeypatch):
    seen = []

    class Watched(RandomCrop):
        def per_epoch(self, images, size, random_state):
            seen.append((images, super().per_epoch(images, size, random_state)))
            return seen[-1][1]

    X, y = photographs()
    clf = quick(augmentation=[Watched(0.6), "flip"], resolution=4, max_epochs=3).fit(X, y)
    assert clf.codec_.tensor_shape_ == (3, 4, 4)
    assert len(seen) == 3
    for images, _ in seen:
        assert sorted(map(bytes, images)) == sorted(map(bytes, X))
    crops = [crop for _, crop in seen]
    assert crops[0].shape == (24, 4, 4, 3)
    assert not np.array_equal(crops[0], crops[1])
    assert not np.array_equal(crops[1], crops[2])


def test_the_same_seed_has_the_same_crops():
    X, y = photographs()
    one, other, plain = (
        quick(augmentation=each, resolution=4, max_epochs=2).fit(X, y)
        for each in (RandomCrop(0.6), RandomCrop(0.6), None)
    )
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    assert one.history_[0]["train_bpd"] != plain.history_[0]["train_bpd"]


# The estimator


def test_parameters_are_reached_through_the_estimator():
    clf = quick(augmentation="random-crop").set_params(augmentation__smallest=0.6)
    assert clf.augmentation.smallest == 0.6
    assert clone(clf).get_params()["augmentation__smallest"] == 0.6
    assert quick(augmentation=Shift).set_params(augmentation__most=2).augmentation.most == 2


def test_it_is_searched():
    X, y = photographs()
    grid = [{"augmentation": [None, "flip"]}, {"augmentation": ["shift"], "augmentation__most": [1, 2]}]
    clf = quick(resolution=4, max_epochs=2)
    search = GridSearchCV(clf, grid, scoring="neg_log_loss", cv=2, error_score="raise").fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 4
