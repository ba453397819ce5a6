"""The model file: one safetensors file with a description and a checksum, written atomically.

Nothing in it is ever executed. The header's metadata has a single key, ``gencls``, with the description as
JSON; its first entry is the SHA-256 of the whole file in which these 64 digits are zeros. A checksum can be
forged, so the claims of a file are bounded before they are used.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from math import prod
from typing import Any, BinaryIO, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from .._common.validation import printable, shortened
from .._common.whole_file import whole_file
from .._version import __version__
from ..errors import InvalidParameterError, ModelFileError
from .json_values import parse_json

__all__ = ["StrPath", "check_claims", "check_path", "read_description", "read_model_file", "write_model_file"]

FORMAT_VERSION = 2
KEY = "gencls"
BLANK = "0" * 64
MARK = rb"{\"sha256\": \""  # how the description begins, as a string in the header

LARGEST_FILE = 2**31  # bytes
LARGEST_HEADER = 2**25  # bytes
MOST_TENSORS = 10_000
MOST_AXES = 8
LONGEST_ENTRY = 300  # bytes of a tensor's type, shape and place in the header
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}

StrPath = str | os.PathLike[str]


class _Header(NamedTuple):
    """The first bytes of a file, its description, and where its tensors end."""

    content: bytes
    description: dict[str, Any]
    n_bytes: int


def write_model_file(path: StrPath, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a model file; if this fails, an existing file is unchanged.

    Parameters
    ----------
    path : str or path-like
    description : dict
        Values that JSON can hold.
    tensors : dict of str to Tensor
        On the CPU, contiguous, without shared memory.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    check_path(path)
    text = json.dumps({"sha256": BLANK, "format_version": FORMAT_VERSION} | description)
    content = safetensors.torch.save(tensors, {KEY: text})
    start, view = _position_of_checksum(content), memoryview(content)
    with whole_file(path) as file:
        file.writelines((view[:start], _checksum(content).encode(), view[start + len(BLANK) :]))


def check_claims(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raise unless a file with these is small enough to be read.

    Raises
    ------
    ModelFileError
    """
    n_tensors, n_bytes = len(tensors), sum(tensor.nbytes for tensor in tensors.values())
    entries = sum(len(json.dumps(name)) + LONGEST_ENTRY for name in tensors)
    n_bytes_of_header = len(json.dumps(json.dumps(description))) + entries + LONGEST_ENTRY
    for found, most, what in (
        (n_tensors, MOST_TENSORS, "tensors"),
        (n_bytes, LARGEST_FILE - LARGEST_HEADER, "bytes of weights"),
        (n_bytes_of_header, LARGEST_HEADER, "bytes of description"),
    ):
        if found > most:
            raise ModelFileError(f"It has {found:,} {what}, more than {most:,}.")


def read_model_file(path: StrPath) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a model file and verify its checksum.

    Returns
    -------
    description : dict
    tensors : dict of str to Tensor

    Raises
    ------
    ModelFileError
        If it is not a model file, is damaged, is of a newer format, or exceeds the limits.
    FileNotFoundError
        If the file does not exist.
    """
    description, content = _read(path)
    try:
        return description, safetensors.torch.load(content)
    except (SafetensorError, LookupError, ValueError, RuntimeError) as error:
        reason = f"its tensors cannot be read ({shortened(str(error))})"
        raise _no_model_file(path, reason) from error


def read_description(path: StrPath) -> dict[str, Any]:
    """Read the description only, with the errors of `read_model_file`."""
    return _read(path)[0]


def _read(path: StrPath) -> tuple[dict[str, Any], bytes]:
    """The description, and the content with its checksum verified."""
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(path, file, size)
        _check_version(path, header.description)
        file.seek(0)
        content = file.read(header.n_bytes) if size == header.n_bytes else b""
    whole = len(content) == header.n_bytes and content.startswith(header.content)
    if not whole or header.description.get("sha256") != _checksum(content):
        raise ModelFileError(
            f"{printable(os.fsdecode(path))} is damaged: its content does not match its checksum. Copy it "
            "again from its source, or save the model again."
        )
    return header.description, content


def _open(path: StrPath) -> BinaryIO:
    """Open a regular file; anything else is not opened, as opening could block."""
    check_path(path)
    try:
        _check_regular(path, os.stat(path))
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _no_model_file(path, "it is a link that leads to itself") from error
    file = os.fdopen(descriptor, "rb")
    try:
        _check_regular(path, os.fstat(descriptor))
    except ModelFileError:
        file.close()
        raise
    return file


def check_path(path: Any, name: str = "path") -> None:
    """Raise unless a path is valid; `name` is that of the parameter."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in os.fsdecode(path):
        raise InvalidParameterError(
            f"The parameter {name!r} must be a str or path-like, not empty and without null characters, got "
            f"{shortened(path)}."
        )


