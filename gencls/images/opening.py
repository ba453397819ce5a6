"""From a source to an image whose header Pillow has read, or a refusal that names the mistake and the remedy.

Only a short list of formats is tried, only regular files are opened, and no image of the user is decoded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO, TextIOBase
from threading import Lock
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from .._common.validation import shortened
from ..errors import GenclsError, ImageFileError, InvalidInputError
from .signatures import ADVICE, PREFIX, kind_of

__all__ = ["FORMATS", "ImageSource", "open_again", "open_source", "refusal", "refusals", "source_name"]

ALWAYS_READ = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
READS_AVIF = "avif" in features.modules and bool(features.check("avif"))  # from Pillow 11.3 on
FORMATS = ("AVIF", *ALWAYS_READ) if READS_AVIF else ALWAYS_READ
LONGEST_PATH = 1000  # characters that a message repeats

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[np.uint8]"

_ONE_AT_A_TIME = Lock()  # a file that threads share has one position


def source_name(source: ImageSource, fallback: str) -> str:
    """Return the name of a source for messages: its path as Python code, or else the fallback."""
    path: Any
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
    else:
        path = getattr(source, "filename", None) or getattr(source, "name", None)
    if not isinstance(path, str | bytes):
        return fallback
    return repr(path) if len(path) <= LONGEST_PATH else shortened(path)


# Refusals


def refusal(name: str, reason: str, advice: str) -> ImageFileError:
    """Return the error about an image that is not read."""
    return ImageFileError(f"{name} cannot be read as an image: {reason}. {advice}.")


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises over a file, which can be nearly anything, into an ImageFileError."""
    try:
        yield
    except (GenclsError, MemoryError):
        raise
    except Exception as error:
        raise refusal(name, *_reason_and_advice(error)) from error


def _reason_and_advice(error: Exception) -> tuple[str, str]:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        advice = "Shrink it first, or raise both max_pixels and PIL.Image.MAX_IMAGE_PIXELS if you trust it"
        return f"it is larger than Pillow allows ({error})", advice
    if isinstance(error, Warning):
        reason = f"Pillow warns of it, and warnings are errors here ({_told(error)})"
        return reason, "Save it again, or let warnings of PIL pass"
    if isinstance(error, FileNotFoundError):
        return "there is no such file", "Check the path"
    if isinstance(error, OSError) and error.errno is not None:
        return f"it cannot be opened ({error.strerror})", "Check the path and its permissions"
    reason = f"it is truncated, corrupt or of a kind that is not supported ({_told(error)})"
    return reason, "Copy or convert it again, or leave it out"


def _told(error: Exception) -> str:
    """Return the words of an error, which may repeat the file: shortened, without control characters."""
    words = shortened(str(error))[1:-1] if not str(error).isprintable() else str(error)[:200]
    return f"{type(error).__name__}: {words}"


def _unidentified(content: bytes) -> tuple[str, str]:
    """Return reason and advice about a file that Pillow does not identify, by its first bytes."""
    kind = kind_of(content)
    if not content:
        return "it is empty", "Copy it again, or leave it out"
    if kind in ADVICE:
        return f"it begins like this: {kind}", ADVICE[kind]
    if kind in (*ALWAYS_READ, "AVIF"):
        article = "an" if kind == "AVIF" else "a"
        reason = f"it begins like {article} {kind}, but this kind of {kind} is not supported"
        if kind not in FORMATS:
            return reason, "Install Pillow 11.3 or later, or convert it to PNG or JPEG"
        return f"{reason}, or its header is damaged", "Convert it to a PNG of 8 bits, or leave it out"
    formats = ", ".join(FORMATS)
    if kind:
        advice = "Convert it to PNG or JPEG, or open it yourself and give a Pillow image or an array"
        return f"it begins like this: {kind}; the formats that are read are {formats}", advice
    return f"its content is in none of the formats {formats}", "Convert it to PNG or JPEG, or leave it out"


# Sources


