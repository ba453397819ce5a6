"""The model file as bytes: whole or refused, written whole or not at all."""

from __future__ import annotations

import json
import os
import pickle
import random
import re

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from gencls import ModelFileError
from gencls._model_file import read_description, read_model_file, write_model_file

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
    chance = random.Random(0)
    for position in range(len(content)):
        altered = bytearray(content)
        altered[position] ^= 1 << chance.randrange(8)
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
            "its header has no description by gencls",
        ),
    ],
)
def test_other_files_are_refused_and_never_executed(write, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "other"
    write(path)
    with pytest.raises(ModelFileError, match=f"other is no model file of gencls: {reason}.*Give a file that"):
        read_model_file(path)
    assert os.listdir(tmp_path) == ["other"]


def test_a_newer_format_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("gencls._model_file.FORMAT_VERSION", 2)
    write_model_file(tmp_path / "model", DESCRIPTION, TENSORS)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=r"has the format version 2, but .* Upgrade gencls"):
        read_model_file(tmp_path / "model")


def test_no_file_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_model_file(tmp_path / "model")
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*missing to write model into"):
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
