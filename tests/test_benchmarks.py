"""The benchmarks: the runner, the reports, and each kind of measurement at a size that takes seconds."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import sys
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import budget
import contestants
import experiments
import plots
import report
import runner
import speed
import splits
import tables
from experiments import DOCS, RESULTS, Run
from gencls import GenerativeBayesClassifier, TrainingInterruptedWarning
from gencls.model_files import read_card
from measures import PLAIN, early_exit, fits, floors, sharing
from records import append, as_json, read

EXPERIMENTS = experiments.names()

TINY = """
import os
from experiments import Experiment

def measure(run, *, value, after=None):
    if value == "killed":
        os.kill(os.getpid(), 9)
    return {"accuracy": 1 / value + run.seed / 10, "log_loss": 1.0}

EXPERIMENT = Experiment(measure, {"one": {"value": 1}, "two": {"value": 2}}, seeds=2)
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """An experiment in a file of its own; its module."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/tiny.py").write_text(TINY)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("own.tiny")
    yield module
    del sys.modules["own.tiny"], sys.modules["own"]


@pytest.fixture
def start(tiny, tmp_path):
    """Start the runner with the small experiment; the lines that it has then."""

    def main(*options):
        runner.main(["own.tiny", "--results", str(tmp_path), *options])
        return read(tmp_path / "tiny.jsonl")

    return main


# The runner


def test_every_cell_is_measured_for_every_seed(start):
    lines = start()
    assert [(line["cell"], line["seed"]) for line in lines] == [
        ("one", 0),
        ("two", 0),
        ("one", 1),
        ("two", 1),
    ]
    assert [line["figures"]["accuracy"] for line in lines] == [1, 0.5, 1.1, 0.6]
    assert lines[1]["settings"] == {"value": 2}
    assert lines[0]["versions"]["torch"] == torch.__version__
    assert lines[0]["processor"]
    assert 0 <= lines[0]["core_seconds"] < 10


def test_what_has_a_line_is_not_measured_again(start, tiny, monkeypatch):
    first = start("--seeds", "1")
    assert start()[:2] == first
    lines = start()
    monkeypatch.setattr(tiny, "EXPERIMENT", replace(tiny.EXPERIMENT, measure=None))
    assert start() == lines


def test_runs_can_be_made_again(start, tmp_path):
    run = Run("own.tiny", "two", seed=0, results=tmp_path)
    with pytest.raises(LookupError, match="has not been measured"):
        run.line()
    start()
    lines = start("--again", "--only", "two", "--seeds", "1")
    assert len(lines) == 5
    assert run.line() == lines[-1]


def test_cells_can_be_chosen(start):
    assert [line["cell"] for line in start("--only", "two")] == ["two", "two"]
    with pytest.raises(SystemExit, match="no cell 'three'"):
        start("--only", "three")


def test_a_run_that_fails_is_reported_and_made_again(start, tiny, capsys):
    tiny.EXPERIMENT.cells["one"]["value"] = 0
    with pytest.raises(SystemExit, match="2 of 4 runs failed"):
        start()
    assert capsys.readouterr().out.count("one, seed 0: FAILED, ZeroDivisionError") == 1
    tiny.EXPERIMENT.cells["one"]["value"] = 4
    assert [line["cell"] for line in start()] == ["two", "two", "one", "one"]


def test_settings_that_have_changed_are_reported(start, tiny, capsys):
    start()
    tiny.EXPERIMENT.cells["one"]["value"] = 5
    lines = start()
    assert capsys.readouterr().out.count("one, seed 0: its settings have changed") == 1
    assert len(lines) == 4


def test_a_process_that_is_killed_takes_no_other_with_it(start, tmp_path, capsys):
    module = tmp_path / "own/tiny.py"
    module.write_text(TINY.replace('"one": {"value": 1}', '"one": {"value": "killed"}'))
    sys.modules["own.tiny"].EXPERIMENT.cells["one"]["value"] = "killed"
    with pytest.raises(SystemExit, match="1 of 2 runs failed"):
        start("--seeds", "1", "--jobs", "2")
    assert "one, seed 0: FAILED, BrokenProcessPool" in capsys.readouterr().out
    assert [line["cell"] for line in read(tmp_path / "tiny.jsonl")] == ["two"]


def test_cells_that_need_one_another_are_a_chain(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "EXPERIMENT", replace(tiny.EXPERIMENT, after={"two": "one"}))
    runs = [Run("own.tiny", cell, seed) for seed in (0, 1) for cell in ("one", "two")]
    assert runner.chains(runs) == [runs[:2], runs[2:]]
    assert runner.chains(runs[1:]) == [runs[1:2], runs[2:]]


def test_all_experiments_are_listed(capsys):
    runner.main(["--list"])
    assert [line for line in capsys.readouterr().out.splitlines() if line[0] != " "] == EXPERIMENTS


def test_a_line_that_was_cut_off_does_no_harm(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert read(path) == []
    append({"seed": 0}, path)
    path.write_text(path.read_text() + '{"seed": 1, "settings": {}')  # the machine stopped while it wrote
    append({"seed": 2}, path)
    assert read(path) == [{"seed": 0}, {"seed": 2}]


# The experiments


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_settings_are_parameters_and_stay_what_they_are_in_json(name):
    experiment = experiments.load(name)
    for cell, settings in experiment.cells.items():
        assert as_json(as_json(settings)) == as_json(settings)
        assert " at 0x" not in json.dumps(as_json(settings)), (
            f"{cell} has a setting without a repr of its own"
        )
        assert experiment.after.get(cell) == settings.get("after")
        assert experiment.after.get(cell) in {None, *experiment.cells}


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if (RESULTS / f"{name}.jsonl").exists()])
def test_raw_lines_belong_to_cells_with_the_same_settings(name):
    cells = experiments.load(name).cells
    for line in read(experiments.file_of(name, RESULTS)):
        assert line["settings"] == as_json(cells[line["cell"]])


# The reports


def tables_of(name):
    """The Markdown pages of an experiment."""
    found = experiments.load(name).reports
    return {place: page for place, page in found.items() if isinstance(page, tables.Page)}


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if tables_of(name)])
def test_tables_of_the_documentation_are_those_of_the_raw_lines(name):
    records = report.records_of(name, RESULTS)
    assert records
    for place, page in tables_of(name).items():
        text = (DOCS / place).read_text(encoding="utf-8")
        inserted = isinstance(page, tables.Inserted)
        assert page.markdown(records) in text if inserted else page.markdown(records) == text


def test_the_table_of_speed_is_that_of_the_raw_lines():
    lines = read(RESULTS / "speed.jsonl")
    written = (DOCS / "speed-table.md").read_text(encoding="utf-8")
    assert written == speed.TABLE.markdown(speed.records(lines))


def test_every_table_of_the_documentation_has_a_command():
    made = {place for name in EXPERIMENTS for place in tables_of(name)} | {"speed-table.md"}
    pages = [*DOCS.glob("*-table.md"), *DOCS.glob("figures/*.md")]
    assert {path.relative_to(DOCS).as_posix() for path in pages} <= made


def test_the_command_writes_what_is_measured(start, tiny, tmp_path, capsys, monkeypatch):
    reports = {
        "tiny-table.md": tables.Table({"cell": "cell"}, ["accuracy"], text="With {value}.", best_first=True),
        "tiny.png": plots.Dots("cell", {"error": lambda row: 2 - row["accuracy"]}, section="device"),
    }
    monkeypatch.setattr(tiny, "EXPERIMENT", replace(tiny.EXPERIMENT, reports=reports))
    folders = ["--results", str(tmp_path), "--docs", str(tmp_path)]
    report.main(["own.tiny", *folders])
    assert "nothing has been measured yet" in capsys.readouterr().out
    assert not (tmp_path / "tiny-table.md").exists()
    tiny.EXPERIMENT.cells["one"]["value"] = 4
    start()
    report.main(["own.tiny", *folders])
    assert (tmp_path / "tiny-table.md").read_text().splitlines() == [
        "With 4.",
        "",
        "| cell | accuracy | runs |",
        "|---|---:|---:|",
        "| two | 0.550 ± 0.050 | 2 |",
        "| one | 0.300 ± 0.050 | 2 |",
    ]
    assert (tmp_path / "tiny.png").stat().st_size > 5000


def test_of_one_run_there_is_no_error_and_what_was_not_measured_is_empty():
    table = tables.Table({"cell": "cell"}, ["accuracy", "fid"])
    lines = table.markdown([{"cell": "a", "accuracy": 0.5}, {"cell": "b", "accuracy": 1, "fid": 2}])
    assert lines.splitlines()[2:] == ["| a | 0.500 |  |", "| b | 1.000 | 2.00 |"]


def test_errors_are_those_of_the_mean():
    mean, error = tables.summary([{"accuracy": value} for value in (0.7, 0.8, 0.9)], "accuracy")
    assert (mean, error) == pytest.approx((0.8, 0.1 / np.sqrt(3)))
    assert math.isnan(tables.summary([{"accuracy": 1}], "accuracy").error)


def test_curves_have_a_panel_for_each_pair(tmp_path):
    rows = [
        {"name": name, "step": step, "epoch": step, "accuracy": step / 10, "fid": 3.0, "floor": 1.0}
        for name in ("a", "b")
        for step in (1, 2, 2)
    ]
    curves = plots.Curves(
        [("epoch", "accuracy"), ("accuracy", "fid")], "name", "ours", paper=rows, level="floor"
    )
    curves.write(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000


# Kinds of measurements


TINY_MODEL: dict[str, Any] = {"n_filters": 2, "n_mixtures": 1, "batch_size": 64}
DIGITS: dict[str, Any] = {"data": "digits", **TINY_MODEL}


@pytest.fixture
def few_digits(monkeypatch):
    """The digits, a tenth of them."""
    digits = load_digits()
    few = type(digits)(images=digits.images[::10], target=digits.target[::10])
    monkeypatch.setattr("splits.load_digits", lambda: few)


@pytest.mark.usefixtures("few_digits")
def test_a_fit_is_that_of_the_estimator():
    row = fits.fit(Run("figure_1", "tiny", seed=3), **DIGITS, max_epochs=1)
    split = splits.load("digits")
    clf = GenerativeBayesClassifier(**(PLAIN | TINY_MODEL), max_epochs=1, device="cpu", random_state=3)
    clf.fit(split.X, split.y)
    assert row["bits_per_dim"] == pytest.approx(clf.bits_per_dim(split.X_val, split.y_val))
    assert row["accuracy"] == clf.score(split.X_val, split.y_val)
    assert (row["n_held_out"], row["epochs_trained"]) == (len(split.y_val), 1)
    assert 0 < row["n_parameters_conditioner"] < row["n_parameters"]


@pytest.mark.usefixtures("few_digits")
def test_a_fit_can_take_a_time(monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(budget, "clock", lambda device: next(seconds))
    row = fits.fit_for_a_time(Run("conditioners", "tiny", seed=0), **DIGITS, seconds=6, flipped_copies=True)
    n_images = 2 * len(splits.load("digits").X)
    assert row["epochs_trained"] == 6 * 64 / n_images


@pytest.mark.usefixtures("few_digits")
def test_ctrl_c_ends_more_than_one_fit(monkeypatch):
    def interrupted(clf, X, y):
        warnings.warn("after 1 epoch", TrainingInterruptedWarning, stacklevel=2)

    monkeypatch.setattr(GenerativeBayesClassifier, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fits.fit(Run("figure_1", "tiny", seed=0), **DIGITS, max_epochs=1)


def test_the_learning_rate_falls_to_0_when_the_time_is_up(monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(budget, "clock", lambda device: next(seconds))
    callback = budget.TimeBudget(20, "cpu")
    X, y = load_digits(n_class=2, return_X_y=True)
    clf = GenerativeBayesClassifier(
        n_filters=2,
        n_mixtures=1,
        max_epochs=1000,
        batch_size=30,
        net_params=callback.net_params,
    )
    with pytest.warns(TrainingInterruptedWarning):
        clf.fit(X[:90], y[:90])
    assert callback.steps_ == 20
    assert clf.n_iter_ == 6
    assert clf.net_.optimizer_.param_groups[0]["lr"] < 0.01 * clf.lr


def test_the_early_exit_is_measured_beside_the_exact_predictions(tmp_path):
    row = early_exit.early_exit(
        Run("early_exit", "digits", seed=0), data="digits", model="digits", margins=[5], repeats=1, images=6
    )
    exact, with_margin = row["margins"]
    assert (exact["margin"], exact["changed"], exact["times_faster"]) == ("none: exact", 0, 1)
    assert with_margin["milliseconds"] > 0
    assert 0 <= row["droppable"]["half"] <= row["droppable"]["three_quarters"] <= 1
    assert (row["n_held_out"], row["n_classes"]) == (6, 10)


def test_sharing_is_measured():
    row = sharing.sharing(
        Run("sharing", "`head`", seed=0),
        conditioner="head",
        classes=[2],
        image_shape=(3, 16, 16),
        n_filters=64,
        pairs=2,
        repeats=1,
    )
    assert set(row) == {"milliseconds_2", "share_2"}
    assert row["milliseconds_2"] > 0


def test_floors_count_what_is_known():
    operations, n_bytes = floors.costs((1, 40, 5), "score one class", torch.float32)
    assert 0.8e9 < operations < 0.95e9  # 0.85 GFLOP an image
    assert floors.costs((1, 40, 5), "score one class", torch.bfloat16)[1] < 0.7 * n_bytes
    with floors.ByteCounter() as counter:
        torch.ones(10) + torch.ones(10)
    assert counter.bytes == 40 + 40 + 120


def test_floors_are_measured(monkeypatch):
    monkeypatch.setattr(floors, "best_rate", lambda work, amount: amount)
    monkeypatch.setattr(floors, "costs", lambda size, work, dtype: (100.0, 10.0))
    row = floors.floors(Run("floors", "tiny", seed=0), threads=1, n_layers=1, n_filters=2, n_mixtures=1)
    assert row["gigabytes_a_second"] == 2 * 4 * 2**26 / 1e9
    assert {work["work"] for work in row["work"]} == {"train", "score one class"}
    assert row["work"][0]["by_operations"] == 2 * 2048**3 / 100


@pytest.mark.usefixtures("few_digits")
def test_a_pretrained_model_is_made_with_its_card(tmp_path):
    run = Run("pretrained", "digits", seed=0, results=tmp_path)
    experiments.load("pretrained").measure(run, **DIGITS, max_epochs=1)
    path = tmp_path / "models/digits.safetensors"
    card, clf = read_card(path), GenerativeBayesClassifier.load(path)
    assert (card["seed"], clf.n_filters, clf.n_iter_) == (0, 2, 1)
    assert card["command"] == "python benchmarks/runner.py pretrained --only digits"
    assert card["figures"] == card[f"figures_in_{card['precision']}_precision"]
    split = splits.load("digits")
    accuracy = clf.score(split.X_val.reshape(len(split.X_val), -1), split.y_val)
    assert accuracy == pytest.approx(card["figures"]["accuracy"], abs=1e-3)


# Speed


@pytest.fixture
def timed(monkeypatch, tmp_path):
    """Start the command for a small network, with results in a folder of its own."""
    small = contestants.Size("tiny", "digits", 8, 1, 3, 2, n_classes=10, batch=4, n_batches=2, n_scored=8)
    for module in (contestants, speed):
        monkeypatch.setattr(module, "SIZES", {"digits": small})
    quick = ["--rounds", "1", "--seconds", "0", "--threads", "1", "--no-memory", "--sizes", "digits"]
    folders = ["--docs", str(tmp_path), "--results", str(tmp_path)]
    return lambda *options: speed.main([*quick, *folders, *options])


def test_speed_is_measured_beside_the_textbook(timed, tmp_path):
    timed("--tasks", "train", "score-10", "sample-1", "--also", "baselines.textbook:Textbook")
    rows = read(tmp_path / "speed.jsonl")
    train, score = (
        [row["contestant"] for row in rows if row["task"] == task] for task in ("train", "score-10")
    )
    assert train[:3] == ["textbook", "gencls", "gencls, compiled"]
    assert train[-1] == "baselines.textbook:Textbook"
    assert "gencls, compiled, late" in score
    assert all(row["rate"] > 0 for row in rows)
    assert {row["ratio"] for row in rows if row["contestant"] == "textbook"} == {1.0}
    table = (tmp_path / "speed-table.md").read_text()
    assert table.count("| tiny |") == len(rows)
    timed("--table-only")
    assert (tmp_path / "speed-table.md").read_text() == table
