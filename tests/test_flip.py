"""Images that are equally likely flipped: the density, training, and sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import all_images, disturb, make_levels, make_model
from scipy.stats import chisquare
from small import PLAIN

from gencls import Flip, GenerativeBayesClassifier, InvalidParameterError, Shift, Stage
from gencls.inference import Scorer, draw_images

CLASSES = torch.arange(3)


def twins(image_shape=(1, 3, 4), n_levels=4, **options):
    """A model with the symmetry, and the same one without."""
    return tuple(make_model(image_shape, n_levels, symmetry=each, **options) for each in ("flip", None))


# Levels


def test_the_orbit_of_an_image():
    levels = torch.tensor([[[[1, 2, 3], [4, 5, 6]]]])
    image, flipped = Flip().orbit(levels)
    assert torch.equal(image, levels)
    assert flipped.tolist() == [[[[3, 2, 1], [6, 5, 4]]]]


def test_half_of_the_images_are_flipped_independently():
    levels = torch.arange(3).expand(4000, 1, 1, 3)
    flipped = Flip().per_batch(levels, torch.Generator().manual_seed(0))[:, 0, 0, 0] == 2
    assert abs(flipped.double().mean() - 0.5) < 0.03
    repeated = flipped[1:] == flipped[:-1]
    assert abs(repeated.double().mean() - 0.5) < 0.03


# The density


@pytest.mark.parametrize(
    ("image_shape", "n_levels"), [((1, 1, 2), 3), ((1, 2, 2), 2), ((2, 1, 2), 2), ((1, 2, 1), 5)], ids=str
)
@pytest.mark.parametrize("conditioner", ["mild", "spatial-film", "unconditional"])
def test_the_probabilities_of_all_images_sum_to_1(conditioner, image_shape, n_levels):
    model, _ = twins(image_shape, n_levels, conditioner=conditioner)
    with torch.inference_mode():
        found = model.log_prob_per_class(all_images(image_shape, n_levels), CLASSES).exp().sum(0)
    torch.testing.assert_close(found, torch.ones(3).double(), rtol=0, atol=1e-9)


@torch.inference_mode()
def test_the_density_is_the_mean_over_both_orientations():
    model, plain = twins()
    levels = make_levels(model, 6)
    for n_rows in (None, 0, 2):
        one, other = (plain.log_prob_per_class(each, CLASSES, n_rows) for each in (levels, levels.flip(-1)))
        found = model.log_prob_per_class(levels, CLASSES, n_rows)
        torch.testing.assert_close(found, torch.log((one.exp() + other.exp()) / 2), rtol=1e-9, atol=1e-9)
    assert (found - plain.log_prob_per_class(levels, CLASSES)).abs().min() > 1e-3


@torch.inference_mode()
def test_training_maximises_the_density_of_the_network():
    model, plain = twins()
    levels, labels = make_levels(model, 6), torch.arange(6) % 3
    for train in (True, False):
        torch.testing.assert_close(model.train(train)(levels, labels), plain.train(train)(levels, labels))
    assert (model.log_prob(levels, labels) - model(levels, labels)).abs().min() > 1e-3
    torch.testing.assert_close(plain.log_prob(levels, labels), plain(levels, labels))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_an_image_and_its_flipped_copy_are_equally_probable(dtype):
    model, plain = (Scorer(each.to(dtype)) for each in twins((3, 4, 5), 256))
    levels = make_levels(model.model, 20)
    np.testing.assert_array_equal(model.joint(levels.flip(-1)), model.joint(levels))
    assert abs(plain.joint(levels.flip(-1)) - plain.joint(levels)).min() > 1e-3


# Sampling


def frequencies(drawn, images):
    """How often each of all images was drawn."""
    matches = (drawn.flatten(1)[:, None].long() == images.flatten(1)).all(2)
    return matches.sum(0).double().numpy()


@torch.inference_mode()
@pytest.mark.parametrize("n_rows", [0, 1])
def test_images_are_drawn_with_the_probabilities_of_the_density(n_rows):
    """Also given the upper row, which depends on the orientation."""
    model, plain = twins((1, 2, 2), 2, conditioner="strong")
    for each in (model, plain):
        disturb(each, 1.0)
    images, n = all_images((1, 2, 2), 2), 2000
    upper = torch.tensor([[0, 1]])[:, :, None].permute(0, 2, 1)[:, None][:, :, :n_rows]
    known = upper.to(torch.uint8).expand(n, -1, -1, -1)
    drawn = draw_images(model, torch.ones(n, dtype=torch.long), np.random.RandomState(0), known=known)
    assert torch.equal(drawn[:, :, :n_rows], known)
    fits = (images[:, :, :n_rows] == upper).flatten(1).all(1).numpy()
    observed = frequencies(drawn, images)[fits]
    for each, passes in ((model, True), (plain, False)):  # a control: the density of the network fails
        expected = each.log_prob_per_class(images, CLASSES).exp()[:, 1].numpy()[fits]
        assert (chisquare(observed, n * expected / expected.sum()).pvalue > 1e-3) == passes


def test_the_first_images_are_the_same_when_more_are_drawn():
    model, _ = twins()
    labels = torch.arange(9) % 3
    known = make_levels(model, 9)[:, :, :1].to(torch.uint8)
    for rows in (None, known):
        many = draw_images(model, labels, np.random.RandomState(0), known=rows)
        few_rows = None if rows is None else rows[:4]
        few = draw_images(model, labels[:4], np.random.RandomState(0), known=few_rows)
        assert torch.equal(many[:4], few)


# The estimator


def make_images(n=60, seed=0):
    """Bright on the left only, more so in the second class."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % 2
    X = rng.randint(3, size=(n, 2, 3))
    X[:, :, 0] += 4 * y[:, None] + 3
    X[0, 0, 0], X[1, 0, 0] = 0, 9
    return X, y


