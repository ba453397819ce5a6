"""Decode one image to an array of 8-bit values, or refuse it.

Pillow decodes. This module adds safety: limits are checked before decoding, ambiguous pages and value ranges
are refused, and all failures are reported as one type of error, which names the file and a remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..errors import ImageFileError, NarrowRangeWarning, PixelClippingWarning
from .opening import FORMATS, ImageSource, open_again, open_source, refusal, refusals, source_name

__all__ = [
    "FORMATS",
    "MODES",
    "Decoded",
    "ImageSource",
    "Reading",
    "Remark",
    "read_source",
    "some_of",
    "source_name",
]

MODES = ("L", "RGB", "RGBA")


KIND_OF_PAGE, OLD_KIND_OF_PAGE, INNER_PAGES = 254, 255, 330  # TIFF tags
SMALLER_COPY, MASK = 1, 4  # flags of KIND_OF_PAGE
BITS_PER_SAMPLE, PHOTOMETRIC, BLACK_IS_ZERO = 258, 262, 1  # TIFF tags, and a value of the second one
MOST_PAGES = 100  # inspected in a TIFF
SIXTEEN_BITS = (0, 65535)
SCALE = "Scale the values to 8 bits, and save the image as PNG"


@dataclass(frozen=True)
class Reading:
    """Validated parameters of reading, in the form that Pillow expects."""

    size: tuple[int, int] | None  # (height, width)
    mode: str
    resample: Image.Resampling
    max_pixels: int
    value_range: tuple[float, float] | None  # (black, white)


class Remark(NamedTuple):
    """Category and text of a warning about a decoded image."""

    category: type[Warning]
    words: str


class Decoded(NamedTuple):
    """An image in the requested size and mode, (H, W) or (H, W, C), and an optional remark."""

    pixels: NDArray[np.uint8]
    remark: Remark | None


def read_source(source: ImageSource, reading: Reading, fallback: str) -> Decoded:
    """Read one image, see `gencls.images.read_image`.

    Parameters
    ----------
    source : str, path-like, bytes, binary file, PIL.Image.Image or ndarray of uint8
        The image.
    reading : Reading
        Parameters of reading.
    fallback : str
        The name in error messages of a source without a path.

    Returns
    -------
    Decoded
        Values from 0 to 255, and an optional remark.

    Raises
    ------
    ImageFileError
        If the image cannot be read safely and correctly.
    InvalidInputError
        If the source is neither an image nor a path.
    """
    name = source_name(source, fallback)
    try:
        with refusals(name), ExitStack() as stack:
            return _decode(source, reading, name, stack)
    except ImageFileError as error:
        error.positions, error.sources, error.messages = [0], [source], [str(error)]
        raise


def some_of(items: Sequence[str], most: int = 5) -> str:
    """List the first items, one per line, and the number of further items."""
    more = [f"... and {len(items) - most} more"] if len(items) > most else []
    return "\n".join(f"- {item}" for item in [*items[:most], *more])


def _decode(source: ImageSource, reading: Reading, name: str, stack: ExitStack) -> Decoded:
    image = open_source(source, name, stack)
    _check_area(image, name, reading.max_pixels)
    (_check_shown_frame if image is source else _go_to_photograph)(image, name)
    _check_area(image, name, reading.max_pixels)
    _check_range(image, name, reading.value_range)
    deep_colour = _is_deep_colour(image)
    image = ImageOps.exif_transpose(image)  # a copy, decoded
    image, remark = _to_eight_bits(image, name, reading.value_range)
    remark = _narrow_colour(image) if deep_colour else remark
    image = _to_mode(image, reading.mode, name)
    if reading.size is not None and reading.size != (image.height, image.width):
        image = image.resize(reading.size[::-1], reading.resample)
    return Decoded(np.array(image), remark)


# Frames and pages


def _check_area(image: Image.Image, name: str, max_pixels: int) -> None:
    pixels = image.width * image.height
    if pixels == 0:
        raise refusal(name, "it has no pixels", "Check its source, or remove it")
    if pixels > max_pixels:
        size = f"{image.width:,} × {image.height:,} = {pixels:,} pixels"
        advice = "Shrink it first, or raise max_pixels if you trust it"
        raise refusal(name, f"it has {size}, but max_pixels is {max_pixels:,}", advice)


def _go_to_photograph(image: Image.Image, name: str) -> None:
    """Seek to the only frame that is an image; refuse files with several."""
    frames = _frames(image, name)
    if len(frames) != 1:
        advice = "Save the required frame or page as a separate file"
        raise refusal(name, f"it has {_at_most(len(frames))} frames or pages", advice)
    if image.format == "TIFF":
        image.seek(frames[0])


def _check_shown_frame(image: Image.Image, name: str) -> None:
    """Check the current frame of a decoded image of the user, without seeking."""
    file = getattr(image, "fp", None)
    is_open = file is not None and not getattr(file, "closed", False)
    try:
        image.load()
    except (AssertionError, AttributeError, OSError, ValueError) as error:
        if is_open:
            raise
        advice = "Pass its path, or read it while it is open"
        raise refusal(name, "it was closed before it was decoded", advice) from error
    file = open_again(image)
    several = vars(image).get("is_animated", False) and image.format != "MPO"
    if (several and file is None) or (file is not None and list(_frames(file, name)) != [image.tell()]):
        advice = "Pass image.copy() of the required frame"
        raise refusal(name, "its file has several frames or pages", advice)


def _frames(image: Image.Image, name: str) -> Sequence[int]:
    """Return the frames of a file that are images."""
    if image.format == "MPO":  # the first frame is the photograph, the others are auxiliary
        return [0]
    return _full_pages(image, name) if image.format == "TIFF" else range(getattr(image, "n_frames", 1))


def _at_most(number: int) -> str:
    return f"more than {MOST_PAGES}" if number > MOST_PAGES else str(number)


def _full_pages(image: Image.Image, name: str) -> Sequence[int]:
    """Return the pages of a TIFF without thumbnails and masks, or all pages if no other page is left."""
    auxiliary = [_is_auxiliary(tags) for tags in _pages(image)]
    if auxiliary == [True] and INNER_PAGES in _tags(image):
        reason = "it is a raw photograph, of which Pillow reads only the preview"
        raise refusal(name, reason, "Develop it, and save it as PNG or JPEG")
    full = [page for page, is_auxiliary in enumerate(auxiliary) if not is_auxiliary]
    return full if full and len(auxiliary) <= MOST_PAGES else range(len(auxiliary))


def _tags(image: Image.Image) -> Any:
    """Return the tags of the current page of a TIFF."""
    return getattr(image, "tag_v2", {})


def _pages(image: Image.Image) -> Iterator[Any]:
    """Yield the tags of each page of a TIFF, up to one page beyond the limit."""
    for page in range(MOST_PAGES + 1):
        try:
            image.seek(page)
        except EOFError:
            return
        yield _tags(image)


def _is_auxiliary(tags: Any) -> bool:
    """Return whether a page is a thumbnail or mask of another page."""
    kind = tags.get(KIND_OF_PAGE, 0)
    return bool(isinstance(kind, int) and kind & (SMALLER_COPY | MASK)) or tags.get(OLD_KIND_OF_PAGE) == 2


# Values


def _check_range(image: Image.Image, name: str, value_range: tuple[float, float] | None) -> None:
    """Refuse images with an unknown range of values."""
    reason = f"the range of its values is unknown (Pillow mode {image.mode}, format {image.format})"
    if _has_hidden_range(image):
        raise refusal(name, reason, SCALE)
    if value_range is None and (image.mode == "F" or _has_other_bits(image)):
        raise refusal(name, reason, f"{SCALE}, or set value_range=(black, white)")


def _has_hidden_range(image: Image.Image) -> bool:
    """Return whether white is zero, or Pillow has scaled integers of which one encodes transparency."""
    if image.format == "TIFF" and image.mode.startswith(("I", "F")):
        return _tags(image).get(PHOTOMETRIC) != BLACK_IS_ZERO
    if image.format == "PNG" and "transparency" in image.info and image.mode not in ("1", "P"):
        return _raw_mode(image)[:1] not in ((), (image.mode,))
    return False


def _has_other_bits(image: Image.Image) -> bool:
    """Return whether a TIFF has integers other than plain 16-bit integers."""
    if image.format != "TIFF" or not image.mode.startswith("I"):
        return False
    return image.mode == "I" or _tags(image).get(BITS_PER_SAMPLE) != (16,)


def _raw_mode(image: Image.Image) -> tuple[Any, ...]:
    """Return the raw mode of the file, and further arguments of the decoder of Pillow."""
    tiles = getattr(image, "tile", None)
    how = tiles[0][3] if tiles else ()
    return how if isinstance(how, tuple) else (how,)


def _to_eight_bits(
    image: Image.Image, name: str, value_range: tuple[float, float] | None
) -> tuple[Image.Image, Remark | None]:
    """Scale integers and floats, by default 16-bit grey, to 8 bits; other modes have at most 8 bits."""
    if not image.mode.startswith(("I", "F")):
        return image, None
    values = np.asarray(image)
    lowest, highest = values.min().item(), values.max().item()
    low, high = value_range or SIXTEEN_BITS
    if value_range is None and not low <= lowest <= highest <= high:
        reason = f"its values range from {lowest} to {highest}, but those of 16-bit grey from 0 to 65535"
        raise refusal(name, reason, f"{SCALE}, or set value_range=(black, white)")
    if not np.isfinite(highest - lowest):
        raise refusal(name, "it has non-finite values", SCALE)
    remark = _clipped(lowest, highest, low, high) if value_range else _narrow(values)
    return Image.fromarray(_scaled(values, lowest, highest, low, high)), remark


def _scaled(
    values: NDArray[Any], lowest: float, highest: float, low: float, high: float
) -> NDArray[np.uint8]:
    if values.dtype.kind in "iu" and lowest >= 0 and highest <= SIXTEEN_BITS[1]:
        return _table(low, high)[values]
    return _rounded(values, low, high)


@lru_cache(maxsize=8)
def _table(low: float, high: float) -> NDArray[np.uint8]:
    return _rounded(np.arange(SIXTEEN_BITS[1] + 1), low, high)


def _rounded(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Scale values to the range from 0 to 255, and round them."""
    scaled = np.clip(values.astype(np.float64), low, high)
    scaled -= low
    scaled *= 255 / (high - low)
    return np.rint(scaled, out=scaled).astype(np.uint8)


