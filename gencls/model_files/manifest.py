"""Several model files in a folder, with a list under a checksum that gives their order and temperature.

The list is written last, and a model file has its checksum in its name. A folder thus holds either the old
ensemble or the new one, even if the process is killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .._common.validation import Rule, shortened
from .._common.whole_file import whole_file
from .._version import __version__
from ..bayes.calibration import TEMPERATURE
from ..errors import ModelFileError
from .container import read_description
from .faults import file_at_fault
from .fields import check_fields
from .json_values import parse_json

__all__ = ["Manifest", "read_manifest", "write_manifest"]

NAME = "ensemble.json"
MANIFEST_VERSION = 1
MOST_MEMBERS = 1_000
LARGEST_MANIFEST = 2**20  # bytes
MEMBER_FILE = re.compile(r"member-[0-9]{1,3}-[0-9a-f]{16}\.safetensors")
CHECKSUM = re.compile(r"[0-9a-f]{64}")

MANIFEST = {
    "format_version": Rule(f"{MANIFEST_VERSION}", lambda value: value == MANIFEST_VERSION),
    "members": Rule(
        f"a list of 1 to {MOST_MEMBERS:,} objects",
        lambda value: (
            type(value) is list
            and 1 <= len(value) <= MOST_MEMBERS
            and all(type(each) is dict for each in value)
        ),
    ),
    "temperature": TEMPERATURE,
}
MEMBER = {
    "file": Rule(
        "the name of a member's file",
        lambda value: type(value) is str and bool(MEMBER_FILE.fullmatch(value)),
    ),
    "sha256": Rule(
        "a SHA-256 checksum", lambda value: type(value) is str and bool(CHECKSUM.fullmatch(value))
    ),
}


class Manifest(NamedTuple):
    """The list of a folder.

    Attributes
    ----------
    paths : list of Path
        The model files, in their order.
    temperature : float
    """

    paths: list[Path]
    temperature: float


def write_manifest(folder: Path, saves: Sequence[Callable[[Path], None]], temperature: float) -> None:
    """Write the members of an ensemble and their list; if this fails, an existing ensemble is kept.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    saves : sequence of callable
        Each writes the model file of one member to a path.
    temperature : float

    Raises
    ------
    ModelFileError
        If there are too many members.
    OSError
        If a file cannot be written.
    """
    if len(saves) > MOST_MEMBERS:
        raise ModelFileError(
            f"An ensemble of {len(saves):,} members cannot be saved: at most {MOST_MEMBERS:,}."
        )
    folder.mkdir(exist_ok=True)
    kept = _member_files(folder)
    try:
        members = [_write_member(folder, number, save) for number, save in enumerate(saves)]
        content = {"format_version": MANIFEST_VERSION, "members": members, "temperature": temperature}
        with whole_file(folder / NAME) as file:
            file.write(json.dumps({"sha256": _checksum(content)} | content, indent=1).encode())
        kept = {member["file"] for member in members}
    finally:
        for name in _member_files(folder) - kept:
            (folder / name).unlink(missing_ok=True)


def read_manifest(folder: Path) -> Manifest:
    """Read the list of an ensemble, and verify its members.

    Raises
    ------
    ModelFileError
        If the list is damaged, of a newer format, or a member is missing or has been replaced.
    FileNotFoundError
        If there is no list.
    """
    path = folder / NAME
    os.stat(path)
    with file_at_fault(path, "ensemble"):
        content = _read(path)
        check_fields("the ensemble", content, MANIFEST)
        for member in content["members"]:
            check_fields("a member", member, MEMBER)
            _check_member(folder / member["file"], member["sha256"])
    return Manifest([folder / member["file"] for member in content["members"]], float(content["temperature"]))


def _write_member(folder: Path, number: int, save: Callable[[Path], None]) -> dict[str, str]:
    """Write one model file, and name it by its checksum."""
    unfinished = folder / f"member-{number}-{'0' * 16}.safetensors"
    save(unfinished)
    checksum: str = read_description(unfinished)["sha256"]
    path = unfinished.replace(folder / f"member-{number}-{checksum[:16]}.safetensors")
    return {"file": path.name, "sha256": checksum}


def _member_files(folder: Path) -> set[str]:
    return {name for name in os.listdir(folder) if MEMBER_FILE.fullmatch(name)}


def _read(path: Path) -> dict[str, Any]:
    """The list, with its checksum verified and removed."""
    if not path.is_file():
        raise ModelFileError("It is not a regular file")
    with open(path, "rb") as file:
        text = file.read(LARGEST_MANIFEST + 1)
    if len(text) > LARGEST_MANIFEST:
        raise ModelFileError(f"It has more than {LARGEST_MANIFEST:,} bytes")
    content = parse_json(text)
    if type(content) is not dict or content.pop("sha256", None) != _checksum(content):
        raise ModelFileError("It is damaged: its content does not match its checksum")
    version = content.get("format_version")
    if type(version) is int and version > MANIFEST_VERSION:
        raise ModelFileError(
            f"It has the format version {shortened(version)}, but gencls {__version__} reads versions up to "
            f"{MANIFEST_VERSION} only. Upgrade gencls"
        )
    return content


def _check_member(path: Path, checksum: str) -> None:
    try:
        found = read_description(path)["sha256"]
    except FileNotFoundError as error:
        raise ModelFileError(f"Its member {path.name} is missing") from error
    if found != checksum:
        raise ModelFileError(f"Its member {path.name} is not the one that was saved with it")


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