def quick(**parameters):
    defaults: dict[str, Any] = {
        "n_filters": 6,
        "n_mixtures": 2,
        "dropout": 0.0,
        "max_epochs": 1,
        "batch_size": 8,
        "lr": 0.01,
    }
    defaults |= {"compute": "plain", "random_state": 0}
    return GenerativeBayesClassifier(**(PLAIN | defaults | parameters))


@pytest.fixture(scope="module")
def fitted():
    X_val, y_val = make_images(20, seed=1)
    clf = quick(augmentation=Flip(), max_epochs=8, net_params={"gradient_clip": 1.0})
    return clf.fit(*make_images(), X_val=X_val, y_val=y_val)


def leans_left(X):
    return X[..., 0].mean(1) > X[..., -1].mean(1)


def test_both_orientations_are_learned_from_one(fitted):
    X, y = make_images(40, seed=2)
    assert fitted.score(X, y) > 0.9
    drawn, _ = fitted.sample(60, random_state=0)
    assert 0.25 < leans_left(drawn).mean() < 0.75


def test_weights_are_initialised_by_both_orientations(monkeypatch):
    seen = []
    place = "gencls.density.model.PixelCNN.initialise"
    monkeypatch.setattr(place, lambda network, images, modulations: seen.append(images))
    X = np.tile(np.arange(3), (40, 2, 1))
    X[:, 0, 1] = np.arange(40) % 8
    for augmentation in ("flip", None):
        quick(augmentation=augmentation).fit(X, np.arange(40) % 2)
    columns = [set(batch[..., -1, 0].flatten().tolist()) for batch in seen]
    assert [len(levels) for levels in columns] == [2, 1]


def test_flipped_images_have_the_same_predictions(fitted):
    X, _ = make_images(20, seed=2)
    np.testing.assert_array_equal(fitted.predict_proba(X[:, :, ::-1]), fitted.predict_proba(X))
    np.testing.assert_array_equal(fitted.score_samples(X[:, :, ::-1]), fitted.score_samples(X))


def test_held_out_images_are_scored_as_in_prediction(fitted):
    X, y = make_images(20, seed=1)
    assert fitted.history_[-1]["valid_bpd"] == pytest.approx(fitted.bits_per_dim(X, y))
    assert fitted.history_[-1]["valid_accuracy"] == fitted.score(X, y)


def test_completed_images_keep_their_rows_and_their_orientation(fitted):
    X, y = make_images(40, seed=3)
    for given in (None, y):
        completed, labels = fitted.complete(X, 1, y=given, random_state=0)
        np.testing.assert_array_equal(completed[:, :1], X[:, :1])
        assert leans_left(completed[:, 1:]).mean() > 0.8
        completed, flipped_labels = fitted.complete(X[:, :, ::-1], 1, y=given, random_state=0)
        np.testing.assert_array_equal(completed[:, :1], X[:, :1, ::-1])
        assert leans_left(completed[:, 1:]).mean() < 0.2
        np.testing.assert_array_equal(flipped_labels, labels)
    np.testing.assert_array_equal(fitted.complete(X, 2, random_state=0)[0], X)


def test_the_seed_decides_everything(fitted):
    X, y = make_images(16)
    one, other = (quick(augmentation="flip").fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    np.testing.assert_array_equal(*(fitted.complete(X, 1, random_state=3)[0] for _ in range(2)))
    few, labels = fitted.sample(4, random_state=0)
    many, more_labels = fitted.sample(12, random_state=0)
    np.testing.assert_array_equal(few, many[:4])
    np.testing.assert_array_equal(labels, more_labels[:4])
    assert (fitted.sample(4, random_state=1)[0] != few).any()


def test_without_flip_nothing_is_flipped():
    X, y = make_images(16)
    clf = quick(augmentation=Shift(1)).fit(X, y)
    assert clf.net_.module_.symmetry.parts == []
    assert (clf.score_samples(X[:, :, ::-1]) != clf.score_samples(X)).all()


def test_the_last_stage_decides_the_symmetry():
    X, y = make_images(16)
    clf = quick(augmentation="flip", stages=[Stage(1), Stage(1, augmentation=[])]).fit(X, y)
    assert (clf.score_samples(X[:, :, ::-1]) != clf.score_samples(X)).all()


def test_training_continues_only_with_the_same_density():
    clf = quick(augmentation=[Flip()], warm_start=True).fit(*make_images(16))
    clf.set_params(augmentation=[Shift(1), Flip()])
    assert clf.fit(*make_images(16)).n_iter_ == 2
    with pytest.raises(InvalidParameterError, match=r"symmetry was \[Flip\(\)\] and is \[\]"):
        clf.set_params(augmentation=None).fit(*make_images(16))