# Remarks


def _clipped(lowest: float, highest: float, low: float, high: float) -> Remark | None:
    if low <= lowest and highest <= high:
        return None
    words = (
        f"values from {lowest:g} to {highest:g} were clipped to value_range=({low:g}, {high:g}). Set "
        "value_range to the extremes of the values to avoid clipping."
    )
    return Remark(PixelClippingWarning, words)


def _narrow(values: NDArray[Any]) -> Remark | None:
    """Check all values, and those strictly between black and white, which often encode missing values."""
    low, high = SIXTEEN_BITS
    between = values[(low < values) & (values < high)]
    return _narrow_range(values) or _narrow_range(between, " between black and white")


def _narrow_range(values: NDArray[Any], which: str = "") -> Remark | None:
    if not values.size:
        return None
    lowest, highest = values.min().item(), values.max().item()
    if lowest == highest or 16 * (highest - lowest) >= SIXTEEN_BITS[1]:
        return None
    bits = highest.bit_length()
    likely = (0, 2**bits - 1) if bits < 16 else (lowest, highest)
    words = (
        f"16-bit grey{which} ranges only from {lowest} to {highest}, less than a sixteenth of the range from "
        "0 to 65535, so conversion to 8 bits loses most detail. Set value_range=(black, white), such as "
        f"value_range={likely}, or value_range=(0, 65535) if that range is correct."
    )
    return Remark(NarrowRangeWarning, words)


