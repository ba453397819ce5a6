"""Checkpoints: an interrupted or killed training resumes, and ends with the very same weights."""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from nets import FakeStream
from sklearn.base import clone
from skorch.callbacks import Callback
from small import photographs, quick, shades

from gencls import (
    Flip,
    Hybrid,
    InvalidParameterError,
    Likelihood,
    RandomCrop,
    Shift,
    Stage,
    TrainingInterruptedWarning,
)

NAME = "training.checkpoint"

# Trainings that are interrupted: parameters, and the epochs in whose middle Ctrl-C comes.
TRAININGS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "plain": ({"max_epochs": 3}, [1, 2, 3]),
    "dropout": ({"max_epochs": 3, "dropout": 0.3, "augmentation": Shift(1)}, [2]),
    "candidates": ({"max_epochs": 3, "objective": Hybrid(n_contrasted=2)}, [2, 3]),
    "temperature": ({"max_epochs": 3, "temperature": "auto", "validation_fraction": 0.4}, [3]),
    "early stopping": (
        {
            "max_epochs": 30,
            "lr": 0.2,
            "early_stopping": True,
            "validation_fraction": 0.4,
            "n_iter_no_change": 2,
        },
        [2, 4],
    ),
    "without a schedule": ({"max_epochs": 3, "net_params": {"callbacks__schedule": None}}, [2]),
    "crops and stages": (
        {
            "augmentation": [Flip(), RandomCrop()],
            "stages": [
                Stage(2, resolution=4, lr=0.02),
                Stage(2, resolution=4, objective="hybrid", batch_size=12),
                Stage(2, resolution=5),
            ],
        },
        [1, 2, 3, 4, 5, 6],
    ),
    "stages that stop early": (
        {
            "stages": [Stage(20, lr=0.03), Stage(20, lr=0.02)],
            "early_stopping": "accuracy",
            "temperature": "auto",
            "validation_fraction": 0.4,
            "n_iter_no_change": 1,
        },
        [1, 3, 5],
    ),
}


class CtrlC(Callback):
    """Ctrl-C in the middle of an epoch, where `EPOCHS` says so."""

    def on_batch_end(self, net, training=False, **kwargs):
        if EPOCHS and len(net.history) == EPOCHS[0] and len(net.history[-1, "batches"]) == 2:
            EPOCHS.pop(0)
            raise KeyboardInterrupt


EPOCHS: list[int] = []  # in which Ctrl-C comes next


@pytest.fixture(autouse=True)
def _no_more_of_them():
    EPOCHS.clear()


def images(parameters):
    return photographs(30) if "crops" in str(parameters) or "augmentation" in parameters else shades(45)


def make(parameters, folder=None):
    """A classifier that can be interrupted."""
    net_params = parameters.get("net_params", {}) | {"callbacks": [("ctrl_c", CtrlC())]}
    return quick(**({"batch_size": 8} | parameters | {"net_params": net_params}), checkpoint_dir=folder)


def fit(clf, X, y):
    """Fit until no interruption ends it; how many did."""
    n_interruptions = 0
    while True:
        before = len(EPOCHS)
        if not before:
            clf.fit(X, y)
            return n_interruptions
        try:
            with pytest.warns(TrainingInterruptedWarning):
                clf.fit(X, y)
        except pytest.fail.Exception:  # it ended before the epoch of the next interruption
            EPOCHS.clear()
            return n_interruptions
        n_interruptions += 1


def rows(clf):
    """The history without seconds and single batches."""
    return [
        {key: value for key, value in row.items() if key not in ("dur", "batches")} for row in clf.history_
    ]


def assert_the_same(one, other):
    """Two trainings ended alike, to the last bit."""
    for name in ("module_", "averaged_"):
        for key, value in getattr(one.net_, name).state_dict().items():
            assert torch.equal(value, getattr(other.net_, name).state_dict()[key]), (name, key)
    assert rows(one) == rows(other)
    assert one.temperature_ == other.temperature_
    for name in ("stop_reason_", "best_row_"):
        assert getattr(one.net_, name) == getattr(other.net_, name)
    one, other = (each.net_.optimizer_.state_dict() for each in (one, other))
    assert pickle.dumps(one["param_groups"]) == pickle.dumps(other["param_groups"])
    for key, moments in one["state"].items():
        assert all(torch.equal(value, other["state"][key][name]) for name, value in moments.items())


# Interruptions


