"""Images that are resized: bytes as Pillow does it, and numbers of any scale."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gencls.images.resizing import FILTERS, resize_images

DTYPES = ("uint8", "int16", "int64", "float16", "float32", "float64", "bool")


def noise(*shape, dtype="uint8"):
    values = np.random.RandomState(0).randint(256, size=shape)
    return (values > 99) if dtype == "bool" else values.astype(dtype)


def test_images_of_the_size_are_returned_as_they_are():
    images = noise(2, 5, 6, 3)
    assert resize_images(images, (5, 6)) is images


@pytest.mark.parametrize("resample", FILTERS)
@pytest.mark.parametrize("n_channels", [1, 3])
def test_bytes_are_resized_by_pillow(resample, n_channels):
    images, box = noise(3, 20, 30, n_channels), (1.5, 2.25, 28.0, 17.5)
    found = resize_images(images, (5, 7), boxes=[box] * 3, resample=resample)
    for image, each in zip(images, found, strict=True):
        plain = Image.fromarray(image.squeeze())
        expected = plain.resize((7, 5), Image.Resampling[resample.upper()], box=box)
        np.testing.assert_array_equal(each.squeeze(), np.asarray(expected))


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_channel_is_resized_by_itself(n_channels, dtype):
    images = noise(2, 9, 11, n_channels, dtype=dtype)
    images[..., -1] = 0  # which Pillow would take for transparent, if it were opacity
    found = resize_images(images, (4, 5))
    assert found.dtype == images.dtype
    assert found.shape == (2, 4, 5, n_channels)
    for channel in range(n_channels):
        single = resize_images(images[..., [channel]], (4, 5))
        np.testing.assert_array_equal(found[..., [channel]], single)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_half_is_the_mean_of_its_pixels(dtype):
    images = noise(3, 8, 10, 2, dtype=dtype)
    means = images.astype(float).reshape(3, 4, 2, 5, 2, 2).mean((2, 4))
    error = np.abs(resize_images(images, (4, 5), resample="box").astype(float) - means)
    bounds = {"uint8": 1.0, "float16": 0.1, "float32": 1e-4, "float64": 1e-4}  # Pillow rounds bytes twice
    assert error.max() <= bounds.get(dtype, 0.5)


@pytest.mark.parametrize("resample", FILTERS)
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_numbers_stay_within_the_range_of_their_image(resample, dtype):
    images = noise(4, 9, 9, 1, dtype=dtype)
    found = resize_images(images, (7, 20), resample=resample)
    assert (found.min((1, 2, 3)) >= images.min((1, 2, 3))).all()
    assert (found.max((1, 2, 3)) <= images.max((1, 2, 3))).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_numbers_of_every_scale(scale):
    images = np.random.RandomState(0).uniform(-1, 1, size=(2, 8, 8, 1))
    np.testing.assert_allclose(
        resize_images(images * scale, (3, 3)) / scale, resize_images(images, (3, 3)), rtol=0, atol=1e-6
    )


def test_large_integers_keep_their_differences():
    images = noise(2, 8, 8, 1, dtype="int64")
    found = resize_images(images + 2**40, (4, 4))
    np.testing.assert_array_equal(found - 2**40, resize_images(images, (4, 4)))


@pytest.mark.parametrize("value", [0.0, -3.25, 1e300])
def test_a_constant_stays_that_constant(value):
    assert (resize_images(np.full((1, 5, 5, 2), value), (3, 2)) == value).all()


def test_a_box_that_needs_no_filter_is_a_slice():
    images = noise(2, 20, 20, 3)
    boxes = [(10.0, 0.0, 20.0, 10.0), (0.0, 10.0, 10.0, 20.0)]
    found = resize_images(images, (10, 10), boxes=boxes)
    np.testing.assert_array_equal(found[0], images[0, :10, 10:])
    np.testing.assert_array_equal(found[1], images[1, 10:, :10])


def test_images_are_not_changed():
    images = noise(2, 8, 8, 2, dtype="float32")
    images.setflags(write=False)
    before = images.copy()
    resize_images(images, (3, 3))[...] = 0
    np.testing.assert_array_equal(images, before)
    assert resize_images(images[:0], (3, 3)).shape == (0, 3, 3, 2)
