"""What the tests of model files share: images of a few shades, and small classifiers with dropout."""

from __future__ import annotations

from functools import cache

import numpy as np
from small import NAMES, PLAIN

from gencls import GenerativeBayesClassifier

load = GenerativeBayesClassifier.load


def shades(n=24, n_classes=3, size=(3, 3)):
    """Images of any layout; each class has three shades of its own."""
    rng = np.random.RandomState(0)
    y = np.arange(n) % n_classes
    return 3 * y.reshape(-1, *[1] * len(size)) + rng.randint(3, size=(n, *size)), y


def quick(conditioner="mild", **parameters):
    """A small classifier that trains for one epoch."""
    small = {"n_filters": 4, "n_mixtures": 1, "batch_size": 12, "max_epochs": 1, "random_state": 0}
    return GenerativeBayesClassifier(**(PLAIN | small | {"conditioner": conditioner} | parameters))


@cache
def saved():
    """A classifier of strings as classes. Copy it before you alter it."""
    X, y = shades()
    return quick(max_epochs=2).fit(X, NAMES[y])