@pytest.mark.parametrize("name", TRAININGS)
def test_an_interrupted_training_ends_as_if_it_had_not_been(name, tmp_path):
    parameters, epochs = TRAININGS[name]
    X, y = images(parameters)
    undisturbed = make(parameters).fit(X, y)
    EPOCHS.extend(epoch for epoch in epochs if epoch <= undisturbed.n_iter_)
    n_wanted = len(EPOCHS)
    clf = make(parameters, tmp_path)
    assert fit(clf, X, y) == n_wanted >= 1
    assert_the_same(clf, undisturbed)


def test_at_most_one_epoch_is_lost(tmp_path, monkeypatch):
    X, y = shades()
    EPOCHS.append(3)
    clf = make({"max_epochs": 4}, tmp_path)
    with pytest.warns(TrainingInterruptedWarning, match="after 2 of 4 epochs"):
        clf.fit(X, y)
    state = torch.load(tmp_path / NAME, weights_only=True)
    assert [row["epoch"] for row in json.loads(state["history"])] == [1, 2]
    steps, loss = [], Likelihood.loss

    def watched(self, terms):
        steps.append(1)
        return loss(self, terms)

    monkeypatch.setattr(Likelihood, "loss", watched)
    assert make({"max_epochs": 4}, tmp_path).fit(X, y).n_iter_ == 4
    assert len(steps) == 2 * math.ceil(len(X) / 8)


def test_with_checkpoints_a_training_is_the_same(tmp_path):
    X, y = shades()
    for name, parameters in {"one": {"max_epochs": 2}, "two": {"stages": [Stage(1), Stage(1)]}}.items():
        kept = make(parameters, tmp_path / name).fit(X, y)
        assert_the_same(kept, make(parameters).fit(X, y))
        assert os.listdir(tmp_path / name) == [NAME]


def test_a_finished_training_returns_at_once(tmp_path, monkeypatch):
    X, y = shades()
    options = {"stages": [Stage(2), Stage(1)], "temperature": "auto", "validation_fraction": 0.4}
    clf = make(options, tmp_path).fit(X, y)
    written = (tmp_path / NAME).stat().st_mtime_ns
    monkeypatch.setattr("gencls.density.model.ConditionalPixelCNN.forward", None)
    again = make(options, str(tmp_path)).fit(X, y)
    assert_the_same(again, clf)
    assert again.n_iter_ == 3
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert (tmp_path / NAME).stat().st_mtime_ns == written
    assert os.listdir(tmp_path) == [NAME]


class PowerCut(Callback):
    """An error where the second stage begins."""

    def on_train_begin(self, net, **kwargs):
        if EPOCHS and net.stage_ is net.plan_.stages[1]:
            raise RuntimeError("dark")


def test_after_a_stage_that_stopped_early_nothing_is_lost(tmp_path):
    """The checkpoint says that the stage is over, before the next one begins."""
    X, y = shades(45)
    parameters, _ = TRAININGS["stages that stop early"]
    parameters = parameters | {"net_params": {"callbacks": [PowerCut()]}}
    undisturbed = quick(**parameters).fit(X, y)
    clf = quick(**parameters, checkpoint_dir=tmp_path)
    EPOCHS.append(999)
    with pytest.raises(RuntimeError, match="dark"):
        clf.fit(X, y)
    state = torch.load(tmp_path / NAME, weights_only=True)
    assert (state["stage"], state["finished"], state["stop_reason"]) == (0, True, "early stopping")
    EPOCHS.clear()
    assert_the_same(clone(clf).fit(X, y), undisturbed)


def test_a_bar_begins_where_the_checkpoint_is(tmp_path, monkeypatch):
    X, y = shades()
    EPOCHS.append(3)
    with pytest.warns(TrainingInterruptedWarning):
        make({"max_epochs": 4}, tmp_path).fit(X, y)
    stream = FakeStream(terminal=True)
    monkeypatch.setattr(sys, "stderr", stream)
    make({"max_epochs": 4, "verbose": 1}, tmp_path).fit(X, y)
    assert "50%" in stream.getvalue()
    assert "25%" not in stream.getvalue()
    assert "4.0/4 epochs" in stream.getvalue()


@pytest.mark.parametrize("verbose", [1, 2])
def test_what_does_not_matter_may_change(verbose, tmp_path, capsys):
    X, y = shades()
    EPOCHS.append(2)
    clf = make({"max_epochs": 3}, tmp_path / "one")
    with pytest.warns(TrainingInterruptedWarning):
        clf.fit(X, y)
    moved = tmp_path / "other"
    (tmp_path / "one").rename(moved)
    clf = make({"max_epochs": 3}, moved).set_params(verbose=verbose, warm_start=True)
    clf.fit(X, y)
    epochs = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert [line.partition(":")[0] for line in epochs] == ["epoch 2/3", "epoch 3/3"]
    assert_the_same(clf, make({"max_epochs": 3}).fit(X, y))


