"""What goes in comes out again: shapes, dtypes, ranges, to the last bit on the grid of levels."""

from __future__ import annotations

import re
import warnings
from math import prod

import numpy as np
import pytest

from gencls import ImageCodec, InvalidInputError, PixelClippingWarning

N = 7
LEVELS = [2, 3, 16, 17, 100, 255, 256]
LAYOUTS = {
    "grey": ((2, 3), -1, (1, 2, 3)),
    "grey, channels first": ((2, 3), 1, (1, 2, 3)),
    "one pixel": ((1, 1), -1, (1, 1, 1)),
    "one row": ((1, 5), -1, (1, 1, 5)),
    "one column": ((5, 1), -1, (1, 5, 1)),
    "1 channel last": ((2, 3, 1), -1, (1, 2, 3)),
    "2 channels last": ((2, 3, 2), -1, (2, 2, 3)),
    "3 channels last": ((4, 2, 3), -1, (3, 4, 2)),
    "4 channels last": ((1, 2, 4), -1, (4, 1, 2)),
    "1 channel first": ((1, 2, 3), 1, (1, 2, 3)),
    "2 channels first": ((2, 3, 4), 1, (2, 3, 4)),
    "3 channels first": ((3, 2, 5), 1, (3, 2, 5)),
    "4 channels first": ((4, 1, 3), 1, (4, 1, 3)),
}


def whole(message):
    return f"^{re.escape(message)}$"


def flatten(images):
    return images.reshape(len(images), -1)


def fit(images, **parameters):
    """A codec fitted on images, or on flat rows."""
    return ImageCodec(**parameters).fit(flatten(images), images.shape[1:])


def full_range(values, shape, n=N):
    """Images with these values, every one of them and at random."""
    values = np.asarray(values)
    rng = np.random.RandomState(0)
    size = max(n * prod(shape), len(values))
    n = -(-size // prod(shape))
    drawn = np.concatenate([values, values[rng.randint(len(values), size=n * prod(shape) - len(values))]])
    return rng.permutation(drawn).reshape(n, *shape)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int64, np.float32, np.float64, np.bool_], ids=lambda t: t.__name__
)
def test_every_layout_and_dtype_comes_back(layout, dtype):
    shape, axis, tensor_shape = LAYOUTS[layout]
    images = full_range(np.arange(2 if dtype is np.bool_ else 256), shape).astype(dtype)
    codec = fit(images, channel_axis=axis)
    assert codec.tensor_shape_ == tensor_shape
    assert codec.image_shape_ == shape
    levels = codec.encode(flatten(images))
    assert levels.shape == (len(images), *tensor_shape)
    assert levels.dtype == np.uint8
    assert levels.flags.c_contiguous
    decoded = codec.decode(levels)
    assert decoded.dtype == images.dtype
    np.testing.assert_array_equal(decoded, images)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_pixel_stands_where_it_belongs(layout):
    shape, axis, (channels, height, width) = LAYOUTS[layout]
    images = np.random.RandomState(0).randint(256, size=(N, *shape)).astype(np.uint8)
    levels = fit(images, channel_axis=axis).encode(flatten(images))
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                place = (i, j) if len(shape) == 2 else (i, j, c) if axis == -1 else (c, i, j)
                np.testing.assert_array_equal(levels[:, c, i, j], images[(slice(None), *place)])


FLAT = [
    (9, None, -1, (3, 3), (1, 3, 3)),
    (1, None, -1, (1, 1), (1, 1, 1)),
    (6, None, -1, (1, 6), (1, 1, 6)),
    (6, (2, 3), -1, (2, 3), (1, 2, 3)),
    (6, [3, 2], -1, (3, 2), (1, 3, 2)),
    (9, (1, 9), -1, (1, 9), (1, 1, 9)),
    (12, (2, 2, 3), -1, (2, 2, 3), (3, 2, 2)),
    (12, (3, 2, 2), 1, (3, 2, 2), (3, 2, 2)),
]


