"""Samples of a classifier: their layout, their classes and their seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small import NAMES, quick, trained


@pytest.fixture
def fitted():
    return trained()


LAYOUTS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "grey": ((3, 4), {}),
    "colour": ((3, 2, 3), {}),
    "two channels first": ((2, 3, 2), {"channel_axis": 1}),
    "four channels": ((1, 2, 4), {}),
    "flat square": ((9,), {}),
    "flat strip": ((5,), {}),
    "flat colour": ((12,), {"image_shape": (2, 2, 3)}),
    "one pixel": ((1, 1), {}),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64, np.bool_], ids=lambda t: t.__name__)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_look_like_the_training_images(layout, dtype):
    shape, parameters = LAYOUTS[layout]
    high = {np.uint8: 256, np.bool_: 2}.get(dtype, 7)
    X = np.random.RandomState(0).randint(high, size=(12, *shape)).astype(dtype)
    X.flat[:2] = 0, high - 1
    if dtype is np.float32:
        X /= 6
    clf = quick(**parameters).fit(X, np.arange(12) % 2)
    drawn, labels = clf.sample(3, random_state=0)
    assert drawn.shape == (3, *shape)
    assert drawn.dtype == X.dtype
    assert labels.shape == (3,)
    assert drawn.min() >= X.min()
    assert drawn.max() <= (255 if dtype is np.uint8 else X.max())
    assert np.isfinite(clf.predict_joint_log_proba(drawn)).all()


def test_classes_of_samples(fitted):
    drawn, labels = fitted.sample(4, y="bee", random_state=0)
    assert labels.tolist() == ["bee"] * 4
    assert drawn.shape == (4, 3, 3)
    wanted = ["cat", "ant", "cat"]
    drawn, labels = fitted.sample(y=wanted, random_state=0)
    assert labels.tolist() == wanted
    _, labels = fitted.sample(200, random_state=0)
    assert set(labels) == set(NAMES)


def test_samples_are_recognised(fitted):
    drawn, labels = fitted.sample(60, random_state=0)
    assert fitted.score(drawn, labels) > 0.8


def test_the_seed_decides_what_is_drawn(fitted):
    first, labels = fitted.sample(5, random_state=3)
    again, labels_again = fitted.sample(5, random_state=3)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert (fitted.sample(5, y=labels, random_state=4)[0] != first).any()
    more, _ = fitted.sample(y=np.tile(labels, 2), random_state=3)
    np.testing.assert_array_equal(fitted.sample(y=labels, random_state=3)[0], more[:5])


def test_the_first_samples_are_the_same_when_more_are_drawn(fitted):
    few, few_labels = fitted.sample(5, random_state=0)
    many, many_labels = fitted.sample(20, random_state=0)
    np.testing.assert_array_equal(few_labels, many_labels[:5])
    np.testing.assert_array_equal(few, many[:5])
