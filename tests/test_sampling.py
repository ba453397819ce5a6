"""Images drawn follow the model, and the noise alone decides which."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import all_images, disturb, make_model
from scipy.stats import chisquare

from gencls import list_conditioners
from gencls.inference import ancestral_sample
from gencls.inference.sampling import draw_noise


def draw(model, labels, seed=0, **options):
    labels = torch.as_tensor(labels)
    noise = draw_noise(model, len(labels), np.random.RandomState(seed))
    return ancestral_sample(model, labels, noise, **options)


@pytest.mark.parametrize("conditioner", list_conditioners())
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


@pytest.mark.parametrize("conditioner", list_conditioners())
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

    class Edges:
        def random_sample(self, shape):
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
    """The picture drawn is the one that the model, given its own first pixels, would go on with."""
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