def _check_regular(path: StrPath, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _no_model_file(path, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise _no_model_file(path, "it is a pipe, a device or a socket")


def _read_header(path: StrPath, file: BinaryIO, size: int) -> _Header:
    """The header; no further bytes are read, whatever the file is."""
    start = file.read(8)
    try:
        length = _length_of_header(start)
        if length > size:
            raise ValueError("it does not begin like one, or was truncated")
        _check_size(size)
        return _parse(start + file.read(length - 8))
    except ValueError as error:
        raise _no_model_file(path, str(error)) from error


def _length_of_header(start: bytes) -> int:
    """The size of the header, including the 8 bytes that state it."""
    if not start:
        raise ValueError("it is empty")
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 0 < length <= LARGEST_HEADER:
        raise ValueError("it does not begin like one")
    return 8 + length


def _check_size(size: int) -> None:
    if size > LARGEST_FILE:
        raise ValueError(f"it has {size:,} bytes, more than {LARGEST_FILE:,}")


def _parse(content: bytes) -> _Header:
    """Take the description out of the header, and check what it claims; a ValueError says what is wrong."""
    try:
        tensors = parse_json(content[8:])
        description = parse_json(tensors.pop("__metadata__")[KEY])
        known = MARK in content and type(description["format_version"]) is int
    except (LookupError, TypeError, AttributeError, UnicodeError, json.JSONDecodeError):
        known = False
    except ValueError as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    if not known:
        raise ValueError("its header has no description by gencls")
    return _Header(content, description, len(content) + _check_tensors(tensors))


def _check_tensors(tensors: Mapping[str, Any]) -> int:
    """The bytes of all tensors; raise unless each is non-empty and its size fits its shape."""
    if len(tensors) > MOST_TENSORS:
        raise ValueError(f"it has {len(tensors):,} tensors, more than {MOST_TENSORS:,}")
    end = 0
    for name, each in tensors.items():
        match each:
            case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(first), int(last)]}:
                n_values = prod(shape) if _is_shape(shape) else 0
                if n_values and last - first == n_values * SIZES.get(dtype, 0):
                    end = max(end, last)
                    continue
        raise ValueError(f"its tensor {shortened(name)} has no shape that fits its size, or is empty")
    return end


def _is_shape(shape: list[Any]) -> bool:
    return len(shape) <= MOST_AXES and all(type(size) is int and 0 < size <= LARGEST_FILE for size in shape)


def _check_version(path: StrPath, description: dict[str, Any]) -> None:
    version = description["format_version"]
    if not 1 <= version <= FORMAT_VERSION:
        raise ModelFileError(
            f"{printable(os.fsdecode(path))} has the format version {shortened(version)}, but gencls "
            f"{__version__} reads versions up to {FORMAT_VERSION} only. Upgrade gencls, or save the "
            "model with an older one."
        )


def _position_of_checksum(content: bytes) -> int:
    return content.index(MARK) + len(MARK)


def _checksum(content: bytes) -> str:
    start = _position_of_checksum(content)
    view = memoryview(content)
    digest = hashlib.sha256(view[:start])
    digest.update(BLANK.encode())
    digest.update(view[start + len(BLANK) :])
    return digest.hexdigest()


def _no_model_file(path: StrPath, reason: str) -> ModelFileError:
    return ModelFileError(
        f"{printable(os.fsdecode(path))} is not a model file of gencls: {reason}. Pass a file that "
        "GenerativeBayesClassifier.save has written."
    )
