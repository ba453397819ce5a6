"""Images moved in training: what is seen, that densities do not know of it, and that it can be changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import make_labels, make_levels, make_model
from scipy.stats import chisquare

from gencls import GenerativeBayesClassifier, InvalidParameterError
from gencls.augmentations.shift import shift_at_random


def moved(image, down, right):
    """One image (C, H, W), moved, its edges repeated: by padding instead of by positions."""
    most = max(abs(down), abs(right))
    height, width = image.shape[1:]
    padded = np.pad(image, ((0, 0), (most, most), (most, most)), mode="edge")
    return padded[:, most - down :, most - right :][:, :height, :width]


def which_move(image, found, most):
    """The only move (down, right) that makes one image of the other."""
    every = [(down, right) for down in range(-most, most + 1) for right in range(-most, most + 1)]
    (move,) = [move for move in every if np.array_equal(moved(image, *move), found)]
    return move


def random_levels(image_shape, n_images):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (n_images, *image_shape), generator=generator, dtype=torch.uint8)


def grey_images(n=36):
    """Grey images from 0 to 8 of three classes."""
    return np.random.RandomState(0).randint(9, size=(n, 3, 3)), np.arange(n) % 3


def quick(**parameters):
    options = {"n_filters": 4, "n_mixtures": 1, "batch_size": 8, "max_epochs": 1, "device": "cpu"}
    return GenerativeBayesClassifier(**(options | {"random_state": 0} | parameters))


# Levels


def test_every_image_is_moved_by_one_of_all_moves_and_its_edges_are_repeated():
    image = np.arange(40, dtype=np.uint8).reshape(2, 4, 5)
    torch.manual_seed(0)
    found = shift_at_random(torch.from_numpy(image).expand(2500, -1, -1, -1), 2).numpy()
    assert found.dtype == np.uint8
    moves = [which_move(image, each, 2) for each in found]
    _, counts = np.unique(moves, axis=0, return_counts=True)
    assert len(counts) == 25
    assert chisquare(counts).pvalue > 1e-3


def test_images_are_moved_independently_and_the_seed_decides():
    levels = random_levels((3, 6, 6), 50)
    torch.manual_seed(0)
    first = shift_at_random(levels, 3)
    moves = {which_move(image.numpy(), each.numpy(), 3) for image, each in zip(levels, first, strict=True)}
    assert len(moves) > 20
    torch.manual_seed(0)
    assert torch.equal(shift_at_random(levels, 3), first)


@pytest.mark.parametrize("image_shape", [(1, 1, 4), (1, 4, 1), (3, 1, 1)], ids=str)
def test_a_move_may_be_larger_than_the_image(image_shape):
    levels = random_levels(image_shape, 20)
    found = shift_at_random(levels, 6)
    assert found.shape == levels.shape
    for image, each in zip(levels, found, strict=True):
        assert set(each.flatten().tolist()) <= set(image.flatten().tolist())


def test_without_moves_images_stay():
    levels = random_levels((2, 3, 4), 5)
    assert torch.equal(shift_at_random(levels, 0), levels)


# The model


def test_training_scores_moved_images_alike_for_all_their_classes():
    model = make_model((1, 4, 4), 8).train()
    levels, labels = make_levels(model), make_labels(model)
    groups = torch.stack([labels, (labels + 1) % 3])
    model.shift = 1
    torch.manual_seed(3)
    found = model(levels, groups)
    model.shift = 0
    torch.manual_seed(3)
    expected = model(shift_at_random(levels, 1), groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert (found != model(levels, groups)).any()


def test_densities_are_those_of_the_images_as_they_are():
    model = make_model((1, 4, 4), 8).eval()
    levels, labels = make_levels(model), make_labels(model)
    expected = model(levels, labels)
    model.shift = 2
    assert torch.equal(model(levels, labels), expected)


# The estimator


def test_the_estimator_trains_on_moved_images():
    X, y = grey_images()
    plain, one, other = (quick(shift=shift).fit(X, y) for shift in (0, 1, 1))
    assert one.history_[0]["train_bpd"] != plain.history_[0]["train_bpd"]
    assert one.history_[0]["train_bpd"] == other.history_[0]["train_bpd"]
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    assert one.net_.module_.shift == 1


def test_moves_generalise_from_one_place_to_its_neighbours():
    """A bright pixel in the middle in training, beside it in the test: what shifts are for."""
    rng = np.random.RandomState(0)
    X = rng.randint(2, size=(64, 5, 5))
    X[:, 2, 2] = 7
    y = np.arange(64) % 2
    elsewhere = X.copy()
    elsewhere[:, 2, 2] = 0
    elsewhere[:, 1, 3] = 7
    settings = {"max_epochs": 10, "lr": 0.01, "n_levels": 8, "pixel_range": (0, 7), "dropout": 0.0}
    plain, shifted = (quick(shift=shift, **settings).fit(X, y) for shift in (0, 1))
    assert shifted.bits_per_dim(elsewhere, y) < plain.bits_per_dim(elsewhere, y) - 0.1


def test_it_may_change_when_training_goes_on():
    X, y = grey_images()
    clf = quick(shift=1, warm_start=True).fit(X, y)
    clf.set_params(shift=0).fit(X, y)
    assert clf.net_.module_.shift == 0
    assert clf.n_iter_ == 2


def test_a_model_file_keeps_it(tmp_path):
    clf = quick(shift=2).fit(*grey_images())
    clf.save(tmp_path / "model")
    again = GenerativeBayesClassifier.load(tmp_path / "model")
    assert again.shift == 2
    np.testing.assert_array_equal(again.predict_proba(grey_images()[0]), clf.predict_proba(grey_images()[0]))


def test_images_are_not_moved_out_of_sight():
    X, y = grey_images()
    for learn in (lambda clf: clf.fit(X, y), lambda clf: clf.partial_fit(X, y, classes=[0, 1, 2])):
        with pytest.raises(InvalidParameterError, match=r"'shift' .* below the sides.*\(3, 3\), got 3"):
            learn(quick(shift=3))
