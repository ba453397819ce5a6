"""One image into an array of 8-bit values, read rightly or refused.

Pillow decodes. What stands here is the caution around it: a short list of formats, limits that are checked
before anything is decoded, and one kind of error, which names the file and says what to do.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO, TextIOBase
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import GenclsError, ImageFileError, InvalidInputError

__all__ = [
    "FORMATS",
    "MODES",
    "RESAMPLING",
    "ImageSource",
    "Reading",
    "read_source",
    "some_of",
    "source_name",
]

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
MODES = ("L", "RGB", "RGBA")
RESAMPLING = tuple(method.name.lower() for method in Image.Resampling)

BITS_PER_SAMPLE, PHOTOMETRIC, BLACK_IS_ZERO = 258, 262, 1  # tags of TIFF, and a value of the second
FROM_16_BITS = ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)  # rounded to the nearest

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[np.uint8]"


@dataclass(frozen=True)
class Reading:
    """How images are read: checked parameters, in the form that Pillow takes."""

    size: tuple[int, int] | None  # (height, width)
    mode: str
    resample: Image.Resampling
    max_pixels: int


def read_source(source: ImageSource, reading: Reading, fallback: str) -> NDArray[np.uint8]:
    """Read one image, as `gencls.images.read_image` describes it.

    Parameters
    ----------
    source : str, path-like, bytes, binary file, PIL.Image.Image or ndarray of uint8
        What to read.
    reading : Reading
        How to read it.
    fallback : str
        What error messages call a source that has no path.

    Returns
    -------
    ndarray of uint8, of shape (H, W, C), or (H, W) with mode "L"
        The values, from 0 to 255.

    Raises
    ------
    ImageFileError
        It cannot be read safely and rightly.
    InvalidInputError
        It is no image and no path.
    """
    name = source_name(source, fallback)
    with _refusals(name), ExitStack() as stack:
        image = _open(source, name, stack)
        _check_header(image, name, reading.max_pixels)
        image = ImageOps.exif_transpose(image)  # a copy, decoded
        image = _to_mode(_to_eight_bits(image, name), reading.mode)
        if reading.size is not None and reading.size != (image.height, image.width):
            image = image.resize(reading.size[::-1], reading.resample)
        return np.array(image)


def source_name(source: ImageSource, fallback: str) -> str:
    """Return what error messages call a source: its path where it has one."""
    if isinstance(source, str | os.PathLike):
        return repr(os.fspath(source))
    path = getattr(source, "filename", None) or getattr(source, "name", None)
    return repr(path) if isinstance(path, str) else fallback


# What cannot be read


def some_of(items: Sequence[str], most: int = 5) -> str:
    """List the first few items, a line each, and say how many more there are."""
    more = [f"... and {len(items) - most} more"] if len(items) > most else []
    return "\n".join(f"- {item}" for item in [*items[:most], *more])


def _refusal(name: str, reason: str, advice: str) -> ImageFileError:
    return ImageFileError(f"{name} cannot be read as an image: {reason}. {advice}.")


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises over a file, which can be nearly anything, into an ImageFileError."""
    try:
        yield
    except (GenclsError, MemoryError):
        raise
    except Exception as error:
        raise _refusal(name, *_reason_and_advice(error)) from error


def _reason_and_advice(error: Exception) -> tuple[str, str]:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"it is larger than Pillow allows ({error})", "Shrink it first"
    if isinstance(error, UnidentifiedImageError):
        reason = f"its content is in none of the formats {', '.join(FORMATS)}"
        return reason, "Convert it to PNG or JPEG, or leave it out"
    if isinstance(error, FileNotFoundError):
        return "there is no such file", "Check the path"
    if isinstance(error, OSError) and error.errno is not None:
        return f"it cannot be opened ({error.strerror})", "Check the path and its permissions"
    reason = f"it is truncated, corrupt or of an unknown kind ({type(error).__name__}: {error})"
    return reason, "Copy or convert it again, or leave it out"


