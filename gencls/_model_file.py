"""The model file: one safetensors file with a description, under a checksum, written whole or not at all.

Nothing in it is ever executed. The header's metadata has a single key, ``gencls``, with the description as
JSON; its first entry is the SHA-256 of the whole file in which these 64 digits are zeros.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from ._version import __version__
from .errors import ModelFileError

__all__ = ["read_description", "read_model_file", "write_model_file"]

FORMAT_VERSION = 1
KEY = "gencls"
BLANK = "0" * 64
MARK = rb"{\"sha256\": \""  # how the description begins, as a string in the header
LARGEST_HEADER = 100_000_000  # bytes, as safetensors has it

StrPath = str | os.PathLike[str]


def write_model_file(path: StrPath, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a model file; where that fails, a file that was there stays as it was.

    Parameters
    ----------
    path : str or path-like
    description : dict
        What JSON can hold.
    tensors : dict of str to Tensor
        On the CPU, contiguous, none sharing memory with another.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = json.dumps({"sha256": BLANK, "format_version": FORMAT_VERSION} | description)
    content = safetensors.torch.save(tensors, {KEY: text})
    start = _position_of_checksum(content)
    _replace(Path(path), content[:start], _checksum(content).encode(), content[start + len(BLANK) :])


def read_model_file(path: StrPath) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a model file and verify its checksum.

    Returns
    -------
    description : dict
    tensors : dict of str to Tensor

    Raises
    ------
    ModelFileError
        If it is no model file, is damaged, or is of a newer format.
    FileNotFoundError
        If there is no file.
    """
    description, content = _read(path)
    try:
        return description, safetensors.torch.load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise _no_model_file(path, f"its tensors cannot be read ({error})") from error


def read_description(path: StrPath) -> dict[str, Any]:
    """Read the description alone, with the errors of `read_model_file`."""
    return _read(path)[0]


def _read(path: StrPath) -> tuple[dict[str, Any], bytes]:
    """The description, and the content with its checksum verified."""
    with open(path, "rb") as file:
        header = _read_header(path, file)
        description = _parse(path, header)
        _check_version(path, description)
        content = header + file.read()
    if description.get("sha256") != _checksum(content):
        raise ModelFileError(
            f"{os.fspath(path)} is damaged: its content does not match its checksum. Copy it anew from where "
            "it came, or save the model again."
        )
    return description, content


def _read_header(path: StrPath, file: BinaryIO) -> bytes:
    """The length of the header and the header; whatever the file is, not more than that is read."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 0 < length <= LARGEST_HEADER:
        raise _no_model_file(path, "it does not begin like one" if start else "it is empty")
    header = file.read(length)
    if len(header) < length:
        raise _no_model_file(path, "it does not begin like one, or was cut off")
    return start + header


def _parse(path: StrPath, header: bytes) -> dict[str, Any]:
    """The description out of the header."""
    try:
        metadata = json.loads(header[8:])["__metadata__"]
        description = json.loads(metadata[KEY])
        if _position_of_checksum(header) and type(description["format_version"]) is int:
            return dict(description)
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    raise _no_model_file(path, "its header has no description by gencls")


def _check_version(path: StrPath, description: dict[str, Any]) -> None:
    version = description["format_version"]
    if not 1 <= version <= FORMAT_VERSION:
        raise ModelFileError(
            f"{os.fspath(path)} has the format version {version}, but gencls {__version__} reads versions up "
            f"to {FORMAT_VERSION} only. Upgrade gencls, or save the model with an older one."
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


def _replace(path: Path, *parts: bytes) -> None:
    """Write a file beside this one, and put it in its place once it is whole."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} into. Make it first.")
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _no_model_file(path: StrPath, reason: str) -> ModelFileError:
    return ModelFileError(
        f"{os.fspath(path)} is no model file of gencls: {reason}. Give a file that "
        "GenerativeBayesClassifier.save has written."
    )
