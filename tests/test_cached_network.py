"""The cached sampler draws the images of the plain one, whatever the conditioner, size and channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import REPRESENTATIVE

from gencls import ConditionalPixelCNN
from gencls.inference import ancestral_sample, cached_sample
from gencls.inference.cached_network import CachedPixelCNN
from gencls.inference.sampling import draw_noise

SHAPES = [(1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 3, 5), (1, 7, 7), (4, 1, 9), (3, 9, 4)]


def make_model(shape, conditioner="strong", n_layers=1, n_levels=16):
    torch.manual_seed(0)
    model = ConditionalPixelCNN(shape, n_levels, 3, conditioner, n_layers, n_filters=6, n_mixtures=2).double()
    levels = torch.randint(0, n_levels, (16, *shape), dtype=torch.uint8)
    model.initialise(levels, torch.arange(16) % 3)
    with torch.no_grad():
        for parameter in model.conditioner.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model.eval()


def draw_both(model, n_samples=4):
    noise = draw_noise(model, n_samples, np.random.RandomState(0))
    labels = torch.arange(n_samples) % 3
    return ancestral_sample(model, labels, noise), cached_sample(model, labels, noise)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_layers", [1, 2])
def test_every_size_and_number_of_channels(shape, n_layers):
    plain, cached = draw_both(make_model(shape, n_layers=n_layers))
    assert torch.equal(plain, cached)


@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_every_conditioner(conditioner):
    plain, cached = draw_both(make_model((2, 5, 6), conditioner))
    assert torch.equal(plain, cached)
    assert len(plain.unique()) > 2  # the images are not blank


@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_steps_give_the_outputs_of_the_whole_network(conditioner):
    model = make_model((1, 6, 5), conditioner)
    images = model.likelihood.scale(torch.randint(0, 16, (3, 1, 6, 5)), torch.float64)
    with torch.inference_mode():
        modulations = model.modulate_images(torch.tensor([2, 0, 1]))
        expected = model.network(images, modulations)[0]
        network = CachedPixelCNN(model.network, modulations, 3)
        for row, column in np.ndindex(6, 5):
            if column == 0:
                network.enter(row)
                network.begin_row(row)
            found = network.step(row, column)
            network.put(column, images[:, :, row, column])
            torch.testing.assert_close(found, expected[:, :, row, column], rtol=1e-10, atol=1e-10)


def test_a_pixel_that_is_put_matters():
    model = make_model((1, 2, 2))
    with torch.inference_mode():
        network = CachedPixelCNN(model.network, model.modulate_images(torch.tensor([0, 0])), 2)
        network.begin_row(0)
        first = network.step(0, 0)
        network.put(0, torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
        right = network.step(0, 1)
        network.put(1, torch.zeros(2, 1, dtype=torch.float64))
        network.begin_row(1)
        below = network.step(1, 0)
    torch.testing.assert_close(first[0], first[1])
    for outputs in (right, below):
        assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_batches_do_not_matter():
    model = make_model((1, 3, 3))
    noise = draw_noise(model, 5, np.random.RandomState(2))
    labels = torch.tensor([0, 1, 2, 0, 1])
    together = cached_sample(model, labels, noise)
    assert torch.equal(together, cached_sample(model, labels, noise, batch_size=2))


def test_completing_keeps_the_known_rows_and_draws_the_others_given_them():
    model = make_model((2, 4, 3))
    noise = draw_noise(model, 6, np.random.RandomState(3))
    labels = torch.arange(6) % 3
    images = cached_sample(model, labels, noise)
    assert torch.equal(cached_sample(model, labels, noise, known=images[:, :, :2]), images)
    others = 15 - images[:, :, :2]
    completed = cached_sample(model, labels, noise, known=others)
    assert torch.equal(completed[:, :, :2], others)
