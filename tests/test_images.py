"""Images are read rightly or refused; nothing in between."""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageFile, TiffImagePlugin, features
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from gencls.errors import (
    ImageFileError,
    InvalidInputError,
    InvalidParameterError,
    NarrowRangeWarning,
    PixelClippingWarning,
)
from gencls.images import CropImages, ReadImages, read_image, read_images
from gencls.images import opening as _opening

FORMATS = ["AVIF"] * ("AVIF" in Image.registered_extensions().values() and bool(features.check("avif")))
FORMATS += ["BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"]


def smooth(height: int, width: int, channels: int = 3) -> np.ndarray:
    """An image with a different gradient in each channel."""
    rows, columns, planes = np.mgrid[:height, :width, :channels]
    return ((rows * 7 + columns * (3 + planes) + planes * 20) % 256).astype(np.uint8)


def saved(path: Path, image: np.ndarray | Image.Image, **options: Any) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def encoded(image: np.ndarray | Image.Image, image_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(stream, image_format, **options)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *others: bytes) -> bytes:
    """A PNG made by hand, for what Pillow does not write."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = b"".join(others) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


def refused(source: Any, *words: str, name: str = "the image", **options: Any) -> None:
    """Check that an image is refused, and that the message has its name and certain words."""
    with pytest.raises(ImageFileError) as caught:
        read_image(source, **options)
    message = str(caught.value)
    assert message.startswith(f"{name} ")
    assert [word for word in words if word not in message] == []
    assert caught.value.sources == [source]


# What is read


def test_all_types_of_sources_return_the_same_pixels(tmp_path):
    image = smooth(5, 7)
    path = saved(tmp_path / "image.png", image)
    content = path.read_bytes()
    with path.open("rb") as file:
        file.seek(3)
        for source in (str(path), path, content, io.BytesIO(content), file, Image.fromarray(image), image):
            read = read_image(source)
            np.testing.assert_array_equal(read, image)
            assert read.dtype == np.uint8
            assert read.flags.writeable
            assert read.flags.c_contiguous
        assert not file.closed


def test_sources_are_not_modified():
    array, image = smooth(4, 4), Image.fromarray(smooth(4, 4))
    kept = array.copy()
    read_image(array)[:] = 0
    read_image(image, size=2, mode="L")[:] = 0
    np.testing.assert_array_equal(array, kept)
    np.testing.assert_array_equal(np.asarray(image), kept)
    assert image.size == (4, 4)


@pytest.mark.parametrize("image_format", ["BMP", "GIF", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"])
def test_lossless_formats(image_format):
    image = np.repeat(smooth(6, 9, 1), 3, axis=2)
    np.testing.assert_array_equal(read_image(encoded(image, image_format, lossless=True)), image)


def test_jpeg_is_close():
    image = smooth(8, 8)
    read = read_image(encoded(image, "JPEG", quality=100, subsampling=0))
    assert np.abs(read.astype(int) - image).max() < 12


@pytest.mark.parametrize(("mode", "shape"), [("L", (4, 6)), ("RGB", (4, 6, 3)), ("RGBA", (4, 6, 4))])
@pytest.mark.parametrize("given", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"])
def test_every_mode_becomes_every_mode(given, mode, shape):
    read = read_image(Image.new(given, (6, 4)), mode=mode)
    assert read.shape == shape
    assert read.dtype == np.uint8


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays_of_one_to_four_channels(channels):
    image = smooth(3, 5, channels)
    image[..., -1] = 255 if channels in (2, 4) else image[..., -1]
    expected = image[..., :3] if channels >= 3 else np.repeat(image[..., :1], 3, axis=2)
    np.testing.assert_array_equal(read_image(image), expected)


def test_grey_is_the_luma_of_itu_r_601():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]], np.uint8)
    np.testing.assert_array_equal(read_image(image, mode="L"), [[76, 150, 29, 90]])


def test_one_bit(tmp_path):
    bits = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    path = saved(tmp_path / "bits.png", bits)
    np.testing.assert_array_equal(read_image(path, mode="L"), [[0, 255, 0]])


def test_cmyk():
    cmyk = Image.frombytes("CMYK", (3, 1), bytes([0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255]))
    expected = [[[255, 255, 255], [0, 255, 255], [0, 0, 0]]]
    np.testing.assert_array_equal(read_image(encoded(cmyk, "TIFF")), expected)


# Sixteen bits


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "PGM"])
def test_sixteen_bits_are_scaled_and_not_clipped(image_format):
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    pgm = b"P5 16 16 65535\n" + (levels * 257).astype(">u2").tobytes()
    content = pgm if image_format == "PGM" else encoded(Image.fromarray(levels * 257), image_format)
    np.testing.assert_array_equal(read_image(content, mode="L"), levels)


def test_sixteen_bits_are_rounded_to_the_nearest():
    values = np.array([[0, 128, 129, 385, 386, 65406, 65407, 65535]], np.uint16)
    np.testing.assert_array_equal(
        read_image(Image.fromarray(values), mode="L"), [[0, 0, 1, 1, 2, 254, 255, 255]]
    )


def test_big_endian_tiff_and_colour_of_sixteen_bits():
    values = np.array([[0, 32896, 65535]], ">u2")
    tags = [(256, 3, 1, 3), (257, 3, 1, 1), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 134)]
    tags += [(277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 6)]
    entries = b"".join(
        struct.pack(">HHI", *tag[:3])
        + (struct.pack(">HH", tag[3], 0) if tag[1] == 3 else struct.pack(">I", tag[3]))
        for tag in tags
    )
    tiff = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)
    tiff += bytes(134 - len(tiff)) + values.tobytes()
    np.testing.assert_array_equal(read_image(tiff, mode="L"), [[0, 128, 255]])
    row = b"\0" + struct.pack(">3H", 0, 257 * 7, 65535)
    np.testing.assert_array_equal(read_image(png(1, 1, 16, 2, row)), [[[0, 7, 255]]])


def test_images_of_32_bits_are_sixteen_bits_or_refused():
    image = Image.fromarray(np.array([[0, 257, 65535]], np.int32))
    np.testing.assert_array_equal(read_image(image, mode="L"), [[0, 1, 255]])
    refused(Image.fromarray(np.array([[-3, 70000]], np.int32)), "-3 to 70000", "0 to 65535", "value_range=")


@pytest.mark.parametrize(
    ("content", "may_give_range"),
    [
        (encoded(Image.new("F", (2, 2)), "TIFF"), True),
        (encoded(Image.new("I", (2, 2)), "TIFF"), True),
        (encoded(Image.new("I;16", (2, 2)), "TIFF", tiffinfo={262: 0}), False),
        (png(1, 1, 16, 0, b"\0\1\2", chunk(b"tRNS", b"\1\2")), False),
        (png(1, 1, 16, 2, b"\0\1\2\3\4\5\6", chunk(b"tRNS", b"\1\2\3\4\5\6")), False),
        (png(2, 1, 2, 0, b"\0\x60", chunk(b"tRNS", b"\0\1")), False),
    ],
    ids=["floats", "32 bits", "white is zero", "16-bit grey key", "16-bit colour key", "2-bit key"],
)
def test_values_of_an_unknown_range_are_refused(content, may_give_range):
    with Image.open(io.BytesIO(content)) as image:
        kind = f"mode {image.mode}, format {image.format}"
    refused(content, "range of its values", kind, "value_range=" * may_give_range)
    if may_give_range:
        assert read_image(content, value_range=(0, 1)).shape == (2, 2, 3)
    else:
        refused(content, "range of its values", kind, value_range=(0, 1))


@pytest.mark.parametrize("image_format", ["PNG", "PGM", "TIFF"])
def test_twelve_bits_in_sixteen_are_read_by_their_range_or_with_a_warning(image_format):
    values = np.linspace(0, 4095, 256).round().astype(np.uint16).reshape(16, 16)
    pgm = b"P5 16 16 65535\n" + values.astype(">u2").tobytes()
    content = pgm if image_format == "PGM" else encoded(Image.fromarray(values), image_format)
    with pytest.warns(NarrowRangeWarning, match=r"from 0 to 4095, .* value_range=\(0, 4095\)") as told:
        assert read_image(content, mode="L").max() == 16
    assert len(told) == 1
    np.testing.assert_array_equal(
        read_image(content, mode="L", value_range=(0, 4095)), np.arange(256).reshape(16, 16)
    )
    assert read_image(content, mode="L", value_range=(0, 65535)).max() == 16  # as requested


@pytest.mark.parametrize("mark", [0, 65535])
def test_missing_values_do_not_hide_a_narrow_range(mark):
    values = np.full((4, 4), mark, np.uint16)
    values[1:] = np.arange(36000, 39000, 250).reshape(3, 4)
    with pytest.warns(NarrowRangeWarning, match=r"between black and white .*from 36000 .*=\(36000, 38750\)"):
        read_image(Image.fromarray(values), mode="L")
    with pytest.warns(PixelClippingWarning):
        assert len(np.unique(read_image(Image.fromarray(values), value_range=(36000, 38750)))) == 12


@pytest.mark.parametrize(
    "values", [[[0, 0]], [[300, 300]], [[0, 4096]], [[61439, 65535]], [[0, 65535]], [[9, 65535]]]
)
def test_wide_ranges_and_constant_images_cause_no_warning(values):
    assert read_image(Image.fromarray(np.array(values, np.uint16)), mode="L").shape == (1, 2)


def test_floats_and_negative_values_are_read_by_their_range():
    floats = Image.fromarray(np.array([[-1, 0, 1]], np.float32))
    np.testing.assert_array_equal(read_image(floats, mode="L", value_range=(-1, 1)), [[0, 128, 255]])
    signed = Image.fromarray(np.array([[-1000, 0, 1000]], np.int32))
    for content in (signed, encoded(signed, "TIFF")):
        np.testing.assert_array_equal(
            read_image(content, mode="L", value_range=(-1000, 1000)), [[0, 128, 255]]
        )
    refused(Image.fromarray(np.array([[np.nan, 1]], np.float32)), "non-finite", value_range=(0, 1))


def test_values_beyond_the_range_are_clipped_with_a_warning():
    image = Image.fromarray(np.array([[0, 100, 300, 400]], np.uint16))
    with pytest.warns(PixelClippingWarning, match=r"from 0 to 400 .*value_range=\(100, 300\)"):
        read = read_image(image, mode="L", value_range=(100, 300))
    np.testing.assert_array_equal(read, [[0, 0, 255, 255]])


def test_the_range_does_not_affect_8_bit_images():
    np.testing.assert_array_equal(read_image(smooth(4, 5), value_range=(0, 4095)), smooth(4, 5))


def test_twelve_bit_colours_cause_a_warning():
    rows = b"\0" + struct.pack(">6H", 0, 100, 4095, 0, 1000, 2000)
    with pytest.warns(NarrowRangeWarning, match="from 0 to 15 of 255"):
        read_image(png(2, 1, 16, 2, rows))
    ppm = b"P6 2 1 65535\n"
    with pytest.warns(NarrowRangeWarning, match="from 0 to 16 of 255"):
        read_image(ppm + rows[1:])
    assert read_image(ppm.replace(b"65535", b"4095") + rows[1:]).max() == 255
    whole = b"\0" + struct.pack(">6H", 0, 100, 4095, 0, 1000, 65535)
    assert read_image(png(2, 1, 16, 2, whole)).max() == 255


def test_one_warning_counts_many_images(tmp_path):
    faint = Image.fromarray(np.arange(100, dtype=np.uint16).reshape(10, 10))
    path = saved(tmp_path / "faint.png", faint)
    with pytest.warns(
        NarrowRangeWarning, match=f"^2 of 3 images, the first of them {re.escape(repr(str(path)))}: "
    ) as told:
        ReadImages(size=4).transform([smooth(3, 3), str(path), faint])
    assert len(told) == 1
    assert ReadImages(size=4, value_range=(0, 99)).transform([path, faint]).max() > 200


@pytest.mark.parametrize(
    "value_range",
    [
        (1, 1),
        (2, 1),
        (0, np.inf),
        (np.nan, 1),
        (0, 5e-324),
        (0, 10**400),
        (-1e308, 1e308),
        3,
        (1,),
        "ab",
        (0, True),
    ],
)
def test_wrong_ranges(value_range):
    with pytest.raises(InvalidParameterError, match="'value_range' of ReadImages must be None or a pair"):
        ReadImages(value_range=value_range).fit()


# Transparency, palettes, orientation


def test_transparent_pixels_are_blended_with_white():
    image = np.array([[[200, 10, 10, 255], [200, 10, 10, 0], [0, 0, 0, 128]]], np.uint8)
    np.testing.assert_array_equal(read_image(image), [[[200, 10, 10], [255, 255, 255], [127, 127, 127]]])
    np.testing.assert_array_equal(read_image(image, mode="RGBA"), image)
    grey = np.array([[[7, 255], [7, 0]]], np.uint8)
    np.testing.assert_array_equal(read_image(grey, mode="L"), [[7, 255]])


def test_an_opaque_image_gets_an_opaque_alpha_channel():
    image = smooth(2, 3)
    np.testing.assert_array_equal(read_image(image, mode="RGBA")[..., :3], image)
    assert (read_image(image, mode="RGBA")[..., 3] == 255).all()


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
@pytest.mark.parametrize(
    ("transparency", "second"), [({}, [0, 0, 255]), ({"transparency": 1}, [255, 255, 255])]
)
def test_palettes(image_format, transparency, second):
    image = Image.frombytes("P", (3, 1), bytes([0, 1, 0]))
    image.putpalette([255, 0, 0, 0, 0, 255])
    read = read_image(encoded(image, image_format, **transparency))
    np.testing.assert_array_equal(read, [[[255, 0, 0], second, [255, 0, 0]]])


def test_a_grey_level_may_encode_transparency():
    content = png(2, 1, 8, 0, b"\0\x10\x20", chunk(b"tRNS", b"\0\x10"))
    np.testing.assert_array_equal(read_image(content, mode="L"), [[255, 32]])


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda a: np.rot90(a)),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_exif_orientation_is_applied(orientation, upright, dtype):
    exif = Image.Exif()
    exif[0x112] = orientation
    levels = smooth(3, 4, 1)[..., 0]
    content = encoded(
        Image.fromarray(levels.astype(dtype) * (257 if dtype == np.uint16 else 1)), "PNG", exif=exif
    )
    np.testing.assert_array_equal(read_image(content, mode="L"), upright(levels))


def test_the_photograph_of_a_stereo_file_is_its_first(tmp_path):
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    path = saved(tmp_path / "stereo.mpo", first, save_all=True, append_images=[second])
    assert read_image(path)[..., 0].min() > 250


# Pages


RED, BLUE = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (4, 3), "blue")


def pages(*images_and_tags: tuple[Image.Image, dict[int, int]]) -> bytes:
    """A TIFF of several pages, with tags of their own."""
    stream = io.BytesIO()
    writer = TiffImagePlugin.AppendingTiffWriter(stream, True)
    for image, tags in images_and_tags:
        image.save(writer, format="TIFF", tiffinfo=tags)
        writer.newFrame()
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pages((RED, {}), (BLUE, {254: 1})),
        pages((BLUE, {254: 1}), (RED, {})),
        pages((RED, {}), (BLUE, {255: 2})),
        pages((RED, {254: 0}), (Image.new("1", (8, 6)), {254: 4}), (BLUE, {254: 1}), (BLUE, {254: 5})),
        pages((RED, {254: 1})),
    ],
    ids=["copy", "copy first", "old tag", "masks", "a copy only"],
)
def test_thumbnails_and_masks_of_a_tiff_are_skipped(content, tmp_path):
    path = tmp_path / "scene.tif"
    path.write_bytes(content)
    expected = np.asarray(RED)
    for source in (content, path, Image.open(io.BytesIO(content))):
        np.testing.assert_array_equal(read_image(source), expected)
    np.testing.assert_array_equal(ReadImages(size=None).transform([path])[0], expected)


def test_orientation_and_limit_are_those_of_the_selected_page():
    content = pages((BLUE, {254: 1, 274: 6}), (RED, {}))
    assert read_image(content).shape == (6, 8, 3)
    assert read_image(pages((BLUE, {254: 1}), (RED, {274: 6}))).shape == (8, 6, 3)
    refused(content, "8 × 6 = 48 pixels", "max_pixels is 12", max_pixels=12)


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (pages((RED, {}), (BLUE, {254: 1}), (RED, {})), "2"),
        (pages((RED, {254: 2}), (RED, {254: 2})), "2"),
        (pages((RED, {254: 1}), (BLUE, {254: 1})), "2"),
        (pages(*[(BLUE, {})] * 102), "more than 100"),
        (pages((RED, {}), *[(BLUE, {254: 1})] * 101), "more than 100"),
    ],
)
def test_several_pages_are_refused(content, number):
    refused(content, f"{number} frames or pages")


def test_the_preview_of_a_raw_photograph_is_refused():
    refused(pages((BLUE, {254: 1, 330: 8})), "raw photograph")


# Sizes


def test_the_filters_match_the_documentation():
    filters = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
    for resample in filters:
        assert f'"{resample}"' in str(ReadImages.__doc__)
    with pytest.raises(InvalidParameterError, match="must be " + " or ".join(map(repr, filters)) + ", got"):
        ReadImages(resample="mks2013").fit()


@pytest.mark.parametrize("resample", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_every_filter_preserves_a_constant_image(resample):
    image = np.full((13, 29, 3), 77, np.uint8)
    read = read_image(image, size=(5, 8), resample=resample)
    assert read.shape == (5, 8, 3)
    assert (read == 77).all()


def test_size_is_height_and_width_or_both_sides():
    image = smooth(10, 20)
    assert read_image(image, size=(4, 6)).shape == (4, 6, 3)
    assert read_image(image, size=np.int64(5)).shape == (5, 5, 3)  # type: ignore[arg-type]
    assert read_image(image, size=[30, 3]).shape == (30, 3, 3)  # type: ignore[arg-type]
    assert read_image(image).shape == (10, 20, 3)


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert (read_image(stripes, size=16, mode="L", resample="box") == 128).all()
    assert (read_image(stripes, size=16, mode="L")[:, 1:-1] == 128).all()
    assert np.ptp(read_image(stripes, size=(64, 65), mode="L", resample="nearest")) == 255


# What is refused


def test_invalid_files_are_refused(tmp_path):
    missing, folder, empty, text = (
        tmp_path / name for name in ("missing.png", "folder", "empty.png", "text.png")
    )
    folder.mkdir()
    empty.touch()
    text.write_text("no image")
    refused(missing, "does not exist", name=repr(str(missing)))
    refused(str(missing), "does not exist", name=repr(str(missing)))
    refused(folder, "folder", "load_image_folder", name=repr(str(folder)))
    refused(empty, "empty", name=repr(str(empty)))
    formats = ", ".join(FORMATS)
    refused(text, formats, name=repr(str(text)))
    refused(b"no image", formats)
    refused(b"", "empty")
    with text.open("rb") as file:
        refused(file, formats, name=repr(str(text)))


def test_avif_is_read_if_pillow_supports_it():
    if "AVIF" not in FORMATS:
        pytest.skip("the installed Pillow does not read AVIF")
    read = read_image(encoded(RED, "AVIF", quality=90))
    assert np.abs(read.astype(int) - np.asarray(RED)).max() < 12
    moving = encoded(RED, "AVIF", save_all=True, append_images=[Image.new("RGB", (8, 6), "green")])
    refused(moving, "2 frames or pages")


def test_avif_is_named_if_pillow_does_not_support_it(monkeypatch):
    monkeypatch.setattr(_opening, "FORMATS", _opening.ALWAYS_READ)
    refused(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF", "not supported", "Pillow 11.3")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("GIF", b"GIF89a\1"),
        ("JPEG", b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xc0\0\x0b\x0c\0\1\0\1\1\1\x11\0"),
        ("PPM", b"P7\nWIDTH 4\n"),
        ("TIFF", b"II*\0\x08\0\0\0\0\0\0\0\0\0"),
    ],
)
def test_unsupported_variants_of_supported_formats_are_named(kind, content):
    refused(content, f"variant of {kind} is not supported", "header is damaged")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("CUR", b"\0\0\2\0\1\0"),
        ("DDS", encoded(RED, "DDS")),
        ("DICOM", bytes(128) + b"DICM"),
        ("EPS", encoded(RED, "EPS")),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("HEIC", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"),
        ("ICO", encoded(Image.new("RGB", (16, 16)), "ICO")),
        ("JPEG XL", b"\xff\x0a" + bytes(9)),
        ("NumPy", b"\x93NUMPY\1"),
        ("OpenEXR", b"v/1\1"),
        ("PCX", encoded(RED, "PCX")),
        ("PDF", encoded(RED, "PDF")),
        ("PSD", b"8BPS\0\1"),
        ("SGI", encoded(RED, "SGI")),
        ("SVG", b"<?xml version='1.0'?>\n<svg></svg>"),
        ("video", b"\0\0\0\x20ftypisom"),
    ],
)
def test_other_formats_are_named(kind, content, tmp_path):
    formats = ", ".join(FORMATS)
    refused(content, f" {kind};", formats)
    path = tmp_path / "wrong.jpg"
    path.write_bytes(content)
    refused(path, f" {kind};", formats, name=repr(str(path)))


def test_images_of_other_formats_opened_by_the_user_are_read():
    for image_format in ("ICO", "PCX"):
        with Image.open(io.BytesIO(encoded(smooth(16, 16), image_format))) as image:
            np.testing.assert_array_equal(read_image(image), smooth(16, 16))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("XML document", b"<?xml version='1.0'?><Error/>"),
        ("JSON document", b'{"error": "no such image.png"}'),
    ],
)
def test_responses_of_servers_are_named(kind, content):
    refused(content, f": {kind}.", "Download the image itself")


def test_an_image_without_pixels_is_refused():
    empty = Image.new("RGB", (0, 3))
    refused(empty, "no pixels", size=2)


def test_advice_depends_on_the_type_of_file(tmp_path):
    refused(b"version https://git-lfs.github.com/spec/v1", "Git LFS", "git lfs pull")
    refused(b"\n<!DOCTYPE html><html>", "HTML page", "Download")
    refused(b"PK\3\4", "ZIP archive", "Unpack")
    address = "https://example.org/a.png"
    refused(address, "URL", "Download", name=repr(address))
    path = saved(tmp_path / "a.png", smooth(2, 2))
    refused(os.fsencode(path), "bytes must be the content", "os.fsdecode")


def test_bytes_of_all_types_are_contents():
    content = encoded(smooth(3, 4), "PNG")
    sources: tuple[Any, ...] = bytearray(content), memoryview(content), np.bytes_(content)
    for source in sources:
        np.testing.assert_array_equal(read_image(source), smooth(3, 4))


def test_messages_have_no_control_characters():
    with pytest.raises(ImageFileError) as caught:
        read_image("folder/\x1b[31m\n\u202e\udcff.png")
    assert str(caught.value).startswith(r"'folder/\x1b[31m\n\u202e\udcff.png' cannot be read")
    with pytest.raises(ImageFileError) as caught:
        read_image(b"P5 \x1b[31m" + b"9" * 40 + b"\n")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "source",
    [
        {"bytes": bytes(10**6), "path": None},
        bytearray(10**6),
        np.void(bytes(10**6)),
        "a" * 10**6,
        [["a" * 10**6] * 1000] * 3,
        np.zeros((1000, 1000)),
    ],
    ids=["dict", "bytearray", "void", "str", "list", "array"],
)
def test_messages_are_short_for_large_sources(source):
    for call in (read_image, lambda source: ReadImages().transform([source] * 10), ReadImages().transform):
        with pytest.raises((ImageFileError, InvalidInputError)) as caught:
            call(source)
        assert len(str(caught.value)) < 2000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    refused(pipe, "not a regular file", name=repr(str(pipe)))


def test_paths_that_the_system_refuses(tmp_path):
    with pytest.raises(ImageFileError, match="null"):
        read_image("a\0b.png")
    long = str(tmp_path / ("a" * 5000))
    with pytest.raises(ImageFileError, match="cannot be opened"):
        read_image(long)


@pytest.mark.parametrize("image_format", FORMATS)
def test_truncated_files_are_refused_or_whole(image_format, tmp_path):
    content = encoded(smooth(16, 16), image_format)
    whole = read_image(content)
    path = tmp_path / "truncated"
    messages = []
    for length in range(1, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:length])
        try:
            np.testing.assert_array_equal(read_image(path), whole)
        except ImageFileError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert all(message.startswith(f"{str(path)!r} cannot be read as an image: ") for message in messages)


def test_a_truncated_file_says_so(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(encoded(smooth(64, 64), "JPEG")[:-200])
    refused(path, "(OSError: image file is truncated", name=repr(str(path)))


@pytest.mark.parametrize("image_format", FORMATS)
def test_corrupt_files_never_raise_anything_else(image_format):
    rng = np.random.default_rng(0)
    content = np.frombuffer(encoded(smooth(12, 12), image_format), np.uint8)
    for _ in range(100):
        corrupt = content.copy()
        where = rng.integers(len(corrupt), size=3)
        corrupt[where] = rng.integers(256, size=3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read = read_image(corrupt.tobytes(), size=4, max_pixels=10_000)
            except ImageFileError:
                continue
        assert read.shape == (4, 4, 3)


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(image_format):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    content = encoded(frames[0], image_format, save_all=True, append_images=frames[1:])
    refused(content, "3 frames or pages")
    with Image.open(io.BytesIO(content)) as image:
        refused(image, "3 frames or pages")
    assert read_image(encoded(frames[0], image_format, save_all=True)).shape == (4, 4, 3)


# Too many pixels


def test_too_many_pixels_are_refused_before_they_are_decoded():
    header_only = png(5000, 4000, 8, 2, b"")
    refused(header_only, "20,000,000 pixels", "max_pixels is 1,000,000", max_pixels=1_000_000)
    refused(smooth(3, 4), "4 × 3 = 12 pixels", "max_pixels is 11", max_pixels=11)
    assert read_image(smooth(3, 4), max_pixels=12).shape == (3, 4, 3)


@pytest.mark.parametrize("action", ["ignore", "error"])
@pytest.mark.parametrize("side", [8_001, 10_000, 60_000])
def test_decompression_bombs(side, action):
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(ImageFileError, match=r"max_pixels is 64,000,000|limit of Pillow"):
            read_image(png(side, side, 8, 0, b""))


def test_the_settings_of_pillow_are_not_changed(tmp_path):
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)
    read_image(smooth(2, 2))
    with pytest.raises(ImageFileError):
        read_image(png(5000, 4000, 8, 2, b""), max_pixels=10)
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list open files")
def test_no_file_stays_open(tmp_path):
    good = [
        saved(tmp_path / f"good.{ending}", smooth(9, 9)) for ending in ("png", "jpg", "tif", "gif", "webp")
    ]
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(good[1].read_bytes()[:-100])
    before = set(os.listdir("/proc/self/fd"))
    for path in good:
        read_image(path)
    with pytest.raises(ImageFileError):
        read_image(bad)
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("action", ["ignore", "error"])
def test_a_large_image_requires_raising_both_limits(monkeypatch, action):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60 if action == "ignore" else 100)
    content = png(11, 11, 8, 0, bytes(132))
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(ImageFileError, match=r"max_pixels and PIL\.Image\.MAX_IMAGE_PIXELS"):
            read_image(content, max_pixels=10**9)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 121)
        assert read_image(content).shape == (11, 11, 3)


def test_warnings_of_pillow_as_errors_are_named(monkeypatch):
    def warn(*args, **options):
        warnings.warn("Corrupt EXIF data", UserWarning, stacklevel=2)

    monkeypatch.setattr(Image, "_decompression_bomb_check", warn)
    refused(encoded(smooth(2, 2), "PNG"), "(UserWarning: Corrupt EXIF data)")


# Images that Pillow has opened


@pytest.mark.parametrize("image_format", [*FORMATS, "MPO", "ICO"])
@pytest.mark.parametrize("from_path", [True, False])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_undecoded_images_stay_undecoded(image_format, from_path, n_jobs, tmp_path):
    content = encoded(Image.fromarray(smooth(16, 16)), image_format)
    path = tmp_path / "image"
    path.write_bytes(content)
    with Image.open(path if from_path else io.BytesIO(content)) as image:
        before, file = dict(vars(image)), image.fp
        assert file
        position = file.tell()
        found = ReadImages(size=None, n_jobs=n_jobs).transform([image] * 5)
        assert vars(image).keys() == before.keys()
        assert all(value is before[key] for key, value in vars(image).items())
        assert file.tell() == position
        np.testing.assert_array_equal(found, np.stack([np.asarray(image.convert("RGB"))] * 5))


def test_changes_of_a_pillow_image_are_respected():
    content = encoded(smooth(64, 64), "JPEG")
    edited, drafted = Image.open(io.BytesIO(content)), Image.open(io.BytesIO(content))
    edited.putpixel((0, 0), (1, 2, 3))
    assert read_image(edited)[0, 0].tolist() == [1, 2, 3]
    drafted.draft("RGB", (16, 16))
    assert read_image(drafted).shape == (16, 16, 3)


def test_the_frame_of_a_decoded_image_must_be_the_image():
    scene = Image.open(io.BytesIO(pages((RED, {}), (BLUE, {254: 1}))))
    scene.load()
    np.testing.assert_array_equal(read_image(scene), np.asarray(RED))
    moving = encoded(RED, "GIF", save_all=True, append_images=[Image.new("RGB", (8, 6), "green")])
    for content, frame in ((pages((BLUE, {254: 1}), (RED, {})), 0), (moving, 1)):
        with Image.open(io.BytesIO(content)) as image:
            image.seek(frame)
            image.load()
            refused(image, "several frames or pages", "image.copy()")
            assert image.tell() == frame
            assert read_image(image.copy()).shape == (image.height, image.width, 3)


def test_the_current_frame_of_an_undecoded_image_is_respected():
    content = encoded(RED, "MPO", save_all=True, append_images=[BLUE])
    with Image.open(io.BytesIO(content)) as image:
        assert read_image(image)[0, 0].tolist() == read_image(content)[0, 0].tolist()
        image.seek(1)
        refused(image, "several frames or pages", "image.copy()")
        assert read_image(image.copy())[0, 0, 2] > 200


def test_closed_images_are_refused(tmp_path):
    path = saved(tmp_path / "a.png", smooth(4, 4))
    with Image.open(path) as closed:
        pass
    refused(closed, "closed", name=repr(str(path)))
    with open(path, "rb") as file:
        opened = Image.open(file)
    refused(opened, "closed")
    refused(file, "closed", name=repr(str(path)))
    with Image.open(path) as decoded:
        decoded.load()
    np.testing.assert_array_equal(read_image(decoded), smooth(4, 4))


# Wrong arguments


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4)),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((4, 0), np.uint8),
        np.zeros((4, 4), bool),
    ],
)
def test_invalid_arrays(array):
    with pytest.raises(InvalidInputError, match=r"^the image must be .*uint8 array") as caught:
        read_image(array)
    assert f"{array.shape} and dtype {array.dtype}" in str(caught.value)


@pytest.mark.parametrize("source", [3, None, ["a.png"], io.StringIO("a.png")])
def test_invalid_sources(source):
    with pytest.raises(InvalidInputError, match=r"^the image must be a path, ") as caught:
        read_image(source)
    assert f"{source!r} of type {type(source).__name__}" in str(caught.value)


def test_all_wrong_parameters_are_reported_together():
    with pytest.raises(InvalidParameterError) as caught:
        read_image(smooth(2, 2), size=0, mode="CMYK", resample="cubic", max_pixels=1.5)  # type: ignore[arg-type]
    for name, value in (("size", 0), ("mode", "CMYK"), ("resample", "cubic"), ("max_pixels", 1.5)):
        assert re.search(rf"'{name}' of read_image must be .*got {re.escape(repr(value))}", str(caught.value))


@pytest.mark.parametrize(
    "size", [0, -1, 2.5, True, "big", (3,), (3, 0), (3, True), (3, 4, 5), np.array([3, 4])]
)
def test_wrong_sizes(size):
    with pytest.raises(InvalidParameterError, match="'size' of ReadImages must be None or an int") as caught:
        ReadImages(size=size).fit()
    assert f"got {size!r}" in str(caught.value)


def test_wrong_parameters_of_the_transformer_are_reported_by_fit_and_transform():
    reader = ReadImages(size=None, mode="rgb", resample=3, max_pixels=0, n_jobs=0, verbose=-1)  # type: ignore[arg-type]
    for call in (lambda: reader.fit(["a.png"]), lambda: reader.transform(["a.png"])):
        with pytest.raises(InvalidParameterError) as caught:
            call()
        for name in ("mode", "resample", "max_pixels", "n_jobs", "verbose"):
            assert f"{name!r} of ReadImages must be " in str(caught.value)


# The transformer


@pytest.fixture
def paths(tmp_path):
    return [str(saved(tmp_path / f"{index}.png", smooth(10 + index, 12))) for index in range(6)]


def test_the_order_of_mixed_sources_is_preserved(paths):
    expected = np.stack([read_image(path, size=(5, 6)) for path in paths])
    reader = ReadImages(size=(5, 6))
    mixed = [
        Path(paths[0]),
        paths[1],
        Path(paths[2]).read_bytes(),
        Image.open(paths[3]),
        read_image(paths[4]),
    ]
    kinds = [
        paths,
        tuple(paths),
        np.array(paths),
        np.array(paths, dtype=object),
        pd.Series(paths, index=range(9, 3, -1)),
        (path for path in paths),
        [*mixed, paths[5]],
    ]
    for X in kinds:
        np.testing.assert_array_equal(reader.transform(X), expected)
    mixed[3].close()


@pytest.mark.parametrize(("mode", "shape"), [("L", (6, 4, 4)), ("RGB", (6, 4, 4, 3)), ("RGBA", (6, 4, 4, 4))])
def test_shape_and_dtype(paths, mode, shape):
    images = ReadImages(size=4, mode=mode).fit_transform(paths)
    assert images.shape == shape
    assert images.dtype == np.uint8


def test_arrays_of_images_pass_through():
    images = np.stack([smooth(8, 8)] * 3)
    np.testing.assert_array_equal(ReadImages(size=None).transform(images), images)
    assert ReadImages(size=4, mode="L").transform(images[..., 0]).shape == (3, 4, 4)


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_threads_change_nothing(paths, n_jobs):
    expected = ReadImages(size=4).transform(paths)
    np.testing.assert_array_equal(ReadImages(size=4, n_jobs=n_jobs).transform(paths), expected)


def test_a_progress_bar_is_shown_on_demand(paths, capsys):
    ReadImages(size=4).transform(paths)
    assert capsys.readouterr().err == ""
    ReadImages(size=4, verbose=1).transform(paths)
    assert "Reading images: 100%" in capsys.readouterr().err


def test_size_none_requires_images_of_one_size(paths):
    same = [paths[0]] * 3
    assert ReadImages(size=None).transform(same).shape == (3, 10, 12, 3)
    with pytest.raises(ImageFileError, match=r"size=None.* 2 of 4 ") as caught:
        ReadImages(size=None).transform([paths[2], paths[0], paths[0], paths[1]])
    assert repr(paths[0]) in str(caught.value)
    assert repr(paths[2]) in str(caught.value)
    assert caught.value.positions == [0, 3]
    assert caught.value.sources == [paths[2], paths[1]]
    assert len(caught.value.messages) == 2


def test_one_bad_image_among_others_is_named(paths):
    missing = paths[0] + "x"
    with pytest.raises(ImageFileError, match=f"^{re.escape(repr(missing))} cannot be read as an image: "):
        ReadImages().transform([*paths, missing])
    with pytest.raises(InvalidInputError, match=r"^X\[1\] must be a path, .*nan of type float"):
        ReadImages().transform([paths[0], float("nan")])  # type: ignore[list-item]
    with pytest.raises(ImageFileError, match=r"^X\[1\] cannot be read as an image: "):
        ReadImages().transform([paths[0], b"?"])


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_several_bad_images_are_reported_together(paths, n_jobs):
    missing = [f"{index}.missing" for index in range(7)]
    with pytest.raises(ImageFileError, match=r"^7 of the 13 images ") as caught:
        ReadImages(n_jobs=n_jobs).transform(paths + missing)
    assert caught.value.sources == missing
    _, *lines, last = str(caught.value).splitlines()
    assert [line.split()[1] for line in lines] == list(map(repr, missing[:5]))
    assert "2 more" in last


def test_long_messages_keep_beginning_and_end():
    paths = [f"/a/{'b' * 200}/{'c' * 200}/{'d' * 200}/{number}.png" for number in range(2)]
    with pytest.raises(ImageFileError) as caught:
        ReadImages().transform(paths)
    for number, line in enumerate(str(caught.value).split("\n- ")[1:]):
        assert line.startswith("'/a/b")
        assert f"d/{number}.png' cannot be read as an image: " in line
        assert line.endswith("Check the path.")
        assert len(line) < 400
    assert caught.value.sources == paths


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_attributes_of_the_error_list_all_unreadable_images(paths, n_jobs):
    missing = [f"{index}.missing" for index in range(7)]
    given = [*missing[:4], *paths, *missing[4:], b"?", None]
    with pytest.raises(ImageFileError) as caught:
        ReadImages(size=4, n_jobs=n_jobs).transform(given)
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.positions == [0, 1, 2, 3, 10, 11, 12, 13, 14]
    assert error.sources == [given[position] for position in error.positions]
    assert str(error) == str(caught.value)
    for name, message in zip([*missing, "X[13]", "X[14]"], error.messages, strict=True):
        assert name in message
    kept = [source for index, source in enumerate(given) if index not in error.positions]
    assert len(ReadImages(size=4).transform(kept)) == len(paths)
    with pytest.raises(ImageFileError) as caught:
        read_image(missing[0])
    assert (caught.value.positions, caught.value.sources) == ([0], [missing[0]])
    assert caught.value.messages == [str(caught.value)]


def test_read_images_skips_unreadable_images(paths):
    images, mistakes = read_images([paths[0], "0.missing", paths[1], None], size=4, mode="L", n_jobs=2)  # type: ignore[list-item]
    np.testing.assert_array_equal(images, ReadImages(size=4, mode="L").transform(paths[:2]))
    assert [mistake.position for mistake in mistakes] == [1, 3]
    assert [mistake.source for mistake in mistakes] == ["0.missing", None]
    assert "does not exist" in mistakes[0].message
    assert read_images(paths, size=4)[1] == []
    with pytest.raises(ImageFileError, match=r"2 of the 2 images cannot be read") as caught:
        read_images(["0.missing", "1.missing"])
    assert caught.value.positions == [0, 1]
    with pytest.raises(InvalidParameterError, match="'size' of read_images"):
        read_images(paths, size=0)
    with pytest.raises(InvalidInputError, match=r"sources of read_images must .* \[sources\]"):
        read_images(paths[0])


def test_columns_of_paths_and_images_are_read(paths):
    expected = ReadImages(size=4).transform(paths)
    column = np.array(paths, dtype=object)[:, None]
    tables = [
        column,
        column.astype(str),
        pd.DataFrame(column),
        pd.DataFrame({"path": paths}, index=range(6, 0, -1)),
    ]
    for X in (*tables, [[path] for path in paths], [(Path(path),) for path in paths]):
        np.testing.assert_array_equal(ReadImages(size=4).transform(X), expected)
    arrays = [read_image(path) for path in paths]
    column = pd.Series(arrays, index=range(6, 0, -1))
    tensors = [torch.from_numpy(array) for array in arrays]
    columns: tuple[Any, ...] = (
        arrays,
        column,
        column.to_numpy(),
        column.to_frame(),
        tensors,
        OnlyIndexed(arrays),
    )
    for X in columns:
        np.testing.assert_array_equal(ReadImages(size=4).transform(X), expected)


class OnlyIndexed:
    """Like a torch data set: without an iterator, and without an IndexError at the end."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index % len(self.items)]


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_ambiguous_arrays_are_refused_with_both_remedies(width):
    X = np.zeros((10, 12, width), np.uint8)
    with pytest.raises(InvalidInputError, match=rf"\(10, 12, {width}\).*\[X\].*X\[\.\.\., None\]"):
        ReadImages().transform(X)
    assert ReadImages(size=4).transform([X]).shape == (1, 4, 4, 3)
    assert ReadImages(size=4).transform(X[..., None]).shape == (10, 4, 4, 3)
    assert ReadImages(size=4).transform(list(X)).shape == (10, 4, 4, 3)
    assert ReadImages(size=4).transform(np.zeros((3, 12, 10), np.uint8)).shape == (3, 4, 4, 3)


