"""Training data is made canonical: what is the same is treated the same."""

from __future__ import annotations

import math
import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gencls import ImageCodec, InvalidInputError, RandomCrop
from gencls.augmentations import make_augmentation
from gencls.images.resizing import resize_images
from gencls.objectives import Likelihood
from gencls.training import PlannedStage
from gencls.training.data import (
    LabelledImages,
    Samples,
    TrainingData,
    as_is,
    check_sample_weight,
    hold_out,
    merge_duplicates,
)


def make_samples(n=40, n_classes=3, n_levels=2, size=(1, 2, 2), seed=0):
    """Few different images, so that many are equal."""
    rng = np.random.RandomState(seed)
    levels = rng.randint(n_levels, size=(n, *size)).astype(np.uint8)
    return Samples(levels, rng.randint(n_classes, size=n), rng.uniform(0.1, 2, size=n))


def as_rows(samples):
    """Label and levels to weight."""
    return {
        (int(label), *image.ravel().tolist()): float(weight)
        for image, label, weight in zip(*samples[:3], strict=True)
    }


def assert_equal(one, other):
    """Samples of the same levels, labels and weights."""
    for values, others in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(values, others)


# merge_duplicates


def test_equal_images_of_a_class_are_merged_and_their_weights_added():
    samples = make_samples()
    merged = merge_duplicates(samples)
    expected: dict[tuple[int, ...], float] = {}
    for image, label, weight in zip(*samples[:3], strict=True):
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
    assert_equal(merge_duplicates(samples), merge_duplicates(samples.take(order)))


def test_a_weight_of_3_is_a_sample_given_three_times():
    samples = make_samples()
    counts = np.random.RandomState(1).randint(1, 4, size=40)
    repeated = samples._replace(weights=np.ones(40)).take(np.repeat(np.arange(40), counts))
    weighted = samples._replace(weights=counts.astype(float))
    assert_equal(merge_duplicates(repeated), merge_duplicates(weighted))


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
    assert (merged.levels.dtype, merged.weights.dtype) == (np.dtype("uint8"), np.dtype("float64"))


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


# TrainingData


def make_images(n=12, size=(4, 6), seed=0):
    """A codec of coloured bytes at half their size, and samples that have the images themselves."""
    images = np.random.RandomState(seed).randint(256, size=(n, *size, 3), dtype=np.uint8)
    codec = ImageCodec(resolution=(size[0] // 2, size[1] // 2)).fit(images.reshape(n, -1), images.shape[1:])
    levels = codec.encode(images.reshape(n, -1))
    return codec, Samples(levels, np.arange(n) % 3, np.ones(n), images)


def make_stage(augmentation, size, n_images=None):
    augmentation = make_augmentation(augmentation)
    return PlannedStage(1, 4, 0.1, Likelihood(), augmentation, size, n_images=n_images)


def test_samples_are_had_at_any_size():
    codec, samples = make_images()
    data = TrainingData(samples, codec, torch.device("cpu"))
    assert len(data) == 12
    np.testing.assert_array_equal(data.at((2, 3)).levels.numpy(), samples.levels)
    full = data.at((4, 6)).levels.numpy()
    np.testing.assert_array_equal(full, np.moveaxis(samples.images, -1, 1))
    np.testing.assert_array_equal(
        data.at((1, 2)).levels.numpy(), np.moveaxis(resize_images(samples.images, (1, 2)), -1, 1)
    )


def test_crops_follow_the_random_state_and_have_the_size_of_the_stage():
    codec, samples = make_images()
    data = TrainingData(samples, codec, torch.device("cpu"))
    stage = make_stage(["flip", RandomCrop(smallest=0.5)], (2, 3))
    first, again, other = (data.drawn(stage, np.random.RandomState(seed)).levels for seed in (0, 0, 1))
    assert first.shape == (12, 3, 2, 3)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    whole = data.drawn(make_stage(RandomCrop(smallest=1), (2, 3)), np.random.RandomState(0))
    np.testing.assert_array_equal(whole.levels.numpy(), samples.levels)


@pytest.mark.parametrize("augmentation", [None, RandomCrop(smallest=1)])
def test_an_epoch_of_some_images_draws_different_ones(augmentation):
    codec, samples = make_images()
    data = TrainingData(samples, codec, torch.device("cpu"))
    stage = make_stage(augmentation, (2, 3), n_images=5)
    known = {levels.tobytes(): label for levels, label in zip(samples.levels, samples.labels, strict=True)}
    seen = set()
    for seed in range(20):
        drawn = data.drawn(stage, np.random.RandomState(seed))
        found = [levels.tobytes() for levels in drawn.levels.numpy()]
        assert len(set(found)) == 5
        assert [known[each] for each in found] == drawn.labels.tolist()
        seen.update(found)
    assert seen == known.keys()


def test_images_follow_the_samples():
    _, samples = make_images()
    order = np.array([5, 0, 7])
    np.testing.assert_array_equal(samples.take(order).images, samples.images[order])
    _, held_out = hold_out(samples, 0.25, 0, np.arange(3))
    assert held_out.images is not None
    for levels, image in zip(held_out.levels, held_out.images, strict=True):
        (position,) = np.flatnonzero((samples.levels == levels).all(axis=(1, 2, 3)))
        np.testing.assert_array_equal(image, samples.images[position])


def test_a_digest_depends_on_every_part():
    codec, samples = make_images()
    changed = [samples, samples._replace(images=None), samples.take(np.arange(12)[::-1])]
    for name in ("levels", "labels", "weights", "images"):
        values = getattr(samples, name).copy()
        values.flat[-1] += 1
        changed.append(samples._replace(**{name: values}))
    digests = [TrainingData(each, codec, torch.device("cpu")).digest() for each in changed]
    assert len(set(digests)) == len(changed)
    again = samples._replace(images=np.asfortranarray(samples.images))
    assert TrainingData(again, codec, torch.device("cpu")).digest() == digests[0]
