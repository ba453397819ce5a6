"""Trainings in stages that resume, at a size that takes seconds; goes with benchmarks/resumable.py."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

import resumable
import runner
from experiments import Experiment, Run, classifiers
from experiments.classifiers import PARAMS, hybrid, milder
from gencls import GenerativeBayesClassifier
from gencls.model_files import read_card
from gencls.training.callbacks import WeightAveraging
from measures.pretrained import pretrained
from records import read
from resumable import Hybrid, RandomCrop, Stage

TINY = {**PARAMS, "n_filters": 2, "n_mixtures": 1, "size": 4, "crops": True}
STAGES = [Stage(2, lr=2e-3), hybrid(1, temperature=8.0)]
PLAIN = {"n_layers": 1, "n_filters": 2, "n_mixtures": 1, "batch_size": 8, "compile": True}
EPOCHS = {"data": "cpen455", "size": 4, "epochs": 3, "quality_every": 2, "features": "residual", "lr": 2e-3}


@pytest.fixture(autouse=True)
def images(photographs, monkeypatch):
    """Images whose files are larger than what the models see."""
    monkeypatch.setattr(resumable, "ORIGINAL_SIZE", 6)
    return photographs


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Start the runner with cells of `classifiers`, in a folder of its own; the lines that it has then."""

    def main(cells, *options, folder="", measure=resumable.in_stages):
        after = {cell: settings["after"] for cell, settings in cells.items() if "after" in settings}
        monkeypatch.setattr(classifiers, "EXPERIMENT", Experiment(measure, cells, seeds=1, after=after))
        runner.main(["classifiers", "--results", str(tmp_path / folder), *options])
        return read(tmp_path / folder / "classifiers.jsonl")

    return main


def untimed(lines):
    """The figures without times."""
    return [remove_times(line["figures"]) for line in lines]


def remove_times(value):
    """Nested figures without times."""
    if isinstance(value, dict):
        return {key: remove_times(inner) for key, inner in value.items() if "core" not in key}
    return [remove_times(inner) for inner in value] if isinstance(value, list) else value


# In stages


def test_figures_are_measured_after_each_stage(start, images, tmp_path):
    (line,) = start({"tiny": {**TINY, "stages": STAGES}})
    figures = line["figures"]
    assert [stage["stage"] for stage in figures["stages"]] == ["maximum likelihood", "hybrid, λ = 1, τ = 8"]
    assert [stage["epochs"] for stage in figures["stages"]] == [2, 1]
    assert len(figures["epochs"]) == 3
    assert set(figures["stages"][0]) >= {"accuracy", "log_loss_calibrated", "bits_per_dim", "six_crops"}
    _, clf, _ = pickle.loads(Run("classifiers", "tiny", 0, results=tmp_path).kept(".pickle").read_bytes())
    assert clf.n_iter_ == 3
    assert ["train_cross_entropy" in row for row in clf.history_] == [False, False, True]


def test_crops_are_measured_where_they_are_asked_for(start):
    (line,) = start({"tiny": {**TINY, "crops": False, "stages": STAGES[:1]}})
    assert "six_crops" not in line["figures"]["stages"][0]


def test_a_training_on_larger_images_begins_with_the_smaller(start, tmp_path):
    cells = {
        "small": {**TINY, "stages": STAGES},
        "large": {**TINY, "size": 6, "after": "small", "stages": [hybrid(1, 18.0), milder(1, 18.0)]},
    }
    (line,) = start(cells, "--only", "large")  # trains the smaller, too
    run = Run("classifiers", "large", 0, results=tmp_path)
    _, clf, rows = pickle.loads(run.kept(".pickle").read_bytes())
    assert (clf.image_shape_, clf.n_iter_, len(rows)) == ((6, 6, 3), 5, 2)
    small, large = start(cells)[::-1][:2]
    assert large == line
    minutes = [stage["fit_core_minutes"] for part in (small, large) for stage in part["figures"]["stages"]]
    assert minutes == sorted(minutes)
    assert sum(row["core_seconds"] for row in rows) < 60 * minutes[-1]


def test_a_changed_recipe_is_not_resumed(start, tmp_path, capsys):
    start({"tiny": {**TINY, "stages": STAGES}})
    (tmp_path / "classifiers.jsonl").unlink()
    with pytest.raises(SystemExit, match="1 of 1 runs failed"):
        start({"tiny": {**TINY, "stages": STAGES[:1]}})
    assert "was trained with other settings; delete it" in capsys.readouterr().out


def test_the_learning_rate_is_that_of_a_cosine():
    stage = Stage(2, lr=1.0)
    assert [stage.lr_at(epoch) for epoch in range(2)] == pytest.approx(
        [(1 + 0.5**0.5) / 2, (1 - 0.5**0.5) / 2]
    )


