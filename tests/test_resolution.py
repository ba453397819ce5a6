"""Images larger than the model: they are reduced inside the estimator, whatever their layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from small import photographs, quick, same_predictions, shades

from gencls import InvalidInputError, RandomCrop, neg_bits_per_dim_scorer
from gencls.images.resizing import resize_images


def test_a_model_of_reduced_images_is_that_of_images_reduced_before():
    X, y = photographs()
    clf = quick(resolution=(4, 5), max_epochs=2).fit(X, y)
    small = resize_images(X, (4, 5))
    other = quick(max_epochs=2).fit(small, y)
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), other.predict_joint_log_proba(small))
    np.testing.assert_array_equal(clf.sample(3, random_state=0)[0], other.sample(3, random_state=0)[0])
    assert clf.bits_per_dim(X, y) == other.bits_per_dim(small, y)
    assert clf.sample(3, random_state=0)[0].shape == (3, 4, 5, 3)
    assert clf.image_shape_ == (8, 8, 3)
    assert clf.n_features_in_ == 8


def test_densities_are_those_of_the_reduced_image():
    X, y = photographs()
    clf = quick(resolution=4).fit(X, y)
    finer = X.copy()
    finer[:, 3, 3] ^= 1  # too little for most of the reduced levels
    same = (clf.codec_.encode(finer.reshape(24, -1)) == clf.codec_.encode(X.reshape(24, -1))).all((1, 2, 3))
    assert same.any()
    np.testing.assert_array_equal(clf.score_samples(finer)[same], clf.score_samples(X)[same])
    nats = clf.log_likelihood(X, y).mean()
    assert clf.bits_per_dim(X, y) == pytest.approx(-nats / (3 * 4 * 4 * np.log(2)))


@pytest.mark.parametrize("resolution", [8, (8, 8), None], ids=str)
def test_the_resolution_of_the_images_themselves_changes_nothing(resolution):
    X, y = photographs()
    clf = quick(resolution=resolution).fit(X, y)
    assert same_predictions(clf, quick().fit(X, y), X)
    assert clf.codec_.tensor_shape_ == (3, 8, 8)


LAYOUTS: dict[str, tuple[tuple[int, ...], dict[str, Any], tuple[int, ...]]] = {
    "flat grey squares": ((64,), {}, (16,)),
    "flat rows of a given shape": ((6 * 8 * 3,), {"image_shape": (6, 8, 3)}, (4 * 4 * 3,)),
    "flat rows, channels first": ((3 * 6 * 8,), {"image_shape": (3, 6, 8), "channel_axis": 1}, (48,)),
    "grey": ((7, 5), {}, (4, 4)),
    "channels last": ((6, 8, 3), {}, (4, 4, 3)),
    "channels first": ((3, 6, 8), {"channel_axis": 1}, (3, 4, 4)),
    "two channels first": ((2, 6, 8), {"channel_axis": 1}, (2, 4, 4)),
}


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_of_every_layout_and_type(layout, dtype):
    shape, parameters, drawn_shape = LAYOUTS[layout]
    X = np.random.RandomState(0).randint(256, size=(12, *shape)).astype(dtype)
    if dtype.startswith("float"):
        X /= 255
    clf = quick(resolution=4, **parameters).fit(X, np.arange(12) % 2)
    assert clf.codec_.tensor_shape_[1:] == (4, 4)
    drawn, _ = clf.sample(2, random_state=0)
    assert drawn.shape == (2, *drawn_shape)
    assert drawn.dtype == X.dtype
    assert X.min() <= drawn.min() <= drawn.max() <= X.max() or dtype == "uint8"
    assert np.isfinite(clf.predict_joint_log_proba(X)).all()
    flat = X.reshape(12, -1)
    np.testing.assert_array_equal(clf.predict_joint_log_proba(flat), clf.predict_joint_log_proba(X))
    completed, _ = clf.complete(X, 2, random_state=0)
    assert completed.shape == (12, *drawn_shape)


def test_channels_first_and_last_are_the_same():
    X, y = photographs()
    last, first = quick(resolution=5).fit(X, y), quick(resolution=5, channel_axis=1)
    first.fit(X.transpose(0, 3, 1, 2), y)
    np.testing.assert_array_equal(
        first.predict_joint_log_proba(X.transpose(0, 3, 1, 2)), last.predict_joint_log_proba(X)
    )


def test_the_whole_range_of_the_images_is_kept_in_view():
    """Levels are those of the images as they are given, though reduced ones have fewer extremes."""
    X, y = shades(size=(6, 6))
    clf = quick(resolution=2).fit(X, y)
    assert (clf.codec_.low_, clf.codec_.high_, clf.codec_.n_levels_) == (0, 8, 9)


@pytest.mark.parametrize("resolution", [9, (8, 9), (9, 8)], ids=str)
def test_larger_than_the_images_is_an_error(resolution):
    X, y = photographs()
    with pytest.raises(InvalidInputError, match=r"^X .*8 rows and 8 columns.*resolution="):
        quick(resolution=resolution).fit(X, y)


def test_images_smaller_than_the_model_are_refused():
    X, y = photographs()
    clf = quick(resolution=4).fit(X, y)
    with pytest.raises(InvalidInputError, match=r"X\[0\] has 4 rows and 3 columns.*4×4"):
        clf.predict(photographs(size=(4, 3))[0])


def test_a_changed_resolution_is_refused_in_a_warm_start():
    X, y = photographs()
    clf = quick(resolution=4, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"resolution was \(4, 4\) and is \(5, 5\)"):
        clf.set_params(resolution=5).fit(X, y)
    assert clf.set_params(resolution=(4, 4)).fit(X, y).n_iter_ == 2


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_it_is_an_axis_of_a_search(n_jobs):
    X, y = photographs(24)
    grid = {"resolution": [3, (4, 5)], "conditioner": ["mild", "late"]}
    search = GridSearchCV(quick(), grid, cv=2, n_jobs=n_jobs, error_score="raise").fit(X, y)
    size = search.best_params_["resolution"]
    expected = (size, size) if isinstance(size, int) else size
    assert search.best_estimator_.codec_.tensor_shape_[1:] == expected
    assert search.predict(X).shape == (24,)
    by_bits = clone(search).set_params(scoring=neg_bits_per_dim_scorer).fit(X, y)
    assert len(set(by_bits.cv_results_["mean_test_score"])) == 4


def test_a_weight_is_a_repetition_also_with_crops():
    X, y = photographs()
    weights = np.random.RandomState(0).randint(1, 3, size=24)
    clf = quick(resolution=4, augmentation=RandomCrop())
    weighted = clone(clf).fit(X, y, sample_weight=weights)
    repeated = clone(clf).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert same_predictions(weighted, repeated, X)


def test_crops_see_all_pixels_and_held_out_images_none():
    """Training with crops is different from training without, and what is held out is not cropped."""
    X, y = photographs()
    plain, cropped = (quick(resolution=4, augmentation=each, lr=1e-12) for each in (None, RandomCrop(0.5)))
    for each in (plain, cropped):
        each.fit(X, y, X_val=X, y_val=y)
    assert plain.history_[0]["valid_bpd"] == pytest.approx(cropped.history_[0]["valid_bpd"], rel=1e-5)
    assert plain.history_[0]["train_bpd"] != pytest.approx(cropped.history_[0]["train_bpd"], rel=1e-5)


def test_a_model_of_reduced_images_holds_none_of_them():
    X, y = photographs(24, size=(64, 64))
    clf = quick(resolution=2, augmentation=RandomCrop()).fit(X, y, X_val=X, y_val=y)
    assert [getattr(clf.net_, name) for name in ("plan_", "data_", "held_out_", "stage_")] == [None] * 4
    arrays = [value for value in vars(clf).values() if isinstance(value, np.ndarray | torch.Tensor)]
    assert max(np.asarray(value).size for value in arrays) == 3
