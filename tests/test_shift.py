"""Images that are shifted in training: which shifts there are, and that densities do not depend on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from small import PLAIN

from gencls import GenerativeBayesClassifier, InvalidParameterError, Shift, Stage


def shifted(image, down, right):
    """One image (C, H, W), shifted, its edges repeated: by padding instead of by positions."""
    most = max(abs(down), abs(right))
    height, width = image.shape[1:]
    padded = np.pad(image, ((0, 0), (most, most), (most, most)), mode="edge")
    return padded[:, most - down :, most - right :][:, :height, :width]


def which_shift(image, found, most):
    """The only shift (down, right) that makes one image of the other."""
    every = [(down, right) for down in range(-most, most + 1) for right in range(-most, most + 1)]
    (shift,) = [each for each in every if np.array_equal(shifted(image, *each), found)]
    return shift


def random_levels(image_shape, n_images):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (n_images, *image_shape), generator=generator, dtype=torch.uint8)


def seeded():
    return torch.Generator().manual_seed(0)


def grey_images(n=36):
    """Grey images from 0 to 8 of three classes."""
    return np.random.RandomState(0).randint(9, size=(n, 3, 3)), np.arange(n) % 3


def quick(**parameters):
    options: dict[str, Any] = {
        "n_filters": 4,
        "n_mixtures": 1,
        "batch_size": 16,
        "max_epochs": 1,
        "compute": "plain",
    }
    return GenerativeBayesClassifier(**(PLAIN | options | {"random_state": 0} | parameters))


# Levels


def test_all_shifts_are_equally_likely_and_edges_are_repeated():
    image = np.arange(40, dtype=np.uint8).reshape(2, 4, 5)
    found = Shift(2).per_batch(torch.from_numpy(image).expand(2500, -1, -1, -1), seeded()).numpy()
    assert found.dtype == np.uint8
    different, counts = np.unique(found, axis=0, return_counts=True)
    assert len({which_shift(image, each, 2) for each in different}) == len(counts) == 25
    assert chisquare(counts).pvalue > 1e-3


def test_images_are_shifted_independently():
    levels = random_levels((3, 6, 6), 50)
    found = Shift(3).per_batch(levels, seeded())
    shifts = {which_shift(image.numpy(), each.numpy(), 3) for image, each in zip(levels, found, strict=True)}
    assert len(shifts) > 20


@pytest.mark.parametrize("image_shape", [(1, 1, 4), (1, 4, 1), (3, 1, 1)], ids=str)
def test_a_shift_may_be_larger_than_a_side(image_shape):
    levels = random_levels(image_shape, 20)
    found = Shift(6).per_batch(levels, seeded())
    assert found.shape == levels.shape
    for image, each in zip(levels, found, strict=True):
        assert set(each.flatten().tolist()) <= set(image.flatten().tolist())


def test_a_shift_of_0_changes_nothing():
    levels = random_levels((2, 3, 4), 5)
    assert torch.equal(Shift(0).per_batch(levels, seeded()), levels)


# The estimator


def test_training_sees_shifted_images():
    X, y = grey_images()
    plain, one, other = (quick(augmentation=Shift(most)).fit(X, y) for most in (0, 1, 1))
    assert one.history_[0]["train_bpd"] != plain.history_[0]["train_bpd"]
    assert one.history_[0]["train_bpd"] == other.history_[0]["train_bpd"]
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))


def test_the_density_is_that_of_the_network():
    X, y = grey_images()
    model = quick(augmentation=Shift(1)).fit(X, y).net_.averaged_model
    levels, labels = torch.from_numpy(X)[:, None], torch.from_numpy(y)
    assert model.symmetry.parts == []
    with torch.inference_mode():
        assert torch.equal(model.log_prob(levels, labels), model(levels, labels))


def test_what_is_learned_in_one_place_holds_for_its_neighbours():
    """A bright pixel in the middle in training, beside it in the test: the purpose of shifts."""
    rng = np.random.RandomState(0)
    X = rng.randint(2, size=(64, 5, 5))
    X[:, 2, 2] = 7
    y = np.arange(64) % 2
    elsewhere = X.copy()
    elsewhere[:, 2, 2] = 0
    elsewhere[:, 1, 3] = 7
    settings = {"max_epochs": 6, "lr": 0.02, "n_levels": 8, "pixel_range": (0, 7), "dropout": 0.0}
    plain, moved = (quick(augmentation=each, **settings).fit(X, y) for each in (None, "shift"))
    assert moved.bits_per_dim(elsewhere, y) < plain.bits_per_dim(elsewhere, y) - 0.1


def test_it_may_change_when_training_continues():
    X, y = grey_images()
    clf = quick(augmentation=Shift(1), warm_start=True).fit(X, y)
    assert clf.set_params(augmentation=None).fit(X, y).n_iter_ == 2


def test_a_model_file_keeps_it(tmp_path):
    clf = quick(augmentation=Shift(2)).fit(*grey_images())
    clf.save(tmp_path / "model")
    again = GenerativeBayesClassifier.load(tmp_path / "model").set_params(compute="plain")
    assert repr(again.augmentation) == repr(clf.augmentation)
    np.testing.assert_array_equal(again.predict_proba(grey_images()[0]), clf.predict_proba(grey_images()[0]))


@pytest.mark.parametrize("most", [-1, 1.5, True, None])
def test_other_values_are_refused(most):
    with pytest.raises(InvalidParameterError, match=f"'most' of Shift must be an int .*, got {most}"):
        Shift(most).check((1, 3, 3))


def test_images_are_not_shifted_out_of_sight():
    X, y = grey_images()
    for learn in (
        lambda clf: clf.fit(X, y),
        lambda clf: clf.set_params(stages=[Stage(1)]).fit(X, y),
        lambda clf: clf.partial_fit(X, y, classes=[0, 1, 2]),
    ):
        with pytest.raises(InvalidParameterError, match=r"'most' of Shift must be below 3, .*, got 3"):
            learn(quick(augmentation=Shift(3)))
