"""Open images with Pillow, without decoding; errors name the mistake and the remedy.

Only a few formats are accepted, only regular files are opened, and images of the user are not decoded.
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
LONGEST_PATH = 1000  # characters of a path in a message

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[np.uint8]"

_FILE_POSITION = Lock()  # threads may share a file, which has one position


def source_name(source: ImageSource, fallback: str) -> str:
    """Return the name of a source for messages: the repr of its path, or else the fallback."""
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
    """Return the error for an image that cannot be read."""
    return ImageFileError(f"{name} cannot be read as an image: {reason}. {advice}.")


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """Turn exceptions of Pillow, which can have almost any type, into an ImageFileError."""
    try:
        yield
    except (GenclsError, MemoryError):
        raise
    except Exception as error:
        raise refusal(name, *_reason_and_advice(error)) from error


def _reason_and_advice(error: Exception) -> tuple[str, str]:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        advice = "Shrink it first, or raise both max_pixels and PIL.Image.MAX_IMAGE_PIXELS if you trust it"
        return f"it exceeds the size limit of Pillow ({error})", advice
    if isinstance(error, Warning):
        reason = f"Pillow issued a warning, and warnings are errors ({_described(error)})"
        return reason, "Save it again, or ignore warnings of PIL"
    if isinstance(error, FileNotFoundError):
        return "the file does not exist", "Check the path"
    if isinstance(error, OSError) and error.errno is not None:
        return f"it cannot be opened ({error.strerror})", "Check the path and its permissions"
    reason = f"it is truncated, corrupt or of an unsupported type ({_described(error)})"
    return reason, "Copy or convert it again, or remove it"


def _described(error: Exception) -> str:
    """Return type and message of an error, shortened and without control characters."""
    words = shortened(str(error))[1:-1] if not str(error).isprintable() else str(error)[:200]
    return f"{type(error).__name__}: {words}"


def _unidentified(content: bytes) -> tuple[str, str]:
    """Return reason and advice for a file that Pillow cannot identify, based on its first bytes."""
    kind = kind_of(content)
    if not content:
        return "it is empty", "Copy it again, or remove it"
    if kind in ADVICE:
        return f"it seems to be a different type of file: {kind}", ADVICE[kind]
    if kind in (*ALWAYS_READ, "AVIF"):
        reason = f"its signature is {kind}, but this variant of {kind} is not supported"
        if kind not in FORMATS:
            return reason, "Install Pillow 11.3 or later, or convert it to PNG or JPEG"
        return f"{reason}, or its header is damaged", "Convert it to an 8-bit PNG, or remove it"
    formats = ", ".join(FORMATS)
    if kind:
        advice = "Convert it to PNG or JPEG, or open it and pass a Pillow image or an array"
        return f"its signature is {kind}; the supported formats are {formats}", advice
    return f"it has none of the formats {formats}", "Convert it to PNG or JPEG, or remove it"


# Sources


def open_source(source: ImageSource, name: str, stack: ExitStack) -> Image.Image:
    """Open a source without decoding it.

    Parameters
    ----------
    source : str, path-like, bytes, binary file, PIL.Image.Image or ndarray of uint8
    name : str
        The name of the source in messages.
    stack : ExitStack
        The stack that closes the file.

    Returns
    -------
    PIL.Image.Image
        The source itself if it is a decoded image, else a new image.

    Raises
    ------
    ImageFileError
        If the source cannot be opened.
    InvalidInputError
        If the source is neither an image nor a path.
    """
    if isinstance(source, Image.Image):
        return _undecoded(source)
    if isinstance(source, str | os.PathLike):
        return _identified(stack.enter_context(_open_file(source, name)), name)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_content(bytes(source), name)
    if hasattr(source, "read") and not isinstance(source, TextIOBase):
        if getattr(source, "closed", False):
            raise refusal(name, "the file is closed", "Pass its path, or read it while it is open")
        return _identified(source, name)  # type: ignore[arg-type]
    if hasattr(source, "__array__") and not isinstance(source, np.generic):
        return _from_array(np.asarray(source), name)
    raise InvalidInputError(
        f"{name} must be a path, bytes, an open binary file, a Pillow image or an array of uint8. "
        f"Got {shortened(source)} of type {type(source).__name__}. Convert it to one of these, or remove it."
    )


def _open_file(path: str | os.PathLike[str], name: str) -> IO[bytes]:
    """Open a regular file; pipes and devices could block or be endless."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if "://" not in str(path):
            raise
        raise refusal(name, "it is a URL, not a path", "Download it, and pass its path") from None
    except ValueError as error:  # such as a null byte
        raise refusal(name, f"it is not a path ({error})", "Check its source") from error
    if stat.S_ISDIR(status.st_mode):
        raise refusal(name, "it is a folder", "Pass the paths of the images in it, or use load_image_folder")
    if not stat.S_ISREG(status.st_mode):
        raise refusal(name, "it is not a regular file", "Pass the path of an image file")
    if status.st_size == 0:
        raise refusal(name, "the file is empty", "Copy it again, or remove it")
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
        reason = "bytes must be the content of an image file, but these look like a path"
        raise refusal(name, reason, "Pass the path as str, see os.fsdecode")
    return _identified(BytesIO(content), name)


def _looks_like_a_path(content: bytes) -> bool:
    text = os.fsdecode(content[:LONGEST_PATH])
    has_path = text.isprintable() and ("." in text or os.sep in text)
    return has_path and len(content) < LONGEST_PATH and kind_of(content) is None


def _from_array(array: NDArray[Any], name: str) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or not 1 <= channels <= 4 or array.size == 0:
        raise InvalidInputError(
            f"{name} must be a non-empty uint8 array of shape (H, W) or (H, W, C), with C from 1 to 4. Got "
            f"the shape {array.shape} and dtype {array.dtype}. Scale the values to 0 to 255, round them, and "
            "move the channels to the last axis."
        )
    planes = array[:, :, 0] if array.ndim == 3 and channels == 1 else array
    return Image.fromarray(np.ascontiguousarray(planes))


# Images that Pillow has already opened


def _undecoded(image: Image.Image) -> Image.Image:
    """Open the file of an undecoded image again, because decoding would modify the image of the user."""
    copy = open_again(image) if getattr(image, "fp", None) is not None else None
    return copy if copy is not None and _header(copy) == _header(image) else image


def open_again(image: Image.Image) -> Image.Image | None:
    """Open the file of a Pillow image again, if the file is still open; the image is not modified."""
    file = getattr(image, "fp", None) or getattr(image, "_fp", None)
    image_format = "JPEG" if image.format == "MPO" else image.format
    if file is None or image_format not in Image.OPEN:
        return None
    try:
        with _FILE_POSITION:
            position = file.tell()
            file.seek(0)
            content = file.read()
            file.seek(position)
        return Image.open(BytesIO(content), formats=[image_format])
    except Exception:  # a closed or damaged file; decoding will report it
        return None


def _header(image: Image.Image) -> tuple[Any, ...]:
    return image.format, image.mode, image.size, image.info, image.tell()
