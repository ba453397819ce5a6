"""What the tests of the estimator share: images of a few shades, and small classifiers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from gencls import GenerativeBayesClassifier

# One stage of likelihood on the images as they are, for tests of anything but the defaults.
PLAIN: dict[str, Any] = {
    "conditioner": "mild",
    "objective": "likelihood",
    "augmentation": None,
    "resolution": None,
    "views": None,
    "temperature": 1.0,
    "lr": 1e-3,
    "batch_size": 32,
}
SMALL = PLAIN | {"n_filters": 4, "n_mixtures": 1, "dropout": 0.0, "random_state": 0, "batch_size": 16}
QUICK = SMALL | {"max_epochs": 1}
NAMES = np.array(["ant", "bee", "cat"])


def shades(n=36, n_classes=3, seed=0, size=(3, 3)):
    """Grey images of whole numbers; each class has three shades of its own."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % n_classes
    X = 3 * y[:, None, None] + rng.randint(3, size=(n, *size))
    X[0].flat[0], X[n_classes - 1].flat[0] = 0, 3 * n_classes - 1  # the whole range
    return X, y


def photographs(n=24, n_classes=3, seed=0, size=(8, 8), channels=3):
    """Colour images of bytes; each class has a shade of its own, with noise."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % n_classes
    noise = rng.randint(90, size=(n, *size, channels))
    return (noise + (160 // (n_classes - 1)) * y[:, None, None, None]).astype(np.uint8), y


def quick(**parameters):
    """A small classifier that trains for one epoch."""
    return GenerativeBayesClassifier(**(QUICK | parameters))


@cache
def trained():
    """A classifier that has learned something, of strings as classes. Copy it before you alter it."""
    X, y = shades(90)
    options: dict[str, Any] = {"n_filters": 6, "max_epochs": 12, "batch_size": 16, "lr": 3e-3}
    clf = GenerativeBayesClassifier(**(SMALL | options), net_params={"gradient_clip": 1.0})
    return clf.fit(X, NAMES[y])


def unseen_images():
    """Images that `trained` did not see, and their classes."""
    X, y = shades(30, seed=1)
    return X, NAMES[y]


def same_predictions(one, other, X):
    """Whether two classifiers give images the same densities, to the last bit."""
    return np.array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))


def reshaped(*shape):
    """Numbers of `shades` in any shape."""
    return np.resize(shades()[0], shape)


def missing(value):
    """Images of which one pixel has this value."""
    X = shades()[0].astype(float)
    X[3, 1, 1] = value
    return X
