"""Images that are equally likely mirrored: the density, training, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import all_images, disturb, make_labels, make_levels, make_model
from scipy.stats import chisquare

from gencls import GenerativeBayesClassifier, InvalidParameterError
from gencls.augmentations.flip import log_mean_exp, mirror, mirror_at_random, mirror_where
from gencls.inference import class_log_likelihoods, draw_images

CLASSES = torch.arange(3)


def twins(image_shape=(1, 3, 4), n_levels=4, **options):
    """A model with flip, and the same one without."""
    return tuple(make_model(image_shape, n_levels, flip=flip, **options) for flip in (True, False))


# Levels


def test_mirroring_turns_columns_around_and_back():
    levels = torch.tensor([[[[1, 2, 3], [4, 5, 6]]]])
    assert mirror(levels).tolist() == [[[[3, 2, 1], [6, 5, 4]]]]
    assert torch.equal(mirror(mirror(levels)), levels)
    both = mirror_where(levels.repeat(2, 1, 1, 1), torch.tensor([True, False]))
    assert torch.equal(both, torch.cat([mirror(levels), levels]))


def test_half_of_the_images_are_mirrored_at_random():
    levels = torch.arange(3).expand(4000, 1, 1, 3)
    mirrored = mirror_at_random(levels)[:, 0, 0, 0] == 2
    assert abs(mirrored.double().mean() - 0.5) < 0.03
    torch.manual_seed(1)
    first = mirror_at_random(levels)
    torch.manual_seed(1)
    assert torch.equal(mirror_at_random(levels), first)


def test_the_mean_of_two_probabilities():
    one, other = torch.tensor([0.0, -3.0, -5000.0]).double(), torch.tensor([0.0, -1.0, -5100.0]).double()
    found = log_mean_exp(one, other)
    torch.testing.assert_close(found[:2].exp(), (one[:2].exp() + other[:2].exp()) / 2)
    torch.testing.assert_close(found[2], one[2] - np.log(2))
    assert torch.equal(log_mean_exp(other, one), found)


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
def test_the_density_is_the_mixture_of_both_orientations():
    model, plain = twins()
    levels, labels = make_levels(model, 6), make_labels(model, 6)
    for n_rows in (None, 0, 2):
        one, other = (plain.log_prob_per_class(each, CLASSES, n_rows) for each in (levels, mirror(levels)))
        found = model.log_prob_per_class(levels, CLASSES, n_rows)
        torch.testing.assert_close(found, torch.log((one.exp() + other.exp()) / 2), rtol=1e-9, atol=1e-9)
    assert (model(levels, labels) - plain(levels, labels)).abs().min() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_an_image_and_its_mirror_image_are_equally_probable(dtype):
    model, plain = (each.to(dtype) for each in twins((3, 4, 5), 256))
    levels = make_levels(model, 20)
    scores = class_log_likelihoods(model, levels)
    np.testing.assert_array_equal(class_log_likelihoods(model, mirror(levels)), scores)
    assert (
        abs(class_log_likelihoods(plain, mirror(levels)) - class_log_likelihoods(plain, levels)).min() > 1e-3
    )


# Training


def test_training_scores_a_random_orientation_and_evaluation_none():
    model, plain = twins()
    model.train()
    levels, labels = make_levels(model, 1).expand(64, -1, -1, -1), torch.zeros(64, dtype=torch.long)
    found = set(model(levels, labels).tolist())
    expected = plain(torch.cat([levels[:1], mirror(levels[:1])]), labels[:2]).tolist()
    np.testing.assert_allclose(sorted(found), sorted(expected), rtol=1e-12)
    assert len(set(model.eval()(levels, labels).tolist())) == 1


def test_weights_are_initialised_by_both_orientations():
    levels = torch.arange(4).expand(64, 1, 3, 4)
    seen = []
    for flip in (True, False):
        model = make_model((1, 3, 4), 4, flip=flip)
        hook = model.network.row_above.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        model.initialise(levels, torch.zeros(64, dtype=torch.long))
        hook.remove()
    columns = [set(batch[..., 0, -1, 0].flatten().tolist()) for batch in seen]
    assert [len(levels) for levels in columns] == [2, 1]


# Drawing


def frequencies(drawn, images):
    """How often each of all images was drawn."""
    matches = (drawn.flatten(1)[:, None].long() == images.flatten(1)).all(2)
    return matches.sum(0).double().numpy()


@torch.inference_mode()
@pytest.mark.parametrize("n_rows", [0, 1])
def test_images_are_drawn_as_often_as_the_density_says(n_rows):
    """Given the upper row too, which says something of the orientation."""
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
    for each, passes in ((model, True), (plain, False)):  # a control: the network alone would not pass
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
    """Bright on the left alone, the second class more so."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % 2
    X = rng.randint(3, size=(n, 2, 3))
    X[:, :, 0] += 4 * y[:, None] + 3
    X[0, 0, 0], X[1, 0, 0] = 0, 9
    return X, y