def open_source(source: ImageSource, name: str, stack: ExitStack) -> Image.Image:
    """Open a source; nothing of it is decoded.

    Parameters
    ----------
    source : str, path-like, bytes, binary file, PIL.Image.Image or ndarray of uint8
    name : str
        Its name in messages.
    stack : ExitStack
        Closes the file.

    Returns
    -------
    PIL.Image.Image
        The source itself only where it is an image that is decoded.

    Raises
    ------
    ImageFileError
        It cannot be opened.
    InvalidInputError
        It is neither an image nor a path.
    """
    if isinstance(source, Image.Image):
        return _undecoded(source)
    if isinstance(source, str | os.PathLike):
        return _identified(stack.enter_context(_open_file(source, name)), name)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_content(bytes(source), name)
    if hasattr(source, "read") and not isinstance(source, TextIOBase):
        if getattr(source, "closed", False):
            raise refusal(name, "the file is closed", "Give its path, or read it while it is open")
        return _identified(source, name)  # type: ignore[arg-type]
    if hasattr(source, "__array__") and not isinstance(source, np.generic):
        return _from_array(np.asarray(source), name)
    raise InvalidInputError(
        f"{name} must be a path, bytes, an open binary file, a Pillow image or an array of uint8. "
        f"Got {shortened(source)} of type {type(source).__name__}. Convert it to one of these, or leave it "
        "out."
    )


def _open_file(path: str | os.PathLike[str], name: str) -> IO[bytes]:
    """Open a regular file; a pipe or a device could block, or never end."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if "://" not in str(path):
            raise
        raise refusal(name, "it is a web address, not a path", "Download it, and give its path") from None
    except ValueError as error:  # such as a null byte
        raise refusal(name, f"it is not a path ({error})", "Check where it comes from") from error
    if stat.S_ISDIR(status.st_mode):
        raise refusal(name, "it is a folder", "Give the paths of the images in it, or use load_image_folder")
    if not stat.S_ISREG(status.st_mode):
        raise refusal(name, "it is no regular file", "Give the path of an image file")
    if status.st_size == 0:
        raise refusal(name, "the file is empty", "Copy it again, or leave it out")
    return open(path, "rb")


def _identified(file: IO[bytes], name: str) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise refusal(name, *_unidentified(_beginning(file))) from error


def _beginning(file: IO[bytes]) -> bytes:
    try:
        file.seek(0)
        return file.read(PREFIX)
    except (OSError, ValueError):  # a stream that cannot be rewound
        return b"?"


def _from_content(content: bytes, name: str) -> Image.Image:
    if _looks_like_a_path(content):
        reason = "bytes must be the content of an image file, and these look like a path"
        raise refusal(name, reason, "Give the path as str, as os.fsdecode makes it")
    return _identified(BytesIO(content), name)


def _looks_like_a_path(content: bytes) -> bool:
    text = os.fsdecode(content[:LONGEST_PATH])
    has_path = text.isprintable() and ("." in text or os.sep in text)
    return has_path and len(content) < LONGEST_PATH and kind_of(content) is None


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


# Images that Pillow has opened before


def _undecoded(image: Image.Image) -> Image.Image:
    """Open the file of an image once more where it is not decoded: decoding would fill the user's own."""
    copy = open_again(image) if getattr(image, "fp", None) is not None else None
    return copy if copy is not None and _header(copy) == _header(image) else image


def open_again(image: Image.Image) -> Image.Image | None:
    """Open the file of a Pillow image once more, where it is still open; the image is left as it is."""
    file = getattr(image, "fp", None) or getattr(image, "_fp", None)
    image_format = "JPEG" if image.format == "MPO" else image.format
    if file is None or image_format not in Image.OPEN:
        return None
    try:
        with _ONE_AT_A_TIME:
            position = file.tell()
            file.seek(0)
            content = file.read()
            file.seek(position)
        return Image.open(BytesIO(content), formats=[image_format])
    except Exception:  # closed, or damaged: decoding tells
        return None


def _header(image: Image.Image) -> tuple[Any, ...]:
    return image.format, image.mode, image.size, image.info, image.tell()
