"""Training data is made canonical: what is the same is treated the same."""

from __future__ import annotations

import math
import re
import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gencls import InvalidInputError
from gencls.training.data import (
    LabelledImages,
    Samples,
    as_is,
    check_sample_weight,
    hold_out,
    merge_duplicates,
)


def whole(message):
    return f"^{re.escape(message)}$"


def make_samples(n=40, n_classes=3, n_levels=2, size=(1, 2, 2), seed=0):
    """Few different images, so that many are equal."""
    rng = np.random.RandomState(seed)
    levels = rng.randint(n_levels, size=(n, *size)).astype(np.uint8)
    return Samples(levels, rng.randint(n_classes, size=n), rng.uniform(0.1, 2, size=n))


def as_rows(samples):
    """Label and levels to weight."""
    return {
        (int(label), *image.ravel().tolist()): float(weight)
        for image, label, weight in zip(*samples, strict=True)
    }


# merge_duplicates


def test_equal_images_of_a_class_are_merged_and_their_weights_added():
    samples = make_samples()
    merged = merge_duplicates(samples)
    expected = {}
    for image, label, weight in zip(*samples, strict=True):
        key = (int(label), *image.ravel().tolist())
        expected[key] = expected.get(key, 0) + weight
    assert len(merged.labels) == len(expected) < 40
    assert as_rows(merged) == pytest.approx(expected)


def test_equal_images_of_two_classes_stay_apart():
    samples = Samples(np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 0, 1]), np.arange(1.0, 5.0))
    merged = merge_duplicates(samples)
    np.testing.assert_array_equal(merged.labels, [0, 1])
    np.testing.assert_array_equal(merged.weights, [4, 6])


