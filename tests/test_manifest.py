"""Ensembles in a folder: the same ensemble comes back, the old one or the new one, or a clear error."""

from __future__ import annotations

import copy
import json
import os
import shutil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from small import PLAIN

from gencls import (
    GenerativeBayesClassifier,
    InvalidParameterError,
    MeanJointClassifier,
    ModelFileError,
)
from gencls.model_files.manifest import _checksum

LIST = "ensemble.json"


def shades(n=24):
    rng = np.random.RandomState(0)
    y = np.arange(n) % 3
    return 3 * y[:, None, None] + rng.randint(3, size=(n, 4, 4)), np.array(["ant", "bee", "cat"])[y]


def member(seed, **parameters):
    small: dict[str, Any] = {
        "n_filters": 2,
        "n_mixtures": 1,
        "max_epochs": 1,
        "compute": "plain",
        "device": "cpu",
    }
    return GenerativeBayesClassifier(random_state=seed, **(PLAIN | small | parameters))


@pytest.fixture(scope="module")
def ensemble():
    X, y = shades()
    members = [member(0), member(1, conditioner="low-rank", views="flips"), member(2, resolution=2)]
    return MeanJointClassifier(members).fit(X, y).calibrate(X, y)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "ensemble"


def load(folder):
    loaded = MeanJointClassifier.load(folder, "cpu")
    for each in loaded.members_:
        each.compute = "plain"
    return loaded


def assert_same(one, other):
    X, _ = shades()
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_the_same_ensemble_comes_back(ensemble, folder):
    ensemble.save(folder)
    loaded = load(str(folder))
    assert_same(ensemble, loaded)
    assert loaded.temperature_ == ensemble.temperature_ != 1
    assert [each.random_state for each in loaded.members_] == [0, 1, 2]
    np.testing.assert_array_equal(loaded.classes_, ensemble.classes_)
    assert len(os.listdir(folder)) == 4


def test_the_same_ensemble_has_the_same_files(ensemble, folder):
    def content():
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    ensemble.save(folder)
    before = content()
    load(folder).save(folder)
    assert content() == before


def test_half_precision(ensemble, folder):
    ensemble.save(folder)
    before = sum(path.stat().st_size for path in folder.iterdir())
    ensemble.save(folder, half=True)
    assert sum(path.stat().st_size for path in folder.iterdir()) < before
    expected = ensemble.predict_joint_log_proba(shades()[0])
    np.testing.assert_allclose(load(folder).predict_joint_log_proba(shades()[0]), expected, rtol=0.05)


def test_a_member_may_be_there_twice(ensemble, folder):
    first, *_, last = ensemble.members_
    twice = MeanJointClassifier.from_fitted([last, first, last])
    twice.save(folder)
    assert_same(twice, load(folder))


def test_a_new_ensemble_takes_the_place_of_the_old_one(ensemble, folder):
    ensemble.save(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "member-0-of-mine.safetensors").touch()
    smaller = MeanJointClassifier.from_fitted(ensemble.members_[1:])
    smaller.save(folder)
    assert_same(smaller, load(folder))
    assert len(os.listdir(folder)) == 5
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("moment", ["the second member", "the list"])
def test_a_failure_leaves_the_ensemble_that_was_there(moment, ensemble, folder, monkeypatch):
    ensemble.save(folder)
    names = sorted(os.listdir(folder))
    other = copy.deepcopy(MeanJointClassifier.from_fitted(ensemble.members_[::-1]))
    if moment == "the list":
        monkeypatch.setattr("gencls.model_files.manifest.whole_file", None)
    else:
        other.members_[1].net_.averaged_model.network.head.bias.data.fill_(np.nan)
    with pytest.raises((ModelFileError, TypeError)):
        other.save(folder)
    assert sorted(os.listdir(folder)) == names
    assert_same(ensemble, load(folder))


def test_what_a_killed_save_has_left_is_removed(ensemble, folder):
    ensemble.save(folder)
    names = sorted(os.listdir(folder))
    for digits in ("0" * 16, "0123456789abcdef"):
        shutil.copy(folder / names[1], folder / f"member-7-{digits}.safetensors")
    assert_same(ensemble, load(folder))
    ensemble.save(folder)
    assert sorted(os.listdir(folder)) == names


@pytest.mark.parametrize("kind", ["pipeline", "subclass"])
def test_members_of_another_kind(kind, folder):
    class Mine(GenerativeBayesClassifier):
        pass

    X, y = shades()
    other = Mine(**member(0).get_params(deep=False))
    if kind == "pipeline":
        other = make_pipeline(FunctionTransformer(), member(0))
    fitted = MeanJointClassifier([member(1), other]).fit(X, y)
    with pytest.raises(InvalidParameterError, match="'members' of MeanJointClassifier"):
        fitted.save(folder)
    assert not folder.exists()