@pytest.mark.parametrize(("n_features", "image_shape", "axis", "expected", "tensor_shape"), FLAT)
def test_flat_rows_fold_and_come_back_flat(n_features, image_shape, axis, expected, tensor_shape):
    rows = np.random.RandomState(0).randint(256, size=(N, n_features)).astype(np.uint8)
    codec = fit(rows, image_shape=image_shape, channel_axis=axis)
    assert codec.image_shape_ == expected
    assert codec.tensor_shape_ == tensor_shape
    levels = codec.encode(rows)
    np.testing.assert_array_equal(codec.decode(levels), rows)
    images = rows.reshape(N, *expected)
    np.testing.assert_array_equal(levels, fit(images, channel_axis=axis).encode(rows))


@pytest.mark.parametrize("n_levels", LEVELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda t: t.__name__)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (-0.1, 0.3), (1e-3, 2e3), (-7.5, -7.25)], ids=str)
def test_floats_on_the_grid_come_back(n_levels, dtype, low, high):
    codec = ImageCodec(pixel_range=(low, high), n_levels=n_levels)
    levels = np.arange(n_levels, dtype=np.uint8)[:, None]
    codec.fit(np.full((1, 1), (low + high) / 2, dtype=dtype), (1,))
    grid = codec.decode(levels.reshape(-1, 1, 1, 1))
    assert grid.dtype == dtype
    np.testing.assert_allclose(grid[[0, -1], 0], np.array([low, high], dtype=dtype), rtol=1e-6)
    np.testing.assert_array_equal(codec.encode(grid).ravel(), levels.ravel())
    np.testing.assert_array_equal(codec.decode(codec.encode(grid)), grid)


def comes_back(images, **parameters):
    codec = fit(images, **parameters)
    return np.array_equal(codec.decode(codec.encode(flatten(images))), images)


@pytest.mark.parametrize("n_levels", LEVELS)
def test_whole_numbers_divided_by_their_largest_come_back_in_float32(n_levels):
    """As in ``X / 255``, the commonest of all float images."""
    images = full_range(np.arange(n_levels), (4, 4)) / (n_levels - 1)
    assert comes_back(images.astype(np.float32), n_levels=n_levels)


def test_and_in_float64():
    for n_levels in LEVELS:
        assert comes_back(full_range(np.arange(n_levels), (4, 4)) / (n_levels - 1), n_levels=n_levels)


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.3), (0.1, 0.7), (1 / 3, 2 / 3)], ids=str)
def test_the_ends_of_the_range_come_back_in_float32(low, high):
    assert comes_back(np.array([[low], [high]], dtype=np.float32))


def test_and_the_ends_in_float64():
    pairs = np.sort(np.random.RandomState(0).uniform(-1, 1, size=(200, 2)), axis=1)
    for ends in [(-0.1, 0.3), (0.1, 0.7), (1 / 3, 2 / 3), *pairs]:
        assert comes_back(np.array(ends)[:, None])


@pytest.mark.parametrize("n_levels", LEVELS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64], ids=lambda t: t.__name__)
def test_all_levels_survive_decoding_and_encoding(n_levels, dtype):
    images = full_range(np.arange(n_levels), (3, 4, 2)).astype(dtype)
    codec = fit(images, n_levels=n_levels, pixel_range=(0, n_levels - 1))
    levels = np.random.RandomState(0).randint(n_levels, size=(50, *codec.tensor_shape_)).astype(np.uint8)
    np.testing.assert_array_equal(codec.encode(flatten(codec.decode(levels))), levels)


@pytest.mark.parametrize("n_levels", LEVELS)
def test_what_is_off_the_grid_goes_to_the_nearest_level(n_levels):
    values = np.random.RandomState(0).uniform(-2, 5, size=(500, 1))
    codec = fit(values, n_levels=n_levels, pixel_range=(-2, 5))
    decoded = codec.decode(codec.encode(values))
    step = 7 / (n_levels - 1)
    assert np.abs(decoded - values).max() <= step / 2 * (1 + 1e-9)