@pytest.mark.parametrize(
    ("X", "complaint"),
    [
        ([(smooth(2, 2), 1)] * 3, r"rows of 2 fields.*\[row\[0\] for row in X\]"),
        ([[BLUE, "label", 3]], r"rows of 3 fields"),
        (zip(["a.png"], [1], strict=True), "rows of 2 fields"),
        (OnlyIndexed([(BLUE, 0)]), "rows of 2 fields"),
        (
            [{"image": BLUE, "label": 1}],
            r"rows with the keys \['image', 'label'\].*\[row\[key\] for row in X\]",
        ),
        ({"image": BLUE}, "Got a dict"),
        ({"a.png"}, "Got a set"),
        (np.zeros((9, 9), np.uint8), r"\[X\] for a single grey image"),
    ],
)
def test_collections_with_labels_are_refused(X, complaint):
    with pytest.raises(InvalidInputError, match=f"^X of ReadImages must .*{complaint}"):
        ReadImages().transform(X)


@pytest.mark.parametrize(
    ("X", "complaint"),
    [
        ("a.png", r"a single str.*\[X\]"),
        (Path("a.png"), rf"a single {type(Path()).__name__}.*\[X\]"),
        (b"...", r"a single bytes.*\[X\]"),
        (Image.new("L", (2, 2)), r"a single Image.*\[X\]"),
        ([], "Got an empty one"),
        (np.zeros((0, 4, 4), np.uint8), "Got an empty one"),
        (pd.DataFrame({"path": []}), "Got an empty one"),
        (3, "Got 3"),
        (np.zeros((5, 64)), r"ndarray of shape \(5, 64\)"),
        (pd.DataFrame({"path": ["a.png"], "label": ["a"]}), r"DataFrame of shape \(1, 2\).*column"),
    ],
)
def test_invalid_collections_are_refused(X, complaint):
    with pytest.raises(InvalidInputError, match=f"^X of ReadImages must be a list .*{complaint}"):
        ReadImages().transform(X)


