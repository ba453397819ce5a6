"""The model file as bytes: whole or refused, written whole or not at all."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from gencls import ModelFileError
from gencls.model_files.container import (
    _checksum,
    _position_of_checksum,
    read_description,
    read_model_file,
    write_model_file,
)

DESCRIPTION = {"words": 'with "quotes" and Umläute', "card": {"sha256": "0" * 64}}
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(5, dtype=torch.float16)}


@pytest.fixture
def path(tmp_path):
    write_model_file(tmp_path / "model", DESCRIPTION, TENSORS)
    return tmp_path / "model"


def test_what_was_written_is_read(path):
    description, tensors = read_model_file(path)
    assert {name: description[name] for name in DESCRIPTION} == DESCRIPTION
    assert read_description(str(path)) == description
    assert tensors.keys() == TENSORS.keys()
    assert all(tensors[name].equal(TENSORS[name]) for name in TENSORS)


def test_the_same_model_makes_the_same_bytes(path):
    before = path.read_bytes()
    write_model_file(path, DESCRIPTION, TENSORS)
    assert path.read_bytes() == before


def test_every_program_for_safetensors_can_open_it(path):
    with safetensors.safe_open(path, framework="pt") as file:
        assert set(file.keys()) == set(TENSORS)
        assert json.loads(file.metadata()["gencls"])["words"] == DESCRIPTION["words"]


def test_every_altered_bit_is_found(path):
    content = path.read_bytes()
    rng = random.Random(0)
    for position in range(len(content)):
        altered = bytearray(content)
        altered[position] ^= 1 << rng.randrange(8)
        path.write_bytes(altered)
        with pytest.raises(ModelFileError, match=re.escape(str(path))):
            read_model_file(path)


def test_every_cut_and_every_surplus_is_found(path):
    content = path.read_bytes()
    for altered in (
        *(content[:length] for length in range(0, len(content), 3)),
        content + b"\0",
        content * 2,
    ):
        path.write_bytes(altered)
        with pytest.raises(ModelFileError):
            read_description(path)


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def png(path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, "png")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_bytes(b"gencls"), "it does not begin like one"),
        (lambda path: path.write_bytes(bytes(100)), "it does not begin like one"),
        (lambda path: path.write_bytes(b"\xff" * 100), "it does not begin like one"),
        (lambda path: path.write_text("Once upon a time there was a model."), "it does not begin like one"),
        (png, "it does not begin like one"),
        (lambda path: path.write_bytes(pickle.dumps(Malicious())), "it does not begin like one"),
        (lambda path: torch.save({"weights": Malicious()}, path), "it does not begin like one"),
        (lambda path: safetensors.torch.save_file(TENSORS, path), "its header has no description by gencls"),
        (
            lambda path: safetensors.torch.save_file(TENSORS, path, {"gencls": "{}"}),
            "its header has no description by gencls",
        ),
        (
            lambda path: path.write_bytes((10**5).to_bytes(8, "little") + b"[" * 10**5),
            "its header cannot be read: it has more than 100 levels",
        ),
    ],
)
def test_other_files_are_refused_and_never_executed(write, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "other"
    write(path)
    with pytest.raises(
        ModelFileError, match=f"other is not a model file of gencls: {reason}.*Pass a file that"
    ):
        read_model_file(path)
    assert os.listdir(tmp_path) == ["other"]


def test_a_newer_format_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("gencls.model_files.container.FORMAT_VERSION", 3)
    write_model_file(tmp_path / "model", DESCRIPTION, TENSORS)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=r"has the format version 3, but .* Upgrade gencls"):
        read_model_file(tmp_path / "model")


def test_no_file_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_model_file(tmp_path / "model")
    with pytest.raises(FileNotFoundError, match=r"folder .*missing .*model cannot be written"):
        write_model_file(tmp_path / "missing/model", DESCRIPTION, TENSORS)


@pytest.mark.parametrize("function", ["os.fsync", "pathlib.Path.replace"])
def test_a_failure_leaves_the_file_that_was_there(function, path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    before = path.read_bytes()
    monkeypatch.setattr(function, fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_model_file(path, {}, TENSORS)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["model"]


def test_the_file_may_be_read_by_whom_other_files_may(path):
    (path.parent / "other").touch()
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode


# What is no file, or is too large


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "it is a pipe, a device or a socket"),
        (lambda path: path.mkdir(), "it is a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a pipe, a device or a socket"),
        (lambda path: path.symlink_to(path), "it is a link that leads to itself"),
    ],
    ids=["pipe", "folder", "device", "loop"],
)
def test_what_is_no_file_is_refused_at_once(make, reason, tmp_path):
    path = tmp_path / "model"
    make(path)
    for read in (read_model_file, read_description):
        with pytest.raises(ModelFileError, match=f"is not a model file of gencls: {reason}"):
            read(path)


def test_a_pipe_that_takes_the_place_of_a_file_is_refused(path, monkeypatch):
    regular = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda *_: regular)
    with pytest.raises(ModelFileError, match="it is a pipe"):
        read_model_file(path)


def test_a_link_to_a_model_is_read(path, tmp_path):
    (tmp_path / "latest").symlink_to("model")
    assert read_description(tmp_path / "latest") == read_description(path)


@pytest.mark.parametrize("begins_like_a_model", [False, True])
def test_a_file_of_huge_size_is_not_read(begins_like_a_model, path):
    if not begins_like_a_model:
        path.write_bytes(b"")
    os.truncate(path, 10 * 2**30)  # sparse: it takes no space
    with pytest.raises(ModelFileError, match=r"does not begin like one|it has 10,737,418,240 bytes, more"):
        read_model_file(path)


def test_a_file_larger_than_its_tensors_is_not_read(path, monkeypatch):
    os.truncate(path, 2**31)
    monkeypatch.setattr("gencls.model_files.container._checksum", None)  # which needs the whole
    with pytest.raises(ModelFileError, match="is damaged"):
        read_model_file(path)


@pytest.mark.skipif(os.name != "posix", reason="names of POSIX")
def test_control_characters_of_a_path_are_not_printed(path):
    odd = path.rename(path.with_name("\x1b[31mred"))
    odd.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelFileError, match="not a model file") as caught:
        read_model_file(odd)
    assert str(caught.value).isprintable()


def forge(path, description="{}", tensors=None, padding=b""):
    """A file with a right checksum, of a description as text and tensors as the header has them."""
    text = f'{{"sha256": "{"0" * 64}", "format_version": 2, "more": {description}}}'
    listed = ", ".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in tensors or [])
    metadata = json.dumps({"gencls": text})
    header = f'{{"__metadata__": {metadata}{", " * bool(listed)}{listed}}}'.encode() + padding
    content = len(header).to_bytes(8, "little") + header + bytes(4)
    start = _position_of_checksum(content)
    path.write_bytes(content[:start] + _checksum(content).encode() + content[start + 64 :])


ONE = ("a", {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})
WIDE = {"array": ["x" * 5_000, *"y" * 1_000], "dtype": "str"}  # 20 MB as an array


def test_a_forged_file_can_be_read(tmp_path):
    forge(tmp_path / "model", '{"a": [NaN, 1e400]}', [ONE], padding=b" " * 1_000)
    description, tensors = read_model_file(tmp_path / "model")
    assert description["more"]["a"][1] == np.inf
    assert tensors["a"].equal(torch.zeros(1))


def entry(dtype="F32", shape=(1,), data_offsets=(0, 4)):
    return [("a", {"dtype": dtype, "shape": list(shape), "data_offsets": list(data_offsets)})]


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"padding": b" " * 2**25}, "it does not begin like one"),
        ({"description": "[" + "{}," * 500_000 + "{}]"}, "more than 500,000 values"),
        ({"description": "[" * 200 + "]" * 200}, "more than 100 levels"),
        ({"description": json.dumps(WIDE)}, "arrays of strings take more than"),
        ({"description": json.dumps([WIDE | {"array": WIDE["array"][:200]}] * 5)}, "arrays of strings take"),
        ({"description": '{"a": 1, "a": 2}'}, "has a key twice"),
        ({"tensors": [ONE, ONE]}, "has a key twice"),
        ({"description": "1" + "0" * 5_000}, "its header"),
        ({"tensors": [(f"t{i}", ONE[1]) for i in range(10_001)]}, "it has 10,001 tensors, more than 10,000"),
        (
            {"tensors": entry(shape=[0], data_offsets=[0, 0])},
            "its tensor 'a' has no shape that fits its size",
        ),
        ({"tensors": entry(shape=[2**40, 0], data_offsets=[0, 0])}, "its tensor 'a' has no shape"),
        ({"tensors": entry(shape=[2**62, 4])}, "its tensor 'a' has no shape"),
        ({"tensors": entry(shape=[-1])}, "its tensor 'a' has no shape"),
        ({"tensors": entry(shape=[1.0])}, "its tensor 'a' has no shape"),
        ({"tensors": entry(shape=[True])}, "its tensor 'a' has no shape"),
        ({"tensors": entry(shape=[1] * 65)}, "its tensor 'a' has no shape"),
        ({"tensors": entry(shape=[2])}, "its tensor 'a' has no shape"),
        ({"tensors": entry(dtype="F4", shape=[8])}, "its tensor 'a' has no shape"),
        ({"tensors": [("\x1b[31m" * 1_000, {})]}, r"its tensor '\\x1b\[31m"),
        ({"tensors": [("a", 3)]}, "its tensor 'a'"),
        ({"tensors": entry(data_offsets=[4, 8])}, "damaged|tensors cannot be read"),
        ({"tensors": [ONE, ("b", ONE[1])]}, "its tensors cannot be read"),
        ({"tensors": []}, "is damaged"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_claims_are_bounded_whatever_the_checksum(claims, reason, tmp_path):
    forge(tmp_path / "model", **claims)
    with pytest.raises(ModelFileError, match=reason) as caught:
        read_model_file(tmp_path / "model")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000


MEASURE = """
import re, sys
from contextlib import suppress
from pathlib import Path
from gencls import GenerativeBayesClassifier, ModelFileError

def kilobytes(what):
    return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
before = kilobytes("VmRSS")
for path in sys.argv[1:]:
    with suppress(ModelFileError):
        GenerativeBayesClassifier.load(path, "cpu")
print(kilobytes("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak")
def test_claims_take_no_memory(tmp_path):
    """A process that reads the worst files takes a small multiple of their sizes, and a constant."""
    claims: dict[str, dict[str, Any]] = {
        "objects": {"description": "[" + '{"":0},' * 160_000 + "{}]"},
        "lists": {"description": "[" + "[]," * 490_000 + "[]]"},
        "strings": {"description": json.dumps([WIDE] * 40)},
        "tensors": {
            "tensors": [(f"t{i}", entry(shape=[0], data_offsets=[0, 0])[0][1]) for i in range(30_000)]
        },
    }
    for name, each in claims.items():
        forge(tmp_path / name, **each)
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, *(str(tmp_path / name) for name in claims)],
        capture_output=True,
        check=True,
    )
    assert int(found.stdout) < 150_000  # kB