def _is_deep_colour(image: Image.Image) -> bool:
    """Return whether Pillow reduces the colours of an image to 8 bits while decoding."""
    if image.mode.startswith("I"):
        return False
    mode, *more = _raw_mode(image) or (None,)
    has_more_levels = image.format == "PPM" and bool(more) and isinstance(more[0], int) and more[0] > 255
    return has_more_levels or (isinstance(mode, str) and ";16" in mode)


def _narrow_colour(image: Image.Image) -> Remark | None:
    """Check 16-bit colours that Pillow has reduced to 8 bits."""
    extrema = [pair for band, pair in zip(image.getbands(), _extrema(image), strict=True) if band != "A"]
    lowest, highest = min(low for low, _ in extrema), max(high for _, high in extrema)
    if not 0 < highest - lowest <= 16:  # 4095 of 65535 becomes 15 or 16
        return None
    words = (
        f"16-bit colours were reduced to 8 bits, and range only from {lowest} to {highest} of 255, so most "
        f"detail is lost. {SCALE}, if black and white have different values."
    )
    return Remark(NarrowRangeWarning, words)


def _extrema(image: Image.Image) -> Sequence[tuple[int, int]]:
    extrema: Any = image.getextrema()
    return extrema if len(image.getbands()) > 1 else [extrema]


# Modes


def _to_mode(image: Image.Image, mode: str, name: str) -> Image.Image:
    """Convert the mode; modes without an alpha channel blend transparent pixels with white."""
    try:
        if not image.has_transparency_data:
            return image.convert(mode)
        with_alpha = image.convert("RGBA")
    except ValueError as error:
        reason = f"its colours (Pillow mode {image.mode}) are not supported"
        raise refusal(name, reason, "Convert it to RGB, and save it as PNG") from error
    if mode == "RGBA":
        return with_alpha
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), with_alpha).convert(mode)
