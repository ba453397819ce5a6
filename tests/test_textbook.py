"""The textbook implementation of the benchmarks: the same probabilities and images as ours."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import make_labels, make_model
from sklearn.datasets import load_digits

from gencls.inference import cached_sample
from gencls.inference.sampling import draw_noise

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from baselines.textbook import Textbook


def pair(image_shape, n_levels, n_classes):
    """A model and the textbook's with its weights."""
    size = {"n_layers": 2, "n_filters": 4, "n_mixtures": 3}
    model = make_model(image_shape, n_levels, n_classes, **size)
    return model, Textbook(image_shape, n_levels, n_classes, **size).double().adopt(model).eval()


def test_likelihoods_are_the_same():
    model, textbook = pair((1, 8, 8), 17, 10)
    digits = load_digits()
    levels, labels = torch.from_numpy(digits.images[:9]).long()[:, None], torch.from_numpy(digits.target[:9])
    torch.testing.assert_close(textbook(levels, labels), model(levels, labels), rtol=1e-6, atol=1e-6)
    scores = model.log_prob_per_class(levels, torch.arange(10))
    torch.testing.assert_close(textbook.score_all(levels), scores, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("image_shape", [(3, 5, 6), (1, 3, 4)])
def test_images_are_the_same(image_shape):
    model, textbook = pair(image_shape, 256, 3)
    labels = make_labels(model, 4)
    noise = draw_noise(model, 4, np.random.RandomState(0))
    assert torch.equal(textbook.sample(labels, torch.from_numpy(noise)), cached_sample(model, labels, noise))
