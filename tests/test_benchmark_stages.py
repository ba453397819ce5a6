"""Trainings of the benchmarks in stages and epoch by epoch, at a size that takes seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import measures.epochs
import measures.stages
import runner
from experiments import Experiment, Run, classifiers
from experiments.classifiers import PARAMS, hybrid, milder
from gencls import GenerativeBayesClassifier, Hybrid, MeanJointClassifier, Stage
from gencls.model_files import read_card
from measures.epochs import epoch_by_epoch
from measures.pretrained import pretrained
from measures.stages import in_stages, in_words, model_of, together
from records import read

TINY = {**PARAMS, "n_filters": 2, "n_mixtures": 1, "resolution": 4, "crops": True}
STAGES = [Stage(2, lr=2e-3), hybrid(1, temperature=8.0)]
PLAIN: dict[str, Any] = {"n_layers": 1, "n_filters": 2, "n_mixtures": 1, "batch_size": 8, "lr": 2e-3}
EPOCHS = {"data": "cpen455", "size": 6, "max_epochs": 3, "quality_every": 2, "features": "residual"}
CELLS = {
    "small": {**TINY, "stages": STAGES},
    "large": {**TINY, "resolution": 6, "after": "small", "stages": [hybrid(1, 18.0), milder(1, 18.0)]},
}


@pytest.fixture
def start(photographs, monkeypatch, tmp_path):
    """Start the runner with cells of `classifiers`, in a folder of its own; the lines that it has then."""

    def main(cells, *options, folder="", measure=in_stages):
        after = {cell: settings["after"] for cell, settings in cells.items() if "after" in settings}
        monkeypatch.setattr(classifiers, "EXPERIMENT", Experiment(measure, cells, seeds=1, after=after))
        runner.main(["classifiers", "--results", str(tmp_path / folder), *options])
        return read(tmp_path / folder / "classifiers.jsonl")

    return main


def untimed(value):
    """Nested figures without times."""
    if isinstance(value, dict):
        return {key: untimed(inner) for key, inner in value.items() if "core" not in key}
    return [untimed(inner) for inner in value] if isinstance(value, list) else value


# In stages


def test_figures_are_measured_after_each_stage(start, photographs, tmp_path):
    (line,) = start({"tiny": CELLS["small"]})
    stages = line["figures"]["stages"]
    assert [stage["stage"] for stage in stages] == ["maximum likelihood", "hybrid, λ = 1, τ = 8"]
    assert [stage["epochs"] for stage in stages] == [2, 1]
    assert len(line["figures"]["train_bits_per_dim"]) == 3
    assert set(stages[0]) >= {"accuracy", "log_loss_calibrated", "bits_per_dim", "six_crops"}
    clf = GenerativeBayesClassifier.load(model_of(Run("classifiers", "tiny", 0, results=tmp_path)), "cpu")
    assert ["train_cross_entropy" in row for row in clf.history_] == [False, False, True]
    assert clf.bits_per_dim(photographs.X_val, photographs.y_val) == pytest.approx(stages[1]["bits_per_dim"])
    clf.set_params(views="six-crops")
    assert clf.score(photographs.X_val, photographs.y_val) == stages[1]["six_crops"]["accuracy"]


def test_crops_are_measured_where_they_are_asked_for(start):
    (line,) = start({"tiny": {**TINY, "crops": False, "stages": STAGES[:1]}})
    assert "six_crops" not in line["figures"]["stages"][0]


def test_a_training_on_larger_images_begins_with_the_smaller(start, tmp_path):
    small, large = start(CELLS)
    clf = GenerativeBayesClassifier.load(model_of(Run("classifiers", "large", 0, results=tmp_path)), "cpu")
    assert (clf.codec_.tensor_shape_, clf.n_iter_) == ((3, 6, 6), 5)
    minutes = [stage["fit_core_minutes"] for line in (small, large) for stage in line["figures"]["stages"]]
    assert minutes == sorted(minutes)


def test_without_the_smaller_model_it_is_said_how_to_make_it(start, capsys):
    with pytest.raises(SystemExit, match="1 of 1 runs failed"):
        start(CELLS, "--only", "large")
    assert "The model of small is not kept here: --only small --again makes it" in capsys.readouterr().out


def test_a_killed_training_ends_like_an_undisturbed_one(start, monkeypatch):
    cells = {"tiny": CELLS["small"]}
    whole, original, calls = start(cells, folder="whole"), measures.stages.figures, []

    def fail_at_the_second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise RuntimeError("power failure")
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(measures.stages, "figures", fail_at_the_second)
        with pytest.raises(SystemExit, match="1 of 1 runs failed"):
            start(cells, folder="interrupted")
    assert untimed(start(cells, folder="interrupted")[0]["figures"]) == untimed(whole[0]["figures"])


def test_stages_are_named_by_their_objectives():
    assert in_words(Stage(1)) == in_words(Stage(1, objective="likelihood")) == "maximum likelihood"
    assert in_words(Stage(1, objective=Hybrid(0.2, 18.0))) == "hybrid, λ = 0.2, τ = 18"


# Several models together


def test_models_are_measured_together(start, photographs, tmp_path):
    run = Run("ensembles", "both", 0, results=tmp_path)
    settings: dict[str, Any] = {"experiment": "classifiers", "members": ["small", "large"], "seeds": 2}
    with pytest.raises(FileNotFoundError, match="4 of 4 models are not kept here"):
        together(run, **settings)
    start(CELLS, "--seeds", "2")
    row = together(run, **settings)
    runs = [Run("classifiers", cell, seed, results=tmp_path) for cell in CELLS for seed in range(2)]
    models = [GenerativeBayesClassifier.load(model_of(each), "cpu") for each in runs]
    clf = MeanJointClassifier.from_fitted(models)
    assert row["accuracy"] == clf.score(photographs.X_val, photographs.y_val)
    joint = np.mean([model.predict_joint_log_proba(photographs.X_val) for model in models], axis=0)
    assert row["accuracy"] == (clf.classes_[joint.argmax(axis=1)] == photographs.y_val).mean()
    assert set(row["six_crops"]) >= {"accuracy", "log_loss_calibrated"}
    assert (row["n_models"], row["n_held_out"]) == (4, 24)


def test_one_of_the_best_becomes_a_pretrained_model(start, tmp_path):
    (line,) = start({"16×16": CELLS["small"]})
    run = Run("pretrained", "cpen455", 0, results=tmp_path)
    row = pretrained(run, data="cpen455", cell="16×16", of_seed=0, of_seeds="0 to 4")
    path = tmp_path / "models/cpen455.safetensors"
    card, clf = read_card(path), GenerativeBayesClassifier.load(path)
    assert card == row
    assert clf.classes_.tolist() == ["dark", "light"]
    last = line["figures"]["stages"][-1]
    assert card["figures"]["accuracy"] == pytest.approx(last["accuracy"], abs=1e-3)
    assert card["figures_on_six_crops"]["accuracy"] == pytest.approx(last["six_crops"]["accuracy"], abs=1e-4)
    assert card["training"] == [str(stage) for stage in STAGES]


# Epoch by epoch


class MeanColours(nn.Module):
    """Three features, so that a few images are enough for their covariance."""

    def forward(self, images):
        return images.float().mean(dim=(2, 3))


@pytest.fixture
def by_epoch(start, monkeypatch):
    """Measure a training epoch by epoch, in a folder of its own."""
    monkeypatch.setattr(measures.epochs, "features_of", lambda *args: MeanColours())
    cells = {"mild": {**PLAIN, **EPOCHS}}
    return lambda folder="": start(cells, folder=folder, measure=epoch_by_epoch)


def test_a_training_is_recorded_epoch_by_epoch(by_epoch, photographs):
    (line,) = by_epoch()
    rows = line["figures"]["epochs"]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert ["fid" in row for row in rows] == [False, True, True]  # every second epoch, and the last
    assert rows[2]["bits_per_dim"] < rows[0]["bits_per_dim"]
    assert 0 < line["figures"]["fid_of_training_images"] < rows[2]["fid"]
    clf = GenerativeBayesClassifier(**(measures.PLAIN | PLAIN), max_epochs=3, device="cpu", random_state=0)
    clf.fit(photographs.X, photographs.y)
    bits = clf.bits_per_dim(photographs.X_val, photographs.y_val)
    assert rows[2]["bits_per_dim"] == pytest.approx(bits)


def test_the_features_are_trained_once(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(measures.epochs, "FEATURE_EPOCHS", 1)
    run = Run("figures_2_3", "mild", 0, results=tmp_path)
    first = measures.epochs.features_of("residual", run, photographs)
    monkeypatch.delattr(measures.epochs, "train")
    again = measures.epochs.features_of("residual", run, photographs)
    assert isinstance(first, torch.nn.Module)
    assert isinstance(again, torch.nn.Module)
    batch = torch.from_numpy(photographs.X).permute(0, 3, 1, 2)
    assert first.eval()(batch).shape == (24, 128)
    assert torch.equal(first(batch), again.eval()(batch))
    assert measures.epochs.features_of("inception", run, photographs) == 192
