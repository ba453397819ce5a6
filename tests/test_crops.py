"""Crops: where they lie, what they show, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gencls.errors import InvalidInputError, InvalidParameterError
from gencls.images import CropImages, ReadImages, crop_at_random, six_crops


def ramp(height=40, width=60):
    """An image that shows where it was cut: its channels grow to 240 along rows and columns."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * (240 // height), columns * (240 // width)], axis=-1).astype(np.uint8)


def noise(*shape):
    return np.random.RandomState(0).randint(256, size=shape).astype(np.uint8)


def crops_of_ramps(n_images, smallest, channel):
    """Where crops of ramps begin along one axis, and their length, as parts of the side."""
    ramps = np.repeat(ramp()[None], n_images, axis=0)
    cropped = crop_at_random(ramps, 10, smallest=smallest, random_state=0)
    inside = cropped[:, 1:-1, 1:-1, channel]  # what lies at the border is filtered otherwise
    line = inside.mean(axis=2 - channel)
    step = (line[:, -1] - line[:, 0]) / (line.shape[1] - 1)
    half_a_pixel = 120 / ramp().shape[channel]
    return (line[:, 0] + half_a_pixel - 1.5 * step) / 240, step * 10 / 240


@pytest.mark.parametrize(
    "shape", [(3, 20, 30), (3, 20, 30, 1), (3, 20, 30, 2), (3, 20, 30, 3), (3, 20, 30, 4)]
)
@pytest.mark.parametrize("resample", ["bilinear", "box", "nearest"])
def test_whole_crops_are_images_as_they_are_read(shape, resample):
    images = noise(*shape)
    found = crop_at_random(images, (5, 6), smallest=1, resample=resample, random_state=0)
    assert found.shape == (3, 5, 6, *shape[3:])
    assert found.dtype == np.uint8
    if shape[3:] in ((), (1,), (3,)):  # others have an alpha channel, which `ReadImages` lays on white
        mode = "RGB" if shape[3:] == (3,) else "L"
        plain = images.reshape(shape[:3]) if mode == "L" else images
        expected = ReadImages(size=(5, 6), mode=mode, resample=resample).transform(plain)
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("channel", [0, 1])
def test_sizes_and_positions_are_uniform(channel):
    begin, length = crops_of_ramps(2000, 0.5, channel)
    assert kstest((length - 0.5) / 0.5, "uniform").pvalue > 1e-3
    has_room = length < 0.8
    assert kstest(begin[has_room] / (1 - length[has_room]), "uniform").pvalue > 1e-3
    assert begin.min() > -0.01
    assert (begin + length).max() < 1.01


def test_crops_keep_the_aspect_ratio():
    (_, rows), (_, columns) = crops_of_ramps(200, 0.5, 0), crops_of_ramps(200, 0.5, 1)
    np.testing.assert_allclose(rows, columns, atol=0.02)


def test_nothing_is_padded():
    flat = np.full((50, 16, 16, 3), 77, dtype=np.uint8)
    assert np.unique(crop_at_random(flat, 8, smallest=0.3, random_state=0)) == [77]