# What fit learns


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 16], np.float64, (0, 16, 17)),
        ([0, 16], np.int64, (0, 16, 17)),
        ([-3, 4], np.int8, (-3, 4, 8)),
        ([5, 6], np.uint16, (5, 6, 2)),
        ([0, 1], np.float32, (0, 1, 2)),
        ([0, 255], np.int32, (0, 255, 256)),
        ([0, 1000], np.int32, (0, 1000, 256)),
        ([0, 1], np.bool_, (0, 1, 2)),
        ([3, 7], np.uint8, (0, 255, 256)),
        ([0, 0.5, 3], np.float64, (0, 3, 256)),
        ([0.25, 0.75], np.float32, (0.25, 0.75, 256)),
    ],
)
def test_range_and_levels_are_learned(values, dtype, expected):
    codec = fit(np.array(values, dtype=dtype)[:, None])
    assert (codec.low_, codec.high_, codec.n_levels_) == expected
    assert codec.dtype_ == dtype


@pytest.mark.parametrize(
    ("values", "dtype", "pixel_range", "n_levels", "expected"),
    [
        ([0, 7], np.float64, (0, 16), "auto", (0, 16, 17)),
        ([0, 7], np.float64, (0, 16), 9, (0, 16, 9)),
        ([0, 7], np.uint8, (0, 15), "auto", (0, 15, 16)),
        ([0, 7], np.uint8, (0, 15), 16, (0, 15, 16)),
        ([0, 7], np.uint8, "auto", 8, (0, 255, 8)),
        ([1, 2], np.int64, (0.5, 2.5), "auto", (0.5, 2.5, 256)),
        ([0.5, 0.7], np.float32, [0, 1], "auto", (0, 1, 256)),
    ],
)
def test_given_range_and_levels_are_kept(values, dtype, pixel_range, n_levels, expected):
    codec = fit(np.array(values, dtype=dtype)[:, None], pixel_range=pixel_range, n_levels=n_levels)
    assert (codec.low_, codec.high_, codec.n_levels_) == expected


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.float32, np.float64, np.bool_], ids=lambda t: t.__name__
)
@pytest.mark.parametrize("value", [0, 1, 200])
def test_constant_images_come_back(dtype, value):
    images = np.full((N, 2, 2), value).astype(dtype)
    codec = fit(images)
    assert codec.n_levels_ >= 2
    np.testing.assert_array_equal(codec.decode(codec.encode(flatten(images))), images)


def test_a_constant_that_is_no_whole_number_comes_back():
    images = np.full((N, 2, 2), 0.3)
    codec = fit(images)
    np.testing.assert_array_equal(codec.decode(codec.encode(flatten(images))), images)


@pytest.mark.parametrize("extent", [1e-30, 1e30], ids=str)
def test_small_and_large_ranges_are_quantised_too(extent):
    assert comes_back(full_range(np.arange(17), (4, 4)) * extent, n_levels=17)


def test_the_smallest_range_is_quantised_too():
    assert comes_back(np.array([[0.0], [5e-324]]))


def test_a_range_without_a_finite_width_is_refused():
    with pytest.raises(InvalidInputError, match="X has values from -1e"):
        fit(np.array([[-1e308], [1e308]]))


def test_parameters_stay_as_they_were_given():
    codec = fit(np.zeros((3, 4), dtype=np.uint8), image_shape=[2, 2], pixel_range=[0, 9])
    assert codec.image_shape == [2, 2]
    assert codec.pixel_range == [0, 9]
    assert codec.n_levels == "auto"


def test_encoding_leaves_the_images_alone():
    images = np.random.RandomState(0).randint(256, size=(N, 9)).astype(np.uint8)
    before = images.copy()
    codec = fit(images)
    images.flags.writeable = False
    codec.encode(images)
    np.testing.assert_array_equal(images, before)


# Clipping


def clipping(codec, values):
    """The message of the one warning, and the levels."""
    with pytest.warns(PixelClippingWarning) as caught:
        levels = codec.encode(values)
    assert len(caught) == 1
    return str(caught[0].message), levels


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32], ids=lambda t: t.__name__)
def test_values_outside_the_range_are_clipped_with_one_warning_that_counts(dtype):
    codec = fit(np.array([[0, 16]] * 3, dtype=dtype))
    message, levels = clipping(codec, np.array([[-1, 3], [17, 99], [0, 16]], dtype=dtype))
    assert message == (
        "3 of 6 values of X lie outside the range from 0 to 16 that was fitted, and were clipped to it. Give "
        "pixel_range to fit a wider one."
    )
    np.testing.assert_array_equal(levels[:, 0, 0], [[0, 3], [16, 16], [0, 16]])


