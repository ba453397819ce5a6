"""Model files of format 1 give the same model as ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gencls import Flip, GenerativeBayesClassifier, Hybrid, ModelFileError, Shift
from gencls.model_files import container, read_card
from gencls.model_files.container import read_model_file, write_model_file

load = GenerativeBayesClassifier.load

DATA = Path(__file__).parent / "data"
OLD = DATA / "format-1.safetensors"
HYBRID = {"discriminative_weight": 0.5, "discriminative_temperature": 3.0, "n_contrasted": None}


@pytest.fixture(scope="module")
def expected():
    """What the model gave when it was saved, computed without compiled kernels."""
    with np.load(DATA / "format-1.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def loaded():
    return load(OLD, "cpu").set_params(compute="plain")


@pytest.fixture
def rewritten(tmp_path, monkeypatch):
    """Change the old file; the path of the new one, which is of format 1, too."""

    def rewrite(change):
        description, tensors = read_model_file(OLD)
        change(description)
        monkeypatch.setattr(container, "FORMAT_VERSION", 1)
        kept = {name: value for name, value in description.items() if name != "sha256"}
        write_model_file(tmp_path / "model", kept, tensors)
        monkeypatch.undo()
        return tmp_path / "model"

    return rewrite


def test_the_file_is_small_and_of_format_1():
    assert OLD.stat().st_size < 100_000
    assert read_model_file(OLD)[0]["format_version"] == 1


def test_the_same_predictions(loaded, expected):
    np.testing.assert_allclose(loaded.predict_joint_log_proba(expected["X"]), expected["joint"], rtol=1e-6)
    np.testing.assert_allclose(loaded.predict_proba(expected["X"]), expected["proba"], rtol=1e-5)


def test_the_same_images(loaded, expected):
    drawn, classes = loaded.sample(6, random_state=0)
    np.testing.assert_array_equal(drawn, expected["samples"])
    np.testing.assert_array_equal(classes, expected["sample_classes"])
    completed, classes = loaded.complete(expected["X"], 2, random_state=0)
    np.testing.assert_array_equal(completed, expected["completions"])
    np.testing.assert_array_equal(classes, expected["completion_classes"])


def test_old_parameters_are_those_of_plug_ins(loaded):
    hybrid = Hybrid(weight=0.05, temperature=3.0, n_contrasted=2)
    assert repr((loaded.objective, loaded.augmentation)) == repr((hybrid, [Flip(), Shift()]))
    assert repr(loaded.net_.averaged_model.symmetry.parts) == repr([Flip()])
    assert (loaded.stages, loaded.resolution, loaded.net_params) == (None, None, None)
    assert (loaded.lr, loaded.temperature, loaded.priors) == (0.01, "auto", (0.2, 0.3, 0.5))


def test_the_history_and_the_card_are_kept(loaded):
    rows = read_model_file(OLD)[0]["history"]
    assert loaded.history_ == [row | {"batches": []} for row in rows]
    assert loaded.n_iter_ == 4
    assert read_card(OLD) == {"data": "shades"}


def test_it_is_saved_in_the_new_format_and_trained_further(loaded, expected, tmp_path):
    loaded.save(tmp_path / "model")
    assert read_model_file(tmp_path / "model")[0]["format_version"] == 2
    again = load(tmp_path / "model", "cpu").set_params(compute="plain")
    for one, other in zip(again.sample(4, random_state=0), loaded.sample(4, random_state=0), strict=True):
        np.testing.assert_array_equal(one, other)
    again.partial_fit(expected["X"], loaded.predict(expected["X"]))
    assert again.n_iter_ == loaded.n_iter_ + 1


@pytest.mark.parametrize(
    ("parameters", "objective", "augmentation"),
    [
        ({"flip": True, "shift": 0, "discriminative_weight": 0}, "likelihood", Flip()),
        ({"flip": False, "shift": 2}, Hybrid(weight=0.05, temperature=3.0, n_contrasted=2), Shift(2)),
        ({"flip": False, "shift": 0} | HYBRID, Hybrid(weight=0.5, temperature=3.0), None),
        ({"flip": True, "shift": 3} | HYBRID, Hybrid(weight=0.5, temperature=3.0), [Flip(), Shift(3)]),
    ],
    ids=repr,
)
def test_each_combination(parameters, objective, augmentation, rewritten):
    loaded = load(rewritten(lambda description: description["parameters"].update(parameters)))
    assert repr((loaded.objective, loaded.augmentation)) == repr((objective, augmentation))


def test_the_oldest_files_lack_parameters_and_count_features(rewritten):
    def change(description):
        for name in ("flip", "shift", "early_exit", *HYBRID):
            description["parameters"].pop(name)
        description["fitted"]["n_features_in_"] = 4 * 6 * 3

    loaded = load(rewritten(change))
    assert (loaded.objective, loaded.augmentation, loaded.n_features_in_) == ("likelihood", None, 4)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d: d["parameters"].update(flip="x"), "flip"),
        (lambda d: d["parameters"].update(flip=1), "flip"),
        (lambda d: d["parameters"].update(shift=-1), "shift"),
        (lambda d: d["parameters"].update(shift=True), "shift"),
        (lambda d: d["parameters"].update(discriminative_weight=-1), "discriminative_weight"),
        (lambda d: d["parameters"].update(discriminative_temperature=0), "temperature"),
        (lambda d: d["parameters"].update(n_contrasted=[1]), "n_contrasted"),
        (lambda d: d["parameters"].update(compile=True), "compile"),
        (lambda d: d["parameters"].update(device="cpu"), "device"),
        (lambda d: d["parameters"].update(objective="hybrid"), "objective"),
        (lambda d: d["parameters"].update(n_filters=5), "n_filters|must have"),
        (lambda d: d.update(parameters=3), "parameters"),
        (lambda d: d.update(symmetry=[]), "'symmetry' is unknown"),
        (lambda d: d.update(objective=None), "'objective' is unknown"),
        (lambda d: d.pop("card"), "card"),
        (lambda d: d.update(codec={}), "sample_shape"),
        (lambda d: d["codec"].update(sample_shape=[]), ""),
        (lambda d: d["codec"].update(image_shape="x"), "image_shape"),
        (lambda d: d["codec"].update(image_shape=[10**18] * 100_000), "image_shape"),
        (lambda d: d["fitted"].update(n_features_in_=5), "n_features_in_"),
        (lambda d: d["fitted"].pop("n_features_in_"), "n_features_in_"),
    ],
)
def test_it_is_checked_as_strictly(change, field, rewritten):
    with pytest.raises(ModelFileError, match=f"holds no model.*{field}"):
        load(rewritten(change))


@pytest.mark.parametrize("version", [0, 3, -1, 10**30])
def test_other_formats_are_refused(version, tmp_path, monkeypatch):
    description, tensors = read_model_file(OLD)
    monkeypatch.setattr(container, "FORMAT_VERSION", version)
    kept = {name: value for name, value in description.items() if name not in ("sha256", "format_version")}
    write_model_file(tmp_path / "model", kept, tensors)
    monkeypatch.undo()
    for read in (load, read_card):
        with pytest.raises(ModelFileError, match="format version"):
            read(tmp_path / "model")