@pytest.mark.parametrize("n_classes", [3, 300])
def test_the_order_does_not_matter(n_classes):
    samples = make_samples(n_classes=n_classes)._replace(weights=np.ones(40))
    order = np.random.RandomState(1).permutation(40)
    for one, other in zip(merge_duplicates(samples), merge_duplicates(samples.take(order)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_weight_of_3_is_a_sample_given_three_times():
    samples = make_samples()
    counts = np.random.RandomState(1).randint(1, 4, size=40)
    repeated = samples._replace(weights=np.ones(40)).take(np.repeat(np.arange(40), counts))
    weighted = samples._replace(weights=counts.astype(float))
    for one, other in zip(merge_duplicates(repeated), merge_duplicates(weighted), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n", [1, 2, 1023, 1024, 1025, 1026, 2048, 2049])
def test_duplicates_are_found_in_whatever_part_they_lie(n):
    samples = make_samples(n)
    merged = merge_duplicates(samples)
    together = np.column_stack([samples.labels, samples.levels.reshape(n, -1)])
    expected, inverse = np.unique(together, axis=0, return_inverse=True)
    np.testing.assert_array_equal(np.column_stack([merged.labels, merged.levels.reshape(-1, 4)]), expected)
    np.testing.assert_array_equal(merged.weights, np.bincount(inverse.ravel(), samples.weights))


def test_merging_needs_no_more_memory_than_the_images_and_their_keys():
    samples = make_samples(5000, n_levels=256, size=(3, 16, 16))
    tracemalloc.start()
    try:
        merge_duplicates(samples)
        assert tracemalloc.get_traced_memory()[1] < 1.6 * samples.levels.nbytes
    finally:
        tracemalloc.stop()


def test_different_images_are_all_kept():
    samples = make_samples(n_levels=256, size=(3, 4, 5))
    merged = merge_duplicates(samples)
    assert as_rows(merged) == as_rows(samples)
    assert merged.levels.shape == samples.levels.shape
    assert (merged.levels.dtype, merged.weights.dtype) == (np.uint8, np.float64)


# hold_out


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_share_of_every_class_is_held_out(fraction):
    labels = np.repeat([0, 1, 2], [40, 80, 120])
    levels = np.arange(240, dtype=np.uint8).reshape(240, 1, 1, 1)
    train, held_out = hold_out(Samples(levels, labels, np.ones(240)), fraction, 0, np.arange(3))
    np.testing.assert_array_equal(np.bincount(held_out.labels), np.array([40, 80, 120]) * fraction)
    together = np.concatenate([train.levels, held_out.levels]).ravel()
    np.testing.assert_array_equal(np.sort(together), np.arange(240))


def test_the_seed_decides_what_is_held_out():
    samples = merge_duplicates(make_samples(n_levels=256))
    first, again, other = (hold_out(samples, 0.3, seed, np.arange(3))[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.levels, again.levels)
    assert (first.levels != other.levels).any()


@pytest.mark.parametrize(
    ("labels", "fraction", "reason"),
    [
        ([0, 0, 1, 1], 0.1, "1 would be held out, fewer than the 2 classes ('cat', 'zebra')"),
        ([0, 0, 1, 1], 0.9, "0 would be left for training, fewer than the 2 classes ('cat', 'zebra')"),
        ([0] * 9 + [1], 0.5, "of these classes there is only one, and two are needed: 'zebra'"),
    ],
)
def test_too_few_images_to_hold_some_out(labels, fraction, reason):
    n = len(labels)
    samples = Samples(np.zeros((n, 1, 1, 1), np.uint8), np.array(labels), np.ones(n))
    message = (
        f"validation_fraction={fraction:g} cannot be held out of {n} different images: {reason}. Give X_val "
        "and y_val, more images, or early_stopping=False and a number for temperature."
    )
    with pytest.raises(InvalidInputError, match=whole(message)):
        hold_out(samples, fraction, seed=0, classes=np.array(["cat", "zebra"]))


@pytest.mark.parametrize("n", [4, 5, 7, 30])
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.3, 0.5, 0.7, 0.99])
def test_what_is_not_refused_is_held_out(n, fraction):
    """So scikit-learn's words about positions of classes never come through."""
    samples = Samples(np.zeros((n, 1, 1, 1), np.uint8), np.arange(n) % 2, np.ones(n))
    few = min(math.ceil(fraction * n), n - math.ceil(fraction * n)) < 2
    with pytest.raises(InvalidInputError, match="'zebra'") if few else nullcontext():
        train, held_out = hold_out(samples, fraction, seed=0, classes=np.array(["cat", "zebra"]))
        assert set(train.labels) == set(held_out.labels) == {0, 1}


# check_sample_weight


def test_no_weights_are_weights_of_1():
    np.testing.assert_array_equal(check_sample_weight(None, 3), [1, 1, 1])


@pytest.mark.parametrize("weights", [[0, 1, 2.5], (1, 1, 1), np.array([1, 2, 3], dtype=np.int8)], ids=str)
def test_weights_become_float64(weights):
    found = check_sample_weight(weights, 3)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, weights)


def test_one_number_weighs_all():
    np.testing.assert_array_equal(check_sample_weight(2, 3), [2, 2, 2])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], "sample_weight must have the shape (3,), one a sample, got (2,)."),
        ([[1, 2, 3]], "sample_weight must have the shape (3,), one a sample, got (1, 3)."),
        ([1, -1, 2], "sample_weight must be finite and non-negative, got values from -1 to 2."),
        ([1, np.nan, 2], "sample_weight must be finite and non-negative, got values from nan to nan."),
        ([1, np.inf, 2], "sample_weight must be finite and non-negative, got values from 1 to inf."),
        ([0, 0, 0], "sample_weight must have a weight above 0, got only zeros."),
        (
            [1e308, 0, 1e308],
            "sample_weight must be 0 or from 1e-200 to 1e+200, got values from 1e+308 to 1e+308, of which "
            "sums cannot be computed. Give them in other units.",
        ),
        (
            [5e-324, 1, 1],
            "sample_weight must be 0 or from 1e-200 to 1e+200, got values from 4.94066e-324 to 1, of which "
            "sums cannot be computed. Give them in other units.",
        ),
        (["1", "2", "3"], "sample_weight must be numbers, one a sample, got ['1', '2', '3']."),
        ([1, None, 2], "sample_weight must be numbers, one a sample, got [1, None, 2]."),
        (
            {0: 1.0, 1: 2.0},
            "sample_weight must be numbers, one a sample, got {0: 1.0, 1: 2.0}. Weights by class become such "
            "by compute_sample_weight of sklearn.utils.class_weight.",
        ),
        ([1, 2j, 3], "sample_weight must be numbers, one a sample, got [1, 2j, 3]."),
    ],
    ids=str,
)
def test_weights_that_do_not_fit(weights, message):
    with pytest.raises(InvalidInputError, match=whole(message)):
        check_sample_weight(weights, 3)


# LabelledImages


def test_weights_have_mean_1_for_torch():
    images = make_samples().to_torch(torch.device("cpu"))
    assert float(images.weights.mean()) == pytest.approx(1)
    assert (images.levels.dtype, images.labels.dtype, images.weights.dtype) == (
        torch.uint8,
        torch.int64,
        torch.float32,
    )


def test_batches_are_taken_at_once_and_cover_every_image():
    samples = make_samples(n_levels=256)
    images = samples.to_torch(torch.device("cpu"))
    assert len(images) == 40
    batches = list(DataLoader(images, batch_size=16, shuffle=True, collate_fn=as_is))
    assert [len(weights) for _, weights in batches] == [16, 16, 8]
    parts = [
        (inputs["levels"].numpy(), inputs["labels"].numpy(), weights.numpy()) for inputs, weights in batches
    ]
    together = Samples(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    scaled = samples._replace(weights=samples.weights / samples.weights.mean())
    assert as_rows(together) == pytest.approx(as_rows(scaled))


def test_one_image_is_taken_too():
    images = LabelledImages(torch.arange(4).reshape(4, 1, 1, 1), torch.arange(4), torch.ones(4))
    inputs, weight = images[2]
    assert (int(inputs["levels"]), int(inputs["labels"]), float(weight)) == (2, 2, 1.0)