def test_stages_are_parameters_of_the_estimator():
    stage = Stage(1, lr=1e-3, objective=Hybrid(0.5, 4.0, n_contrasted=2), augmentation=RandomCrop(0.8))
    clf = GenerativeBayesClassifier().set_params(**stage.params)
    assert (clf.discriminative_weight, clf.discriminative_temperature, clf.n_contrasted) == (0.5, 4.0, 2)
    assert Stage(1, lr=1e-3).params["discriminative_weight"] == 0


# Several models together


def test_models_are_measured_together(start, images, tmp_path):
    cells = {
        "small": {**TINY, "stages": STAGES},
        "large": {**TINY, "size": 6, "after": "small", "stages": [hybrid(1, 18.0)]},
    }
    together = Run("ensembles", "both", 0, results=tmp_path)
    settings = {"experiment": "classifiers", "members": ["small", "large"], "seeds": 2}
    with pytest.raises(FileNotFoundError, match="4 of 4 models are not kept here"):
        resumable.together(together, **settings)
    start(cells, "--seeds", "2")
    row = resumable.together(together, **settings)
    joints = []
    for cell in cells:
        for seed in range(2):
            kept = Run("classifiers", cell, seed, results=tmp_path).kept(".pickle")
            _, clf, _ = pickle.loads(kept.read_bytes())
            joints.append(resumable.joints_of(clf, images, cells[cell]["size"], crops=True))
    posterior = log_softmax(np.mean(joints, axis=(0, 1)), axis=1)
    labels = (images.y_val == "light").astype(int)
    assert row["six_crops"]["log_loss"] == pytest.approx(-posterior[np.arange(24), labels].mean())
    assert (row["n_models"], row["n_held_out"]) == (4, 24)


def test_one_of_the_best_becomes_a_pretrained_model(start, tmp_path):
    (line,) = start({"16×16": {**TINY, "stages": STAGES}})
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
    monkeypatch.setattr(resumable, "features_of", lambda *args: MeanColours())
    cells = {"mild": {**PLAIN, **EPOCHS}}
    return lambda folder: start(cells, folder=folder, measure=resumable.epoch_by_epoch)


def test_a_training_is_recorded_epoch_by_epoch(by_epoch, monkeypatch):
    rates = []
    original = GenerativeBayesClassifier.partial_fit

    def remember(clf, *args, **kwargs):
        rates.append(clf.lr)
        return original(clf, *args, **kwargs)

    monkeypatch.setattr(GenerativeBayesClassifier, "partial_fit", remember)
    (line,) = by_epoch("whole")
    rows = line["figures"]["epochs"]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rates == pytest.approx([2e-3, 0.75 * 2e-3 + 0.25e-6, 0.25 * 2e-3 + 0.75e-6])
    assert ["fid" in row for row in rows] == [False, True, True]  # every second epoch, and the last
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    assert rows[2]["bits_per_dim"] < rows[0]["bits_per_dim"]
    assert 0 < line["figures"]["fid_of_training_images"] < rows[2]["fid"]


@pytest.mark.parametrize("step", ["all_scores", "replace"])
def test_an_interrupted_training_ends_like_an_uninterrupted_one(step, by_epoch, monkeypatch):
    whole = by_epoch("whole")
    original, calls = getattr(resumable, step), []

    def fail_at_the_second(*args):
        calls.append(step)
        if len(calls) == 2:
            raise RuntimeError("power failure")
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(resumable, step, fail_at_the_second)
        with pytest.raises(SystemExit, match="1 of 1 runs failed"):
            by_epoch("interrupted")
    assert untimed(by_epoch("interrupted")) == untimed(whole)


def test_an_epoch_that_the_user_interrupts_does_not_count(by_epoch, monkeypatch):
    whole, steps = by_epoch("whole"), []

    def interrupt(callback, net, training=False, **kwargs):
        steps.append(training)
        if len(steps) == 5:  # in the second of three steps of the second epoch
            raise KeyboardInterrupt
        net.averaged_.update_parameters(net.module_)

    with monkeypatch.context() as patch:
        patch.setattr(WeightAveraging, "on_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            by_epoch("interrupted")
    assert untimed(by_epoch("interrupted")) == untimed(whole)


def test_the_features_are_trained_once(images, tmp_path, monkeypatch):
    monkeypatch.setattr(resumable, "FEATURE_EPOCHS", 1)
    run = Run("figures_2_3", "mild", 0, results=tmp_path)
    first = resumable.features_of("residual", run, images).eval()
    monkeypatch.delattr(resumable, "train")
    again = resumable.features_of("residual", run, images).eval()
    batch = torch.from_numpy(images.X).permute(0, 3, 1, 2)
    assert first(batch).shape == (24, 128)
    assert torch.equal(first(batch), again(batch))
    assert resumable.features_of("inception", run, images) == 192