def quick(**parameters):
    defaults = {"n_filters": 6, "n_mixtures": 2, "dropout": 0.0, "max_epochs": 1, "batch_size": 8, "lr": 0.01}
    return GenerativeBayesClassifier(random_state=0, **(defaults | parameters))


@pytest.fixture(scope="module")
def fitted():
    X_val, y_val = make_images(20, seed=1)
    return quick(flip=True, max_epochs=8, gradient_clip=1.0).fit(*make_images(), X_val=X_val, y_val=y_val)


def leans_left(X):
    return X[..., 0].mean(1) > X[..., -1].mean(1)


def test_both_orientations_are_learned_from_one(fitted):
    X, y = make_images(40, seed=2)
    assert fitted.score(X, y) > 0.9
    drawn, _ = fitted.sample(60, random_state=0)
    assert 0.25 < leans_left(drawn).mean() < 0.75


def test_mirror_images_have_the_same_predictions(fitted):
    X, _ = make_images(20, seed=2)
    np.testing.assert_array_equal(fitted.predict_proba(X[:, :, ::-1]), fitted.predict_proba(X))
    np.testing.assert_array_equal(fitted.score_samples(X[:, :, ::-1]), fitted.score_samples(X))


def test_validation_scores_as_prediction_does(fitted):
    X, y = make_images(20, seed=1)
    assert fitted.history_[-1]["valid_bpd"] == pytest.approx(fitted.bits_per_dim(X, y))
    assert fitted.history_[-1]["valid_accuracy"] == fitted.score(X, y)


def test_completed_images_keep_their_rows_and_go_on_in_their_orientation(fitted):
    X, y = make_images(40, seed=3)
    for given in (None, y):
        completed, labels = fitted.complete(X, 1, y=given, random_state=0)
        np.testing.assert_array_equal(completed[:, :1], X[:, :1])
        assert leans_left(completed[:, 1:]).mean() > 0.8
        completed, mirrored_labels = fitted.complete(X[:, :, ::-1], 1, y=given, random_state=0)
        np.testing.assert_array_equal(completed[:, :1], X[:, :1, ::-1])
        assert leans_left(completed[:, 1:]).mean() < 0.2
        np.testing.assert_array_equal(mirrored_labels, labels)
    np.testing.assert_array_equal(fitted.complete(X, 2, random_state=0)[0], X)


def test_the_seed_decides_everything(fitted):
    X, y = make_images(16)
    one, other = (quick(flip=True).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    np.testing.assert_array_equal(*(fitted.complete(X, 1, random_state=3)[0] for _ in range(2)))
    few, labels = fitted.sample(4, random_state=0)
    many, more_labels = fitted.sample(12, random_state=0)
    np.testing.assert_array_equal(few, many[:4])
    np.testing.assert_array_equal(labels, more_labels[:4])
    assert (fitted.sample(4, random_state=1)[0] != few).any()


def test_without_flip_nothing_is_mirrored(monkeypatch):
    def refuse(*args):
        raise AssertionError("mirrored")

    for name in (
        "density.model.mirror",
        "density.model.mirror_at_random",
        "inference.sampling.mirror",
        "inference.sampling.mirror_where",
    ):
        monkeypatch.setattr(f"gencls.{name}", refuse)
    clf = quick().fit(*make_images(16))
    clf.complete(clf.sample(3)[0], 1)
    with pytest.raises(AssertionError, match="mirrored"):
        quick(flip=True).fit(*make_images(16))


def test_training_goes_on_only_with_the_same_density():
    clf = quick(flip=True, warm_start=True).fit(*make_images(16))
    assert clf.fit(*make_images(16)).n_iter_ == 2
    with pytest.raises(InvalidParameterError, match="flip was True and is False"):
        clf.set_params(flip=False).fit(*make_images(16))
