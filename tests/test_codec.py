"""What goes in comes out again: shapes, dtypes, ranges, to the last bit on the grid of levels."""

from __future__ import annotations

import re
import tracemalloc
import warnings
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from gencls import (
    AmbiguousShapeWarning,
    ImageCodec,
    InvalidInputError,
    PixelClippingWarning,
    PixelScaleWarning,
)
from gencls.images.resizing import resize_images

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


# Whatever the layout, the dtype, the range, the levels and the resolution

DTYPES = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
)


@st.composite
def ranges(draw, dtype):
    """Low and high that images of a dtype can have."""
    if dtype == "bool":
        return 0, 1
    values: st.SearchStrategy[float]
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = st.integers(max(int(limits.min), -(2**53)), min(int(limits.max), 2**53))
    else:
        largest = min(float(np.finfo(dtype).max), 2.0**120)  # images are reduced in float32
        values = st.floats(-largest, largest, width=8 * dtype.itemsize, allow_subnormal=False)
    return tuple(sorted(draw(st.lists(values, min_size=2, max_size=2, unique=True))))


@st.composite
def fitted_codecs(draw):
    """A codec of images of some layout, with rows of some of their values."""
    size, channels = draw(st.tuples(*[st.integers(1, 5)] * 2)), draw(st.none() | st.integers(1, 4))
    axis = draw(st.sampled_from([-1, 1]))
    shape = size if channels is None else (*size, channels) if axis == -1 else (channels, *size)
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    low, high = draw(ranges(dtype))
    resolution = draw(st.none() | st.tuples(*(st.integers(1, side) for side in size)))
    codec = ImageCodec(shape, axis, (low, high), draw(st.integers(2, 256)), resolution)
    flat = np.array([[low] * prod(shape)], dtype)
    codec.fit(flat, draw(st.sampled_from([shape, (prod(shape),)])))
    shares = np.random.default_rng(draw(st.integers(0, 2**32))).random((3, prod(shape)))
    values = (1 - shares) * float(low) + shares * float(high)
    if dtype.kind in "biu":
        values = np.rint(values)
    return codec, values.astype(dtype), size, channels or 1


@pytest.mark.filterwarnings("ignore::gencls.PixelScaleWarning")
@given(case=fitted_codecs())
def test_images_become_levels_of_the_shape_of_the_model(case):
    codec, flat, size, channels = case
    levels = codec.encode(flat)
    assert levels.dtype == np.uint8
    assert levels.shape == (len(flat), channels, *(codec.resolution or size))
    assert levels.shape[1:] == codec.tensor_shape_
    assert levels.max() < codec.n_levels_
    assert codec.native_size == size
    np.testing.assert_array_equal(codec.encode_images(codec.to_images(flat)), levels)


@pytest.mark.filterwarnings("ignore::gencls.PixelScaleWarning")
@given(case=fitted_codecs())
def test_decoded_images_come_back(case):
    codec, flat, _, _ = case
    images = codec.decode(codec.encode(flat))
    assert images.dtype == flat.dtype
    assert images.shape[1:] in (codec.drawn_shape_, (prod(codec.drawn_shape_),))
    assert images.min() >= codec.low_
    assert images.max() <= codec.high_
    drawn = codec.resized(*codec.tensor_shape_[1:])
    np.testing.assert_array_equal(drawn.decode(drawn.encode(images.reshape(len(flat), -1))), images)


@given(case=fitted_codecs())
def test_at_its_own_size_a_codec_reduces_nothing(case):
    codec, flat, size, channels = case
    same, none = codec.at(size), codec.resized(*size)
    levels = same.encode_images(same.to_images(flat))
    assert same.tensor_shape_ == (channels, *size)
    assert same.resolution is None
    np.testing.assert_array_equal(levels, none.encode_images(none.to_images(flat)))


def comes_back(images, **parameters):
    codec = fit(images, **parameters)
    return np.array_equal(codec.decode(codec.encode(flatten(images))), images)


