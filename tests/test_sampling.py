"""Images drawn follow the model, and the noise alone decides which."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import REPRESENTATIVE, Swapped, all_images, disturb, four_of_each, make_levels, make_model
from scipy.stats import chisquare

from gencls import Flip
from gencls.inference import ancestral_sample, draw_images
from gencls.inference.sampling import draw_noise


def draw(model, labels, seed=0, **options):
    labels = torch.as_tensor(labels)
    noise = draw_noise(model, len(labels), np.random.RandomState(seed))
    return ancestral_sample(model, labels, noise, **options)


@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
@pytest.mark.parametrize(
    ("image_shape", "n_levels"), [((1, 3, 3), 5), ((3, 2, 3), 256), ((1, 1, 1), 2)], ids=str
)
def test_levels_are_whole_numbers_in_range(conditioner, image_shape, n_levels):
    model = make_model(image_shape, n_levels, conditioner=conditioner)
    levels = draw(model, [0, 1, 2, 0, 1, 2, 2, 2])
    assert levels.shape == (8, *image_shape)
    assert levels.dtype == torch.uint8
    assert int(levels.max()) < n_levels
    assert len(levels.unique()) > 1


@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_classes_mixed_in_a_batch_give_what_each_gives_alone(conditioner):
    model = make_model((1, 3, 3), 5, conditioner=conditioner)
    labels = torch.tensor([2, 0, 1, 1, 0])
    noise = draw_noise(model, 5, np.random.RandomState(0))
    together = ancestral_sample(model, labels, noise)
    alone = [ancestral_sample(model, labels[i : i + 1], noise[i : i + 1]) for i in range(5)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=0)


def test_the_same_noise_gives_the_same_images():
    model = make_model((3, 3, 3), 256)
    first = draw(model, [0, 1, 2])
    torch.testing.assert_close(first, draw(model, [0, 1, 2]), rtol=0, atol=0)
    assert (first != draw(model, [0, 1, 2], seed=1)).any()
    assert (first != draw(model, [1, 2, 0])).any()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 64])
def test_batches_change_nothing(batch_size):
    model = make_model((1, 3, 3), 17)
    labels = torch.arange(7) % 3
    torch.testing.assert_close(
        draw(model, labels, batch_size=batch_size), draw(model, labels), rtol=0, atol=0
    )


def test_the_first_images_are_the_same_when_more_are_drawn():
    model = make_model((1, 3, 3), 17)
    labels = torch.arange(9) % 3
    torch.testing.assert_close(draw(model, labels[:4]), draw(model, labels)[:4], rtol=0, atol=0)


def test_noise_has_a_stream_for_each_image_and_is_never_0_or_1():
    model = make_model((3, 2, 4))
    noise = draw_noise(model, 500, np.random.RandomState(0))
    assert noise.shape == (500, 2, 4, 2 + 3)
    np.testing.assert_array_equal(draw_noise(model, 9, np.random.RandomState(0)), noise[:9])

    class Edges(np.random.RandomState):
        def random_sample(self, shape):  # type: ignore[override]
            return np.linspace(0, 1, int(np.prod(shape))).reshape(shape)

    edges = draw_noise(model, 1, Edges()).astype(np.float32)
    assert edges.min() > 0
    assert edges.max() < 1


@pytest.mark.parametrize(
    ("image_shape", "n_levels"), [((1, 1, 2), 2), ((2, 1, 1), 3), ((1, 2, 2), 2)], ids=str
)
@pytest.mark.parametrize("label", [0, 2])
def test_images_are_as_frequent_as_the_model_says(image_shape, n_levels, label):
    model = make_model(image_shape, n_levels, conditioner="strong")
    disturb(model.conditioner, 1.0)
    n = 4000
    drawn = draw(model, torch.full((n,), label), batch_size=n)
    images = all_images(image_shape, n_levels)
    with torch.inference_mode():
        expected = n * model.log_prob_per_class(images, torch.arange(3)).exp().numpy()
    place = n_levels ** torch.arange(model.n_dimensions - 1, -1, -1)
    observed = np.bincount((drawn.flatten(1).long() * place).sum(1).numpy(), minlength=len(images))
    assert chisquare(observed, expected[:, label]).pvalue > 1e-3
    other = expected[:, (label + 1) % 3]  # a control: another class would not pass
    assert chisquare(observed, other * n / other.sum()).pvalue < 1e-3


def test_every_pixel_depends_on_those_drawn_before_it():
    """Given the pixels before, the same noise draws each pixel again."""
    model = make_model((1, 2, 3), 17)
    noise = draw_noise(model, 1, np.random.RandomState(0))
    levels = ancestral_sample(model, torch.tensor([1]), noise)
    images = model.likelihood.scale(levels, torch.float64)
    with torch.inference_mode():
        outputs = model.network(images, model.modulate_images(torch.tensor([1])))[0].permute(0, 2, 3, 1)
        again = model.likelihood.sample(outputs, torch.from_numpy(noise))
    torch.testing.assert_close(again.permute(0, 3, 1, 2), levels.long(), rtol=0, atol=0)


def test_progress_is_shown_on_request(capsys):
    model = make_model((1, 2, 2))
    draw(model, [0])
    assert capsys.readouterr().err == ""
    draw(model, [0], verbose=1)
    assert "4/4" in capsys.readouterr().err


# Symmetry: the density that is drawn from is the mean over the orbit


def frequencies(drawn, images):
    """How often each of all images was drawn."""
    matches = (drawn.flatten(1)[:, None].long() == images.flatten(1)).all(2)
    return matches.sum(0).double().numpy()


def twins(image_shape, n_levels, symmetry):
    """A model far from symmetric with a symmetry, and the same network without."""
    models = [
        make_model(image_shape, n_levels, conditioner="strong", symmetry=each) for each in (symmetry, None)
    ]
    for each in models:
        torch.manual_seed(0)
        disturb(each, 0.7)
    return models


@pytest.mark.parametrize("n_rows", [0, 1])
@pytest.mark.parametrize("n_levels", [2, 3])
@pytest.mark.parametrize("symmetry", ["flip", "four"])
@torch.inference_mode()
def test_images_are_drawn_as_often_as_the_symmetric_density_says(symmetry, n_levels, n_rows):
    """Given the upper row too, which says something about the place in the orbit."""
    shape, n = (1, 2, 2), 2000
    model, network = twins(shape, n_levels, four_of_each(n_levels) if symmetry == "four" else symmetry)
    images = all_images(shape, n_levels)
    known = torch.tensor([[[[0, 1]]]], dtype=torch.uint8)[:, :, :n_rows].expand(n, -1, -1, -1)
    drawn = draw_images(model, torch.ones(n, dtype=torch.long), np.random.RandomState(0), known=known)
    assert torch.equal(drawn[:, :, :n_rows], known)
    fits = (images[:, :, :n_rows] == known[0, 0]).flatten(1).all(1).numpy()
    observed = frequencies(drawn, images)[fits]
    for each, passes in ((model, True), (network, False)):  # a control: the network would not pass
        expected = each.log_prob_per_class(images, torch.arange(3)).exp()[:, 1].numpy()[fits]
        assert (chisquare(observed, n * expected / expected.sum()).pvalue > 1e-3) == passes


@torch.inference_mode()
def test_transformations_need_not_commute():
    shape, n = (1, 1, 3), 2000
    model, network = twins(shape, 2, [Flip(), Swapped()])
    images = all_images(shape, 2)
    observed = frequencies(
        draw_images(model, torch.ones(n, dtype=torch.long), np.random.RandomState(0)), images
    )
    for each, passes in ((model, True), (network, False)):
        expected = n * each.log_prob_per_class(images, torch.arange(3)).exp()[:, 1].numpy()
        assert (chisquare(observed, expected).pvalue > 1e-3) == passes


SYMMETRIES = {"none": None, "flip": "flip", "four": four_of_each(5), "not commuting": [Swapped(), Flip()]}


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_completions_keep_the_known_rows_of_each_image(symmetry):
    model = make_model((2, 4, 3), 5, symmetry=SYMMETRIES[symmetry])
    levels, labels = make_levels(model, 12).to(torch.uint8), torch.arange(12) % 3
    for n_rows in (0, 1, 3, 4):
        known = levels[:, :, :n_rows]
        drawn = draw_images(model, labels, np.random.RandomState(0), known=known)
        assert drawn.dtype == torch.uint8
        assert drawn.shape == levels.shape
        assert torch.equal(drawn[:, :, :n_rows], known)
        assert int(drawn.max()) < 5


@pytest.mark.parametrize("n_rows", [None, 1])
def test_with_a_symmetry_the_first_images_are_the_same_when_more_are_drawn(n_rows):
    model = make_model((1, 3, 4), 4, symmetry=four_of_each(4))
    labels = torch.arange(9) % 3
    known = None if n_rows is None else make_levels(model, 9)[:, :, :n_rows].to(torch.uint8)
    many = draw_images(model, labels, np.random.RandomState(0), known=known)
    few = draw_images(model, labels[:4], np.random.RandomState(0), known=None if known is None else known[:4])
    assert torch.equal(many[:4], few)
    assert not torch.equal(many, draw_images(model, labels, np.random.RandomState(1), known=known))