def test_images_are_cropped_independently_and_the_seed_decides():
    images = np.repeat(noise(1, 30, 30, 3), 20, axis=0)
    first, again, other = (crop_at_random(images, 8, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == 20


def test_images_are_not_changed_and_may_be_read_only():
    images = noise(4, 20, 20, 3)
    copy = images.copy()
    images.setflags(write=False)
    crop_at_random(images[::2], 8, random_state=0)[...] = 0
    np.testing.assert_array_equal(images, copy)


def test_an_empty_array():
    assert crop_at_random(np.empty((0, 20, 20, 3), dtype=np.uint8), 8).shape == (0, 8, 8, 3)


def test_a_crop_that_needs_no_filter_is_a_slice():
    images = noise(3, 20, 40, 3)
    found = CropImages((10, 20), factor=0.5, row=0.2, column=1).transform(images)
    np.testing.assert_array_equal(found, images[:, 2:12, 20:])


def test_six_crops_are_the_whole_the_middle_and_the_corners():
    images = noise(2, 20, 20, 3)
    found = {name: crop.transform(images) for name, crop in six_crops(10, factor=0.5)}
    np.testing.assert_array_equal(found["whole"], ReadImages(size=10).transform(images))
    np.testing.assert_array_equal(found["middle"], images[:, 5:15, 5:15])
    np.testing.assert_array_equal(found["upper left"], images[:, :10, :10])
    np.testing.assert_array_equal(found["upper right"], images[:, :10, 10:])
    np.testing.assert_array_equal(found["lower left"], images[:, 10:, :10])
    np.testing.assert_array_equal(found["lower right"], images[:, 10:, 10:])
    assert len(found) == 6


def test_the_transformer_learns_nothing_and_is_cloned_and_pickled():
    images, crop = noise(2, 20, 30, 3), CropImages(8).set_params(factor=0.7, row=0.1)
    for same in (clone(crop), pickle.loads(pickle.dumps(crop)), crop.fit(images)):
        np.testing.assert_array_equal(same.transform(images), crop.transform(images))
    tags = crop.__sklearn_tags__()
    assert not tags.requires_fit
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.two_d_array


def test_six_crops_of_one_classifier_vote():
    crops, images, labels = six_crops(4), noise(12, 20, 20), ["dark", "bright"] * 6
    clf = GaussianNB().fit(crops[0][1].transform(images).reshape(12, 16), labels)
    flat = FunctionTransformer(lambda small: small.reshape(len(small), -1))
    members = [(name, make_pipeline(crop, flat, FrozenEstimator(clf))) for name, crop in crops]
    voting = VotingClassifier(members, voting="soft").fit(images, labels)
    views = [flat.transform(crop.transform(images)) for _, crop in crops]
    expected = np.mean([clf.predict_proba(view) for view in views], axis=0)
    np.testing.assert_allclose(voting.predict_proba(images), expected)
    assert set(voting.predict(images)) <= {"dark", "bright"}


@pytest.mark.parametrize(
    ("images", "what"),
    [
        (np.zeros((4, 8, 8)), "float64"),
        (np.zeros((8, 8), np.uint8), r"\(8, 8\)"),
        (np.zeros((4, 8, 8, 5), np.uint8), r"\(4, 8, 8, 5\)"),
        (np.zeros((4, 0, 8, 3), np.uint8), r"\(4, 0, 8, 3\)"),
        ([noise(8, 9, 3), noise(9, 8, 3)], r"\(8, 9, 3\) at .*\(9, 8, 3\) at .*ReadImages\(size=\.\.\.\)"),
        (pd.Series([noise(8, 9), noise(8, 9, 3)]), r"\(8, 9\) at position 0, and \(8, 9, 3\) at position 1"),
        (["a.png"], r"Got paths.* ReadImages\(size=\.\.\.\)"),
        (np.array(["a.png"]), "Got paths"),
        (pd.DataFrame({"path": ["a.png"]}), "Got paths"),
        ([Image.new("L", (9, 9))], "Got paths, files or Pillow images"),
        ("a.png", "Got a single str"),
        ([(noise(8, 9), "label")], "rows of 2 fields"),
        ([[[1, 2], [3]]], "which is not an array"),
        ([noise(8, 9), None], "with None, which is not an array"),
        ([], "Got an empty one"),
        (None, "Got None"),
    ],
)
def test_other_values_are_refused(images, what):
    with pytest.raises(InvalidInputError, match=f"images of crop_at_random must be .*uint8.*{what}"):
        crop_at_random(images, 8)
    with pytest.raises(InvalidInputError, match=f"X of CropImages must be an array of uint8.*{what}"):
        CropImages(8).transform(images)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_ambiguous_arrays_are_refused_with_both_remedies(width):
    images = noise(10, 12, width)
    for name, crop in (("X", CropImages(4).transform), ("images", lambda images: crop_at_random(images, 4))):
        remedies = rf"\[{name}\] for one image, or {name}\[\.\.\., None\] for grey images"
        with pytest.raises(InvalidInputError, match=rf"\(10, 12, {width}\).* {remedies}"):
            crop(images)
        assert crop([images]).shape == (1, 4, 4, width)
        assert crop(images[..., None]).shape == (10, 4, 4, 1)
        assert crop(noise(3, 12, 10)).shape == (3, 4, 4)


def test_images_in_lists_and_columns_are_stacked():
    images = noise(4, 20, 30, 3)
    column = pd.Series(list(images), index=range(4, 0, -1))
    expected = CropImages(8, factor=0.7).transform(images)
    for X in (list(images), column, column.to_numpy(), column.to_frame(), torch.from_numpy(images)):
        np.testing.assert_array_equal(CropImages(8, factor=0.7).transform(X), expected)
        assert crop_at_random(X, 8).shape == (4, 8, 8, 3)


def test_all_wrong_parameters_are_reported_together():
    with pytest.raises(InvalidParameterError) as caught:
        crop_at_random(noise(1, 8, 8), (4, 0), smallest=1.5, resample="spline")
    for name in ("size", "smallest", "resample"):
        assert repr(name) in str(caught.value)
    crop = CropImages(0, factor=0, row=-1, column=2, resample="spline")
    for check in (crop.fit, lambda: crop.transform(noise(1, 8, 8))):
        with pytest.raises(InvalidParameterError) as caught:
            check()
        for name in ("size", "factor", "row", "column", "resample"):
            assert repr(name) in str(caught.value)
    with pytest.raises(InvalidParameterError, match="'factor' of six_crops must be a number above 0"):
        six_crops(8, factor=1.1)


@pytest.mark.parametrize("random_state", ["one", -1, np.random.default_rng(0)], ids=str)
def test_crops_are_drawn_with_random_states_of_numpy(random_state):
    with pytest.raises(InvalidParameterError, match="'random_state' of crop_at_random must be"):
        crop_at_random(np.zeros((2, 4, 5), np.uint8), 2, random_state=random_state)