def test_it_is_a_stateless_estimator(paths):
    reader = ReadImages(size=(3, 4), mode="L", n_jobs=2)
    assert reader.fit(paths) is reader
    assert vars(reader) == reader.get_params()
    check_is_fitted(reader)
    check_is_fitted(ReadImages())
    assert ReadImages().__sklearn_is_fitted__()
    tags = reader.__sklearn_tags__()
    assert not tags.requires_fit
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    for copy in (clone(reader), pickle.loads(pickle.dumps(reader))):
        assert copy.get_params() == reader.get_params()
        np.testing.assert_array_equal(copy.transform(paths), reader.transform(paths))
    assert reader.set_params(size=2).transform(paths).shape == (6, 2, 2)
    assert repr(ReadImages(size=8)) == "ReadImages(size=8)"


@pytest.mark.parametrize("transformer", [ReadImages(size=4), CropImages(4)])
def test_the_output_is_an_array(transformer):
    X = np.zeros((3, 8, 8), np.uint8)
    pipeline = make_pipeline(transformer, FunctionTransformer(lambda images: images.reshape(len(images), -1)))
    for transform in ("default", None):
        assert transformer.set_output(transform=transform) is transformer
    assert pipeline.set_output(transform="default") is pipeline
    assert type(pipeline.transform(X)) is np.ndarray
    for kind in ("pandas", "polars", "a" * 10**6):
        for step in (transformer, pipeline):
            owner = f"set_output of {type(transformer).__name__}"
            with pytest.raises(InvalidParameterError, match=f"'transform' in {owner} must be ") as caught:
                step.set_output(transform=kind)
            assert len(str(caught.value)) < 500
    with config_context(transform_output="pandas"):
        assert type(transformer.transform(X)) is np.ndarray


def test_in_a_pipeline_and_a_grid_search(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.array(["dark", "light"] * 12)
    paths = [
        saved(
            tmp_path / f"{index}.png",
            rng.integers(100, size=(9, 9), dtype=np.uint8) + 150 * (label == "light"),
        )
        for index, label in enumerate(labels)
    ]
    flat = FunctionTransformer(lambda images: images.reshape(len(images), -1).astype(float))
    pipeline = make_pipeline(ReadImages(size=4, mode="L"), flat, GaussianNB())
    assert pipeline.fit(paths, labels).score(paths, labels) == 1
    search = GridSearchCV(pipeline, {"readimages__size": [2, 3]}, cv=3).fit(paths, labels)
    assert search.best_score_ == 1
    np.testing.assert_array_equal(search.predict(np.array(paths, dtype=object)), labels)