@pytest.mark.parametrize("n_levels", LEVELS)
def test_integers_divided_by_their_largest_come_back_in_float32(n_levels):
    """As in ``X / 255``, the commonest of all float images."""
    images = full_range(np.arange(n_levels), (4, 4)) / (n_levels - 1)
    assert comes_back(images.astype(np.float32), n_levels=n_levels)


def test_integers_divided_by_their_largest_come_back_in_float64():
    for n_levels in LEVELS:
        assert comes_back(full_range(np.arange(n_levels), (4, 4)) / (n_levels - 1), n_levels=n_levels)


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.3), (0.1, 0.7), (1 / 3, 2 / 3)], ids=str)
def test_the_ends_of_the_range_come_back_in_float32(low, high):
    assert comes_back(np.array([[low], [high]], dtype=np.float32))


def test_the_ends_of_the_range_come_back_in_float64():
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
def test_values_off_the_grid_are_rounded_to_the_nearest_level(n_levels):
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


def test_a_fractional_constant_comes_back():
    images = np.full((N, 2, 2), 0.3)
    codec = fit(images)
    np.testing.assert_array_equal(codec.decode(codec.encode(flatten(images))), images)


@pytest.mark.parametrize("extent", [1e-30, 1e30], ids=str)
def test_small_and_large_ranges_are_quantised(extent):
    assert comes_back(full_range(np.arange(17), (4, 4)) * extent, n_levels=17)


def test_the_smallest_range_is_quantised():
    assert comes_back(np.array([[0.0], [5e-324]]))


def test_a_range_without_a_finite_width_is_refused():
    with pytest.raises(InvalidInputError, match="X has values from -1e"):
        fit(np.array([[-1e308], [1e308]]))


def test_parameters_are_not_changed_by_fit():
    codec = fit(np.zeros((3, 4), dtype=np.uint8), image_shape=[2, 2], pixel_range=[0, 9])
    assert codec.image_shape == [2, 2]
    assert codec.pixel_range == [0, 9]
    assert codec.n_levels == "auto"


def test_encoding_does_not_modify_images():
    images = np.random.RandomState(0).randint(256, size=(N, 9)).astype(np.uint8)
    before = images.copy()
    codec = fit(images)
    images.flags.writeable = False
    codec.encode(images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64], ids=lambda t: t.__name__)
def test_encoding_copies_no_images_as_float64(dtype):
    images = np.random.RandomState(0).randint(256, size=(4000, 16, 16, 3)).astype(dtype)
    flat = flatten(images)
    tracemalloc.start()
    try:
        levels = fit(images).encode(flat)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * levels.nbytes  # float64 has 8
    np.testing.assert_array_equal(levels, np.moveaxis(images, -1, 1))


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
    assert message.startswith("3 of 6 values")
    assert "from 0 to 16" in message
    assert "pixel_range" in message
    np.testing.assert_array_equal(levels[:, 0, 0], [[0, 3], [16, 16], [0, 16]])


def test_values_other_than_a_constant_are_counted():
    codec = fit(np.full((3, 2), 5.0))
    message, levels = clipping(codec, np.array([[5.0, 6.0], [4.0, 5.0]]))
    assert message.startswith("2 of 4 values")
    assert "from 5 to 5" in message
    assert (levels == 0).all()