@pytest.mark.parametrize("path", [3, None, b"model", "a\0b", ""])
def test_what_is_no_folder(path, ensemble):
    for use in (ensemble.save, MeanJointClassifier.load):
        with pytest.raises(InvalidParameterError, match="'folder' must be a str or path-like"):
            use(path)


def test_a_folder_that_is_missing(ensemble, folder):
    with pytest.raises(FileNotFoundError):
        load(folder)
    with pytest.raises(FileNotFoundError):
        ensemble.save(folder / "deep" / "deeper")
    folder.touch()
    with pytest.raises(FileExistsError):
        ensemble.save(folder)


# Whatever somebody has done to the files


@pytest.fixture(scope="module")
def saved(ensemble, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "ensemble"
    ensemble.save(folder)
    return folder, (folder / LIST).read_bytes()


def relist(folder, change):
    """Change the list, and give it a checksum."""
    content = json.loads((folder / LIST).read_text())
    del content["sha256"]
    change(content)
    (folder / LIST).write_text(json.dumps({"sha256": _checksum(content)} | content))


def first(**changes):
    return lambda content: content["members"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.update(format_version=2), "format version 2"),
        (lambda c: c.update(format_version=0), "format_version"),
        (lambda c: c.update(temperature=0), "temperature"),
        (lambda c: c.update(temperature="x"), "temperature"),
        (lambda c: c.update(members=[]), "members"),
        (lambda c: c.update(members=[{}] * 1_001), "members"),
        (lambda c: c.update(members=["x"]), "members"),
        (lambda c: c.update(more=1), "more"),
        (lambda c: c["members"].reverse(), None),
        (first(file="../model.safetensors"), "file"),
        (first(file="/etc/passwd"), "file"),
        (first(file="member-0-0123456789abcdef.safetensors"), "is missing"),
        (first(sha256="0" * 64), "not the one that was saved"),
        (first(sha256="x"), "sha256"),
        (first(more="x"), "more"),
    ],
)
def test_a_list_that_does_not_fit(change, reason, ensemble, folder):
    ensemble.save(folder)
    relist(folder, change)
    if reason is None:
        assert [each.random_state for each in load(folder).members_] == [2, 1, 0]
        return
    with pytest.raises(ModelFileError, match=f"holds no ensemble.*{reason}") as caught:
        load(folder)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda folder, name: (folder / name).unlink(), "is missing"),
        (lambda folder, name: (folder / name).write_bytes(b""), "empty"),
        (
            lambda folder, name: shutil.copy(folder / sorted(os.listdir(folder))[2], folder / name),
            "not the one",
        ),
    ],
)
def test_a_member_that_is_not_the_one(spoil, error, ensemble, folder):
    ensemble.save(folder)
    spoil(folder, sorted(os.listdir(folder))[1])
    with pytest.raises(ModelFileError, match=error):
        load(folder)


def test_members_with_different_classes(ensemble, folder, tmp_path):
    X, y = shades()
    strangers = MeanJointClassifier([member(0)]).fit(X, np.char.upper(y))
    strangers.save(tmp_path / "strangers")
    ensemble.save(folder)
    (name,) = (path.name for path in (tmp_path / "strangers").glob("member-*"))
    shutil.copy(tmp_path / "strangers" / name, folder / name)
    entry = json.loads((tmp_path / "strangers" / LIST).read_text())["members"][0]
    relist(folder, first(**entry))
    with pytest.raises(ModelFileError, match="same classes"):
        load(folder)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo], ids=["folder", "pipe"])
def test_a_list_that_is_no_file(make, folder):
    folder.mkdir()
    make(folder / LIST)
    with pytest.raises(ModelFileError, match="not a regular file"):
        load(folder)


def test_a_list_of_huge_size(folder):
    folder.mkdir()
    (folder / LIST).touch()
    os.truncate(folder / LIST, 10 * 2**30)
    with pytest.raises(ModelFileError, match="more than"):
        load(folder)


@settings(max_examples=50)
@given(data=st.data(), byte=st.integers(0, 255))
def test_every_altered_list_is_refused_or_reads_the_same(data, byte, saved, ensemble):
    folder, content = saved
    altered = bytearray(content)
    altered[data.draw(st.integers(0, len(content) - 1))] = byte
    (folder / LIST).write_bytes(altered)
    try:
        loaded = load(folder)
    except ModelFileError:
        return
    assert [each.random_state for each in loaded.members_] == [0, 1, 2]
    assert loaded.temperature_ == ensemble.temperature_