# From the source to an image whose header has been read


def _open(source: ImageSource, name: str, stack: ExitStack) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source, name)
    if isinstance(source, str | os.PathLike):
        return Image.open(stack.enter_context(_open_file(source, name)), formats=FORMATS)
    if isinstance(source, bytes):
        return Image.open(BytesIO(source), formats=FORMATS)
    if hasattr(source, "read") and not isinstance(source, TextIOBase):
        return Image.open(source, formats=FORMATS)
    raise InvalidInputError(
        f"{name} must be a path, bytes, an open binary file, a Pillow image or an array of uint8. "
        f"Got {source!r} of type {type(source).__name__}. Convert it to one of these, or leave it out."
    )


def _open_file(path: str | os.PathLike[str], name: str) -> IO[bytes]:
    """Open a regular file; a pipe or a device could block, or never end."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise _refusal(name, "it is a folder", "Give the paths of the images in it, or use load_image_folder")
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(name, "it is no regular file", "Give the path of an image file")
    if status.st_size == 0:
        raise _refusal(name, "the file is empty", "Copy it again, or leave it out")
    return open(path, "rb")


def _from_array(array: NDArray[Any], name: str) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or not 1 <= channels <= 4 or array.size == 0:
        raise InvalidInputError(
            f"{name} must be an array of uint8 of shape (H, W) or (H, W, C), C from 1 to 4, no side being 0. "
            f"Got shape {array.shape} and dtype {array.dtype}. Scale the values to 0 to 255, round them, and "
            "put the channels last."
        )
    planes = array[:, :, 0] if array.ndim == 3 and channels == 1 else array
    return Image.fromarray(np.ascontiguousarray(planes))


def _check_header(image: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse what would take too much memory, or would not be read rightly."""
    pixels = image.width * image.height
    if pixels > max_pixels:
        size = f"{image.width:,} × {image.height:,} = {pixels:,} pixels"
        advice = "Shrink it first, or raise max_pixels if you trust it"
        raise _refusal(name, f"it has {size}, and max_pixels is {max_pixels:,}", advice)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # where the first is the photograph and the others belong to it
        reason = f"it holds {frames} frames or pages"
        raise _refusal(name, reason, "Save the one that you want as a file of its own")
    if image.mode == "F" or _has_uncertain_range(image):
        reason = f"the range of its values is uncertain (Pillow's mode {image.mode}, format {image.format})"
        raise _refusal(name, reason, "Scale them to 8 bits yourself, and save it as PNG")


def _has_uncertain_range(image: Image.Image) -> bool:
    """Say whether integers are not plain 16-bit ones, or one that Pillow has scaled means transparency."""
    if image.format == "TIFF" and image.mode.startswith("I"):
        tags = image.tag_v2  # type: ignore[attr-defined]
        plain = tags.get(BITS_PER_SAMPLE) == (16,) and tags.get(PHOTOMETRIC) == BLACK_IS_ZERO
        return image.mode == "I" or not plain
    if image.format == "PNG" and "transparency" in image.info and image.mode not in ("1", "P"):
        tiles = image.tile  # type: ignore[attr-defined]
        return bool(tiles) and tiles[0][3] != image.mode
    return False


# From that image to the one that was asked for


def _to_eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Scale 16-bit grey, from 0 to 65535, to 8 bits; all other modes have 8 bits or fewer."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        reason = f"its values go from {values.min()} to {values.max()}, but 16-bit grey from 0 to 65535"
        raise _refusal(name, reason, "Scale them to 8 bits yourself, and save it as PNG")
    return Image.fromarray(FROM_16_BITS[values])


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert the mode; what is transparent is laid on white where the mode has no alpha channel."""
    if not image.has_transparency_data:
        return image.convert(mode)
    with_alpha = image.convert("RGBA")
    if mode == "RGBA":
        return with_alpha
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), with_alpha).convert(mode)