def test_a_partial_fit_has_no_checkpoints(tmp_path):
    X, y = shades()
    clf = quick(checkpoint_dir=tmp_path / "none").partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    assert clf.n_iter_ == 2
    assert not (tmp_path / "none").exists()
    clf = quick(checkpoint_dir=tmp_path / "some").fit(X, y)
    before = (tmp_path / "some" / NAME).read_bytes()
    assert clf.partial_fit(X, y).n_iter_ == 2
    assert (tmp_path / "some" / NAME).read_bytes() == before


def test_figures_of_any_number_are_kept(tmp_path):
    class Notes(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("note", np.float32(0.5))
            net.history.record("flag", np.bool_(True))

    X, y = shades()
    options = {"max_epochs": 2, "net_params": {"callbacks": [Notes()]}}
    quick(**options, checkpoint_dir=tmp_path).fit(X, y)
    again = quick(**options, checkpoint_dir=tmp_path).fit(X, y)
    assert [(row["note"], row["flag"]) for row in again.history_] == [(0.5, True)] * 2


# What is refused


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the checkpoint of a training, and its parameters."""
    folder = tmp_path_factory.mktemp("finished")
    options = {"max_epochs": 1, "priors": [0.2, 0.3, 0.5], "net_params": {"ema_decay": 0.5}}
    quick(**options, checkpoint_dir=folder).fit(*shades())
    return folder, options


DIFFERENT = {
    "lr": {"lr": 0.5},
    "max_epochs": {"max_epochs": 2},
    "stages": {"stages": [Stage(1)]},
    "objective": {"objective": Hybrid()},
    "augmentation": {"augmentation": "flip"},
    "n_filters": {"n_filters": 5},
    "random_state": {"random_state": 1},
    "priors": {"priors": [0.2, 0.2, 0.6]},
    "net_params": {"net_params": {"ema_decay": 0.25}},
    "compute": {"compute": "plain"},
    "temperature": {"temperature": 2.0},
    "dropout": {"dropout": 0.5},
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_different_configuration_is_refused(name, finished):
    folder, options = finished
    before = (folder / NAME).read_bytes()
    clf = quick(**(options | DIFFERENT[name]), checkpoint_dir=folder)
    with pytest.raises(InvalidParameterError, match=rf"'checkpoint_dir' of .*\['{name}'\] differ"):
        clf.fit(*shades())
    assert not hasattr(clf, "classes_")
    assert (folder / NAME).read_bytes() == before


def test_different_data_are_refused(finished):
    folder, options = finished
    X, y = shades()
    other = X.copy()
    other[5, 1, 1] = (other[5, 1, 1] + 1) % 9
    clf = quick(**options, checkpoint_dir=folder)
    for data in ((other, y), (X, np.roll(y, 1))):
        with pytest.raises(InvalidParameterError, match=r"\['images'\] differ"):
            clf.fit(*data)
    with pytest.raises(InvalidParameterError, match=r"\['images'\] differ"):
        clf.fit(X, y, sample_weight=np.arange(1, 37))
    with pytest.raises(InvalidParameterError, match=r"\['held-out images'\] differ"):
        clf.fit(X, y, X_val=X, y_val=y)
    assert clf.fit(X[::-1], y[::-1]).n_iter_ == 1  # the order does not matter


def test_a_refusal_leaves_a_model_as_it_was(finished):
    folder, options = finished
    X, y = shades()
    clf = quick(**options).fit(X, y)
    expected, net = clf.predict_joint_log_proba(X), clf.net_
    clf.set_params(checkpoint_dir=folder, lr=0.5)
    with pytest.raises(InvalidParameterError, match=r"\['lr'\] differ"):
        clf.fit(X, y)
    assert clf.net_ is net
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), expected)


def test_a_warm_start_from_other_weights_is_refused(finished):
    folder, options = finished
    X, y = shades()
    clf = quick(**options, warm_start=True).fit(X, y)
    with pytest.raises(InvalidParameterError, match=r"\['initial weights'\] differ"):
        clf.set_params(checkpoint_dir=folder).fit(X, y)


FILES = {
    "no checkpoint": b"hello",
    "nothing": b"",
    "a pickle": pickle.dumps({"identity": {}}),
    "code": pickle.dumps(Path("x")),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_checkpoint_is_refused_and_kept(name, tmp_path):
    (tmp_path / NAME).write_bytes(FILES[name])
    with pytest.raises(
        InvalidParameterError, match=rf"'checkpoint_dir' of .*{NAME} that is not a checkpoint"
    ):
        quick(checkpoint_dir=tmp_path).fit(*shades())
    assert (tmp_path / NAME).read_bytes() == FILES[name]


def test_a_checkpoint_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "evil",)

    torch.save({"identity": Evil()}, tmp_path / NAME)
    with pytest.raises(InvalidParameterError, match="not a checkpoint"):
        quick(checkpoint_dir=tmp_path).fit(*shades())
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)], ids=["None", "RandomState"])
def test_the_seed_must_be_an_int(random_state, tmp_path):
    with pytest.raises(InvalidParameterError, match=r"'random_state' of .* int with checkpoint_dir"):
        quick(checkpoint_dir=tmp_path, random_state=random_state).fit(*shades())
    quick(checkpoint_dir=tmp_path, random_state=np.int64(3)).fit(*shades())


def test_one_that_is_cut_off_while_it_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    X, y = shades()
    parameters = {"max_epochs": 3}
    calls, save = [], torch.save

    def cut(state, file):
        calls.append(1)
        if len(calls) == 2:
            file.write(b"half of it")
            raise OSError(28, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", cut)
    with pytest.raises(OSError, match="No space left"):
        make(parameters, tmp_path).fit(X, y)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == [NAME]
    assert_the_same(make(parameters, tmp_path).fit(X, y), make(parameters).fit(X, y))


# kill -9

CHILD = """
import sys, time, joblib, torch
from gencls.training import GenerativeNet

torch.set_num_threads(1)
step = GenerativeNet.train_step

def slow_step(net, *args, **kwargs):
    time.sleep(0.03)  # so that it is still running when it is killed
    return step(net, *args, **kwargs)

GenerativeNet.train_step = slow_step
clf, X, y = joblib.load(sys.argv[1])
clf.fit(X, y)
"""


def kill_after(n_checkpoints, milliseconds, job, checkpoint):
    """Fit in a process of its own, and kill it some time after it has written some checkpoints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    seen = {_version(checkpoint)}
    with subprocess.Popen([sys.executable, "-c", CHILD, str(job)], env=environment) as process:
        while len(seen) <= n_checkpoints and process.poll() is None:
            time.sleep(0.002)
            seen.add(_version(checkpoint))
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def _version(path):
    return path.stat().st_mtime_ns if path.exists() else None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9")
def test_a_training_that_is_killed_ends_as_if_it_had_not_been(tmp_path):
    X, y = photographs(24, channels=1)
    stages = [Stage(5, resolution=4, objective=Hybrid(n_contrasted=2)), Stage(5, resolution=5)]
    clf = quick(stages=stages, augmentation=[RandomCrop()], dropout=0.2, checkpoint_dir=tmp_path / "folder")
    clf.set_params(temperature="auto", validation_fraction=0.2)
    joblib.dump((clf, X, y), tmp_path / "job")
    checkpoint = tmp_path / "folder" / NAME
    for milliseconds in np.random.RandomState(0).uniform(0, 50, size=2):
        kill_after(2, milliseconds, tmp_path / "job", checkpoint)
    n_kept = len(json.loads(torch.load(checkpoint, weights_only=True)["history"]))
    assert 3 <= n_kept < 10
    undisturbed = clone(clf).set_params(checkpoint_dir=None).fit(X, y)
    assert_the_same(clf.fit(X, y), undisturbed)
    assert os.listdir(tmp_path / "folder") == [NAME]


def test_the_same_levels_of_different_pixel_values_are_different_data(tmp_path):
    X, y = shades()
    X = X.astype(np.uint8) % 4  # as uint8 of 256 levels, as floats of 4
    quick(checkpoint_dir=tmp_path).fit(X, y)
    with pytest.raises(InvalidParameterError, match="pixel values"):
        quick(checkpoint_dir=tmp_path).fit(X.astype(float), y)


def test_a_search_over_checkpoints_of_one_folder_is_refused(tmp_path):
    X, y = shades()
    first = quick(checkpoint_dir=tmp_path)
    first.fit(X, y)
    with pytest.raises(InvalidParameterError, match=r"\['images'\] differ"):
        clone(first).fit(X[:30], y[:30])