def test_values_other_than_a_constant_are_counted():
    codec = fit(np.full((3, 2), 5.0))
    message, levels = clipping(codec, np.array([[5.0, 6.0], [4.0, 5.0]]))
    assert message.startswith("2 of 4 values of X lie outside the range from 5 to 5 that was fitted")
    assert (levels == 0).all()


def test_rounding_errors_are_no_values_outside():
    codec = fit(np.array([[0.1, 0.3]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec.encode(np.array([[0.1, 0.3]], dtype=np.float32))
        codec.encode(np.array([[0.1 - 1e-8, 0.3 + 1e-8]]))
    clipping(codec, np.array([[0.1 - 1e-5, 0.3]]))


def test_floats_for_a_model_of_uint8_mean_the_same_values():
    codec = fit(np.array([[0, 200]], dtype=np.uint8))
    np.testing.assert_array_equal(codec.encode(np.array([[3.0, 254.6]])).ravel(), [3, 255])
    clipping(codec, np.array([[-1.0, 3.0]]))


# Errors


@pytest.mark.parametrize(
    ("shape", "parameters", "message"),
    [
        (
            (2, 3),
            {"image_shape": (3, 2)},
            "X has images of shape (2, 3), but image_shape=(3, 2). Leave image_shape out, or reshape X.",
        ),
        (
            (8,),
            {"image_shape": (3, 3)},
            "X has 8 features, but image_shape=(3, 3) needs 9. Give the image_shape that the rows of X have.",
        ),
        (
            (12,),
            {"image_shape": (2, 2, 2)},
            "X has 12 features, but image_shape=(2, 2, 2) needs 8. Give the image_shape that the rows of X "
            "have.",
        ),
        (
            (3, 4, 5),
            {},
            "Images must have 1 to 4 channels, got 5 in images of shape (3, 4, 5) with channel_axis=-1. Use "
            "channel_axis=1 if the channels come first.",
        ),
        (
            (6, 4, 3),
            {"channel_axis": 1},
            "Images must have 1 to 4 channels, got 6 in images of shape (6, 4, 3) with channel_axis=1. Use "
            "channel_axis=-1 if the channels come last.",
        ),
        (
            (30,),
            {"image_shape": (2, 3, 5)},
            "Images must have 1 to 4 channels, got 5 in images of shape (2, 3, 5) with channel_axis=-1. Use "
            "channel_axis=1 if the channels come first.",
        ),
    ],
)
def test_shapes_that_do_not_fit(shape, parameters, message):
    with pytest.raises(InvalidInputError, match=whole(message)):
        fit(np.zeros((N, *shape)), **parameters)


@pytest.mark.parametrize(
    ("pixel_range", "shown"), [((0, 10), "(0, 10)"), ((1, 20), "(1, 20)"), ((2.5, 2.75), "(2.5, 2.75)")]
)
def test_training_images_outside_a_given_range(pixel_range, shown):
    message = (
        f"X has values from 0 to 16, outside pixel_range={shown}. "
        "Give the range that the images have, or 'auto'."
    )
    with pytest.raises(InvalidInputError, match=whole(message)):
        fit(np.array([[0, 16]]), pixel_range=pixel_range)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 1)], ids=str)
def test_images_of_another_shape_than_in_fit(shape):
    codec = fit(np.zeros((N, 2, 3)))
    message = f"X must have images of shape (2, 3) as in fit, or flat rows of 6 features, got {shape}."
    with pytest.raises(InvalidInputError, match=whole(message)):
        codec.check_shape((5, *shape))


@pytest.mark.parametrize("fitted", [(2, 3), (6,)], ids=str)
def test_images_and_flat_rows_are_both_taken_after_fit(fitted):
    codec = fit(np.zeros((N, *fitted)), image_shape=(2, 3))
    codec.check_shape((5, 2, 3))
    codec.check_shape((5, 6))