def test_rounding_errors_are_not_counted_as_outside():
    codec = fit(np.array([[0.1, 0.3]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec.encode(np.array([[0.1, 0.3]], dtype=np.float32))
        codec.encode(np.array([[0.1 - 1e-8, 0.3 + 1e-8]]))
        codec.encode(np.array([[0.1, 0.3]], dtype=np.float16))
    clipping(codec, np.array([[0.1 - 1e-5, 0.3]]))


def test_floats_for_a_model_of_uint8_mean_the_same_values():
    codec = fit(np.array([[0, 200]], dtype=np.uint8))
    np.testing.assert_array_equal(codec.encode(np.array([[3.0, 254.6]])).ravel(), [3, 255])
    clipping(codec, np.array([[-1.0, 3.0]]))


# Another scale


BYTES = np.random.RandomState(0).randint(256, size=(6, 4, 4)).astype(np.uint8)
BYTES[0, 0, :2] = 0, 255
DEEP = BYTES.astype(np.uint16) * 257
DIGITS = load_digits().data[:200]
SCALES = {  # what is fitted, and what comes later
    "bytes, then floats to 1": (BYTES, BYTES / 255),
    "bytes, then float32 to 1": (BYTES, (BYTES / 255).astype(np.float32)),
    "bytes, then one image to 1": (BYTES, BYTES[:1] / 255),
    "bytes, then a dark image to 1": (BYTES, BYTES / 2550),
    "bytes, then -1 to 1": (BYTES, BYTES / 127.5 - 1),
    "bytes, then standardised": (BYTES, (BYTES / 255 - 0.45) / 0.22),
    "bytes, then 16 bits": (BYTES, DEEP),
    "bytes, then 12 bits": (BYTES, DEEP // 16),
    "bytes, then masks": (BYTES, BYTES > 100),
    "bytes as floats, then floats to 1": (BYTES * 1.0, BYTES / 255),
    "bytes as int64, then floats to 1": (BYTES.astype(int), BYTES / 255),
    "floats to 1, then bytes": (BYTES / 255, BYTES),
    "floats to 1, then a dark image of bytes": (BYTES / 255, BYTES[:1] // 10),
    "floats to 1, then per cent": (BYTES / 255, BYTES / 2.55),
    "-1 to 1, then bytes": (BYTES / 127.5 - 1, BYTES),
    "masks, then bytes": ((BYTES > 100).astype(int), (BYTES > 100) * 255),
    "masks of bool, then bytes": (BYTES > 100, BYTES),
    "16 bits, then bytes": (DEEP, BYTES),
    "16 bits, then floats to 1": (DEEP, BYTES / 255),
    "16 bits as floats, then floats to 1": (DEEP * 1.0, DEEP / 65535),
    "digits, then floats to 1": (DIGITS, DIGITS / 16),
    "digits, then one of them to 1": (DIGITS, DIGITS[:1] / 16),
    "digits of int, then floats to 1": (DIGITS.astype(int), DIGITS / 16),
    "digits, then as bytes": (DIGITS, DIGITS * 15.9375),
    "digits, then all as bytes": (DIGITS, (DIGITS * 15).astype(np.uint8)),
}


@pytest.mark.parametrize("case", SCALES)
def test_images_on_a_different_scale_are_refused_in_training(case):
    fitted, images = SCALES[case]
    with pytest.raises(InvalidInputError, match="different scale"):
        fit(fitted).encode(flatten(images), strict=True)


@pytest.mark.parametrize("case", SCALES)
def test_predictions_on_a_different_scale_cause_one_warning(case):
    fitted, images = SCALES[case]
    codec = fit(fitted)
    with pytest.warns((PixelScaleWarning, PixelClippingWarning), match="different scale") as caught:
        codec.encode(flatten(images))
    assert len(caught) == 1


def test_images_on_a_scale_that_differs_from_the_given_range_are_refused_in_the_first_fit():
    codec = fit(BYTES / 255, pixel_range=(0, 255))
    with pytest.raises(InvalidInputError, match="different scale"):
        codec.encode(flatten(BYTES / 255), strict=True)


BLACK, CORNER = np.zeros_like(BYTES), np.zeros_like(BYTES)
CORNER[0, 0, 0] = 9
FINE = {
    "the same": (BYTES, BYTES),
    "bytes as floats": (BYTES, BYTES * 1.0),
    "bytes as int64": (BYTES, BYTES.astype(int)),
    "bytes with fractions": (BYTES, BYTES * 0.7),
    "a black image": (BYTES, BLACK[:1]),
    "black images of float": (BYTES, BLACK * 1.0),
    "black images of bool": (BYTES, BLACK.astype(bool)),
    "an image of ones": (BYTES, BLACK[:1] + 1),
    "a white image": (BYTES, BLACK[:1] + 255),
    "dark but for a corner": (BYTES, CORNER),
    "dark photographs": (BYTES, BYTES // 50),
    "dark floats": (BYTES / 255, BYTES / 255 / 50),
    "floats without contrast": (BYTES / 255, 0.5 + BYTES / 255 / 1000),
    "masks": ((BYTES > 100) * 1, (BYTES[:1] > 100) * 1.0),
    "masks as bytes": ((BYTES > 100) * 255, (BYTES > 100) * 255),
    "masks with fractions": ((BYTES > 100) * 1, BYTES / 255),
    "three levels": (BYTES % 3 * 1.0, BYTES % 2),
    "negative whole numbers": (BYTES.astype(int) - 128, BYTES[:1].astype(int) - 128),
    "constant images": (BLACK * 1.0, BLACK * 1.0),
}


@pytest.mark.parametrize("case", FINE)
def test_plausible_images_cause_no_warning(case):
    fitted, images = FINE[case]
    fit(fitted).encode(flatten(images), strict=True)


def test_no_single_digit_causes_a_warning():
    codec = fit(DIGITS)
    for image in DIGITS:
        codec.encode(image[None], strict=True)


@pytest.mark.parametrize(
    ("fitted", "images"),
    [(BYTES, BYTES % 2), (BYTES / 255, BYTES / 255**2), (BYTES, (BYTES % 2) * 1.0)],
    ids=["bytes", "floats", "bytes as floats"],
)
def test_nearly_black_images_cause_a_warning(fitted, images):
    with pytest.warns(PixelScaleWarning, match="within 1/255 of the range"):
        levels = fit(fitted).encode(flatten(images), strict=True)
    assert levels.max() == 1


def test_values_far_outside_are_clipped_as_long_as_they_are_few():
    images = BYTES / 255
    images[0, 0, 0] = 1000
    message, _ = clipping(fit(BYTES / 255), flatten(images))
    assert message.startswith("1 of 96 values")
    assert "scale" not in message


# Ambiguous shapes


@pytest.mark.parametrize("side", [4, 8, 32])
@pytest.mark.parametrize("axis", [-1, 1])
def test_rows_of_colour_images_are_not_strips(side, axis):
    rows = np.zeros((N, 3 * side * side), dtype=np.uint8)
    with pytest.raises(InvalidInputError, match="image_shape") as caught:
        fit(rows, channel_axis=axis)
    shapes = {-1: f"image_shape=({side}, {side}, 3)", 1: f"image_shape=(3, {side}, {side})"}
    words = str(caught.value)
    assert words.index(shapes[axis]) < words.index(shapes[-axis])
    for shape in (eval(shapes[axis].removeprefix("image_shape=")), (1, 3 * side * side)):
        assert fit(rows, channel_axis=axis, image_shape=shape).image_shape_ == shape


@pytest.mark.parametrize("n_features", [65, 77, 784 * 2, 2000])
def test_long_rows_become_strips_with_a_warning(n_features):
    rows = np.zeros((N, n_features), dtype=np.uint8)
    with pytest.warns(AmbiguousShapeWarning, match="image_shape"):
        assert fit(rows).image_shape_ == (1, n_features)
    assert fit(rows, image_shape=(1, n_features)).image_shape_ == (1, n_features)


def test_short_rows_become_strips_without_a_warning():
    for n_features in set(range(1, 64)) - {27, 48} - {side**2 for side in range(8)}:
        assert fit(np.zeros((N, n_features))).image_shape_ == (1, n_features)


@pytest.mark.parametrize("shape", [(160, 3), (8, 3), (40, 4)], ids=str)
def test_a_photograph_is_not_taken_for_many_grey_images(shape):
    photograph = np.zeros((120, *shape), dtype=np.uint8)
    with pytest.raises(InvalidInputError, match=re.escape("[X]")) as caught:
        fit(photograph)
    assert f"image_shape={shape}" in str(caught.value)
    assert "X[..., None]" in str(caught.value)
    assert fit(photograph, image_shape=shape).image_shape_ == shape
    assert fit(photograph[..., None]).tensor_shape_ == (1, *shape)


@pytest.mark.parametrize(
    ("fitted_shape", "shape", "axis", "way"),
    [
        ((4, 5, 3), (3, 4, 5), -1, "np.moveaxis(X, 1, -1)"),
        ((3, 4, 5), (4, 5, 3), 1, "np.moveaxis(X, -1, 1)"),
        ((4, 5), (4, 5, 1), -1, "X.reshape(-1, 4, 5)"),
        ((4, 5, 1), (4, 5), -1, "X.reshape(-1, 4, 5, 1)"),
        ((1, 4, 5), (4, 5, 1), 1, "np.moveaxis(X, -1, 1)"),
    ],
)
def test_advice_for_images_of_a_different_layout(fitted_shape, shape, axis, way):
    codec = fit(np.arange(120).reshape(-1, *fitted_shape).astype(np.uint8), channel_axis=axis)
    with pytest.raises(InvalidInputError, match=re.escape(way)) as caught:
        codec.check_shape((2, *shape))
    assert eval(way, {"np": np, "X": np.zeros((2, *shape))}).shape == (2, *fitted_shape), caught.value


@pytest.mark.parametrize("fitted", [(2, 3), (2, 3, 4), (6,)], ids=str)
def test_advice_for_a_single_image(fitted):
    codec = fit(np.zeros((N, *fitted)), image_shape=None if len(fitted) > 1 else (2, 3))
    with pytest.raises(InvalidInputError, match=re.escape("[X]")):
        codec.check_shape(codec.image_shape_)


# Extreme values


@pytest.mark.parametrize("dtype", [np.int64, np.uint64], ids=lambda t: t.__name__)
def test_integers_that_float64_cannot_represent(dtype):
    largest = np.iinfo(dtype).max
    for values in ([[0, largest]], [[largest - 1, largest]], [[2**53, 2**53 + 1]]):
        with pytest.raises(InvalidInputError, match="float64 cannot represent"):
            fit(np.array(values, dtype=dtype))
    assert comes_back(np.array([[2**53 - 1, 2**53]], dtype=dtype))
    codec = fit(np.array([[0, 16]], dtype=dtype))
    _, levels = clipping(codec, np.array([[0, 16, 7, 3, largest]], dtype=dtype)[:, [0, 4]])
    np.testing.assert_array_equal(levels.ravel(), [0, 16])


@pytest.mark.parametrize("pixel_range", [(-1e307, 1e307), (0, 1e308), (-1.1e300, 0)], ids=str)
def test_ranges_that_exceed_float64(pixel_range):
    with pytest.raises(InvalidInputError, match="too far apart for float64"):
        fit(np.zeros((2, 4)), pixel_range=pixel_range)
    with pytest.raises(InvalidInputError, match="too far apart for float64"):
        fit(np.array([pixel_range]))


@pytest.mark.parametrize(
    ("dtype", "pixel_range"),
    [
        (np.uint8, (0, 1000)),
        (np.uint8, (-1, 255)),
        (np.bool_, (0, 255)),
        (np.int16, (0, 2**15)),
        (np.float16, (0, 1e6)),
        (np.float32, (-1e39, 0)),
    ],
    ids=str,
)
def test_ranges_that_the_dtype_cannot_hold(dtype, pixel_range):
    with pytest.raises(InvalidInputError, match="cannot hold"):
        fit(np.zeros((2, 4), dtype=dtype), pixel_range=pixel_range)


# Resolution


@pytest.mark.parametrize(
    ("shape", "axis"), [((6, 8), -1), ((6, 8, 3), -1), ((3, 6, 8), 1), ((48,), -1)], ids=str
)
def test_larger_images_are_reduced_to_the_resolution(shape, axis):
    flat_shape = {"image_shape": (6, 8)} if len(shape) == 1 else {}
    images = np.random.RandomState(0).randint(256, size=(N, *shape)).astype(np.uint8)
    codec = fit(images, channel_axis=axis, resolution=(3, 4), **flat_shape)
    channels = 3 if len(shape) == 3 else 1
    drawn = {-1: (3, 4, channels), 1: (channels, 3, 4)}[axis] if len(shape) == 3 else (3, 4)
    assert codec.native_size == (6, 8)
    assert codec.tensor_shape_ == (channels, 3, 4)
    assert codec.image_shape_ == (shape if len(shape) > 1 else (6, 8))
    assert codec.drawn_shape_ == drawn
    levels = codec.encode(flatten(images))
    assert levels.shape == (N, channels, 3, 4)
    expected = resize_images(codec.to_images(flatten(images)), (3, 4))
    np.testing.assert_array_equal(np.moveaxis(levels, 1, -1), expected)
    decoded = codec.decode(levels)
    assert decoded.dtype == images.dtype
    assert decoded.shape == (N, *(drawn if len(shape) > 1 else (12,)))
    again = fit(decoded, channel_axis=axis, **({"image_shape": drawn} if len(shape) == 1 else {}))
    np.testing.assert_array_equal(again.encode(flatten(decoded)), levels)


def test_at_the_resolution_of_the_images_nothing_is_changed():
    images = np.random.RandomState(0).randint(256, size=(N, 4, 5)).astype(np.uint8)
    codec = fit(images, resolution=(4, 5))
    np.testing.assert_array_equal(codec.encode(flatten(images)), images[:, None])
    assert codec.drawn_shape_ == codec.image_shape_ == (4, 5)


def test_reduced_images_keep_their_mean_and_their_range():
    images = np.random.RandomState(0).uniform(-1, 1, size=(20, 16, 16))
    codec = fit(images, pixel_range=(-1, 1), resolution=(4, 4))
    decoded = codec.decode(codec.encode(flatten(images)))
    assert decoded.dtype == np.float64
    np.testing.assert_allclose(decoded.mean((1, 2)), images.mean((1, 2)), atol=0.1)
    assert np.abs(decoded).max() < np.abs(images).max()  # antialiased, not picked


def test_a_codec_at_a_different_resolution_has_the_same_range_and_does_not_change_the_first():
    images = np.random.RandomState(0).uniform(size=(N, 8, 6, 3)).astype(np.float32)
    codec = fit(images, resolution=(4, 3))
    other = codec.at((2, 5))
    assert other.tensor_shape_ == (3, 2, 5)
    assert other.drawn_shape_ == (2, 5, 3)
    assert (other.low_, other.high_, other.n_levels_) == (codec.low_, codec.high_, codec.n_levels_)
    assert codec.tensor_shape_ == (3, 4, 3)
    assert other.encode(flatten(images)).shape == (N, 3, 2, 5)
    native = codec.at((8, 6))
    assert native.resolution is None
    np.testing.assert_array_equal(native.encode(flatten(images)), fit(images).encode(flatten(images)))
    np.testing.assert_array_equal(other.at((4, 3)).encode(flatten(images)), codec.encode(flatten(images)))


@pytest.mark.parametrize("resolution", [(5, 6), (4, 7), (100, 100)], ids=str)
def test_smaller_images_are_refused(resolution):
    images = np.zeros((N, 4, 6), dtype=np.uint8)
    for call in (lambda: fit(images, resolution=resolution), lambda: fit(images).at(resolution)):
        with pytest.raises(InvalidInputError, match=rf"4 rows and 6 columns.*{re.escape(str(resolution))}"):
            call()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_fold_to_images_with_channels_last(layout):
    shape, axis, (channels, height, width) = LAYOUTS[layout]
    images = np.random.RandomState(0).randint(256, size=(N, *shape)).astype(np.uint8)
    codec = fit(images, channel_axis=axis)
    folded = codec.to_images(flatten(images))
    assert folded.shape == (N, height, width, channels)
    assert folded.dtype == images.dtype
    levels = codec.encode(flatten(images))
    np.testing.assert_array_equal(np.moveaxis(folded, -1, 1), levels)
    found = codec.encode_images(folded)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, levels)


def test_folded_images_of_any_size_are_encoded_at_the_resolution():
    """Crops have sizes of their own; they are brought to that of the levels, and clipped in silence."""
    codec = fit(np.array([[0.0, 16.0]] * 3), image_shape=(1, 2))
    crops = np.random.RandomState(0).uniform(-4, 20, size=(N, 3, 8, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        levels = codec.encode_images(crops)
    assert levels.shape == (N, 1, 1, 2)
    expected = np.rint(resize_images(crops, (1, 2)).clip(0, 16))
    np.testing.assert_array_equal(np.moveaxis(levels, 1, -1), expected)


@pytest.mark.parametrize(
    ("shape", "axis"), [((6, 8), -1), ((6, 8, 3), -1), ((3, 6, 8), 1), ((48,), -1)], ids=str
)
def test_a_resized_codec_is_one_of_images_of_that_size(shape, axis):
    flat_shape = {"image_shape": (6, 8)} if len(shape) == 1 else {}
    images = np.random.RandomState(0).randint(256, size=(N, *shape)).astype(np.uint8)
    codec = fit(images, channel_axis=axis, resolution=(3, 4), **flat_shape)
    other = codec.resized(5, 7)
    assert other.resolution is None
    assert other.native_size == (5, 7)
    assert other.drawn_shape_ == other.image_shape_
    assert codec.native_size == (6, 8)
    levels = np.random.RandomState(1).randint(256, size=(N, *other.tensor_shape_)).astype(np.uint8)
    np.testing.assert_array_equal(other.encode(flatten(other.decode(levels))), levels)


# Errors


@pytest.mark.parametrize(
    ("shape", "parameters", "words"),
    [
        ((2, 3), {"image_shape": (3, 2)}, ("(2, 3)", "image_shape=(3, 2)")),
        ((8,), {"image_shape": (3, 3)}, ("8 features", "image_shape=(3, 3)", "9")),
        ((12,), {"image_shape": (2, 2, 2)}, ("12 features", "image_shape=(2, 2, 2)", "8")),
        ((3, 4, 5), {}, ("got 5", "(3, 4, 5)", "channel_axis=1")),
        ((6, 4, 3), {"channel_axis": 1}, ("got 6", "(6, 4, 3)", "channel_axis=-1")),
        ((30,), {"image_shape": (2, 3, 5)}, ("got 5", "(2, 3, 5)", "channel_axis=1")),
    ],
)
def test_inconsistent_shapes(shape, parameters, words):
    with pytest.raises(InvalidInputError) as caught:
        fit(np.zeros((N, *shape)), **parameters)
    assert all(each in str(caught.value) for each in words), caught.value


@pytest.mark.parametrize(
    ("pixel_range", "shown"), [((0, 10), "(0, 10)"), ((1, 20), "(1, 20)"), ((2.5, 2.75), "(2.5, 2.75)")]
)
def test_training_images_outside_a_given_range(pixel_range, shown):
    with pytest.raises(InvalidInputError, match=f"from 0 to 16.*pixel_range={re.escape(shown)}"):
        fit(np.array([[0, 16]]), pixel_range=pixel_range)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 2)], ids=str)
def test_images_of_a_different_shape_than_in_fit(shape):
    codec = fit(np.zeros((N, 2, 3)))
    with pytest.raises(InvalidInputError, match=rf"\(2, 3\).* 6 features.*{re.escape(str(shape))}"):
        codec.check_shape((5, *shape))


@pytest.mark.parametrize("fitted", [(2, 3), (6,)], ids=str)
def test_images_and_flat_rows_are_both_accepted_after_fit(fitted):
    codec = fit(np.zeros((N, *fitted)), image_shape=(2, 3))
    codec.check_shape((5, 2, 3))
    codec.check_shape((5, 6))
