"""The benchmarks of the conditioners, at a size that takes seconds."""

from __future__ import annotations

import importlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gencls import GenerativeBayesClassifier, TrainingInterruptedWarning
from gencls.model_files import read_card

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("conditioners")


@pytest.fixture
def start(benchmark, tmp_path):
    """Start the command with small settings in a folder of its own."""

    def main(*options):
        folders = ("--results", str(tmp_path / "fits.jsonl"), "--docs", str(tmp_path))
        small = ("--datasets", "digits", "--seconds-digits", "0.2", "--seeds", "2", "--jobs", "1")
        benchmark.main([*folders, *small, "--only", "head", "unconditional", *options])

    return main


def results(tmp_path):
    return [json.loads(line) for line in (tmp_path / "fits.jsonl").read_text().splitlines()]


def test_one_command_makes_the_table_and_goes_on_where_it_was(start, benchmark, tmp_path, monkeypatch):
    start("--seeds", "1")
    start()
    rows = results(tmp_path)
    assert [(row["conditioner"], row["seed"]) for row in rows] == [
        ("head", 0), ("unconditional", 0), ("head", 1), ("unconditional", 1),
    ]  # fmt: skip
    assert rows[1]["accuracy"] == pytest.approx(0.1, abs=0.02)
    assert rows[1]["log_loss"] == pytest.approx(np.log(10), abs=0.01)
    assert rows[0]["n_parameters_conditioner"] == 240
    assert (tmp_path / "images/zoo.png").stat().st_size > 5000
    table = (tmp_path / "zoo-table.md").read_text()
    assert table.count("\n| `head` |") == table.count("\n| `unconditional` |") == 1
    assert table.count("±") == 6
    monkeypatch.delattr(benchmark, "measure")  # nothing is fitted again
    start()
    assert results(tmp_path) == rows


def test_a_fit_that_fails_is_told_and_tried_again(start, benchmark, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "measure", lambda cell: 1 / 0)
    with pytest.raises(SystemExit, match="Nothing has been measured yet"):
        start()
    assert capsys.readouterr().out.count("FAILED, ZeroDivisionError") == 4
    assert not (tmp_path / "fits.jsonl").exists()


def test_a_line_that_was_cut_off_does_no_harm(benchmark, tmp_path):
    path = tmp_path / "fits.jsonl"
    assert benchmark.read(path) == []
    benchmark.append({"seed": 0}, path)
    path.write_text(path.read_text() + '{"seed": 1, "settings": {}')  # the machine stopped while it wrote
    benchmark.append({"seed": 2}, path)
    assert benchmark.read(path) == [{"seed": 0}, {"seed": 2}]


def test_without_results_the_table_stays_as_it_is(start, tmp_path):
    (tmp_path / "zoo-table.md").write_text("of another run")
    with pytest.raises(SystemExit, match="Nothing has been measured yet"):
        start("--table-only")
    assert (tmp_path / "zoo-table.md").read_text() == "of another run"


def test_the_learning_rate_falls_to_0_when_the_time_is_up(benchmark, monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(importlib.import_module("budget"), "clock", lambda device: next(seconds))
    budget = benchmark.TimeBudget(20, "cpu")
    X, y = load_digits(n_class=2, return_X_y=True)
    clf = GenerativeBayesClassifier(
        n_filters=2,
        n_mixtures=1,
        max_epochs=1000,
        batch_size=30,
        net_params={"callbacks": [("budget", budget)]},
    )
    with pytest.warns(TrainingInterruptedWarning):
        clf.fit(X[:90], y[:90])
    assert budget.steps_ == 20
    assert clf.n_iter_ == 6
    assert clf.net_.optimizer_.param_groups[0]["lr"] < 0.01 * clf.lr


def test_sharing_is_measured(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    small = ("--classes", "2", "--pairs", "2", "--n-filters", "64", "--repeats", "1", "--only", "head")
    importlib.import_module("sharing").main([*small, "--docs", str(tmp_path)])
    assert "\n| `head` | " in (tmp_path / "sharing-table.md").read_text()


def test_a_pretrained_model_is_made_with_its_card(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    script = importlib.import_module("pretrained")
    monkeypatch.setattr(script, "DIGITS", {"n_filters": 2, "n_mixtures": 1, "random_state": 3})
    script.main(["digits", "--max-epochs", "1", "--output", str(tmp_path)])
    path = tmp_path / "digits.safetensors"
    card, clf = read_card(path), GenerativeBayesClassifier.load(path)
    assert (card["seed"], clf.n_filters, clf.n_iter_) == (3, 2, 1)
    assert card["command"] == "python benchmarks/pretrained.py digits --max-epochs 1"
    assert card["figures"] == card[f"figures_in_{card['precision']}_precision"]
    X, y = load_digits(return_X_y=True)
    X, y = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)[1::2]
    assert clf.score(X, y) == pytest.approx(card["figures"]["accuracy"], abs=1e-3)


@pytest.fixture
def speed(monkeypatch, tmp_path):
    """The command for a small network, with results in a folder of its own."""
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("speed")
    small = module.Size("tiny", "digits", 8, 1, 3, 2, n_classes=10, batch=4, n_batches=2, n_scored=8)
    monkeypatch.setattr(module, "SIZES", {"digits": small})
    quick = ["--rounds", "1", "--seconds", "0", "--threads", "1", "--no-memory", "--sizes", "digits"]
    folders = ["--docs", str(tmp_path), "--results", str(tmp_path / "speed.jsonl")]
    return lambda *options: module.main([*quick, *folders, *options])


def test_speed_is_measured_beside_the_textbook(speed, tmp_path):
    speed("--tasks", "train", "score-10", "sample-1", "--also", "textbook:Textbook")
    rows = [json.loads(line) for line in (tmp_path / "speed.jsonl").read_text().splitlines()]
    contestants = {
        task: [row["contestant"] for row in rows if row["task"] == task] for task in ("train", "score-10")
    }
    first = contestants["train"][:3]
    assert first == ["textbook", "gencls", "gencls, compiled"]
    assert contestants["train"][-1] == "textbook:Textbook"
    assert "gencls, compiled, late" in contestants["score-10"]
    assert all(row["rate"] > 0 for row in rows)
    assert {row["ratio"] for row in rows if row["contestant"] == "textbook"} == {1.0}
    assert (tmp_path / "speed-table.md").read_text().count("| tiny |") == len(rows)
    speed("--table-only")
    assert (tmp_path / "speed-table.md").read_text().count("| tiny |") == len(rows)


def test_floors_count_what_is_known(monkeypatch):
    import torch

    monkeypatch.syspath_prepend(str(FOLDER))
    floors = importlib.import_module("floors")
    operations, n_bytes = floors.costs((1, 40, 5), "score one class", torch.float32)
    assert 0.8e9 < operations < 0.95e9  # 0.85 GFLOP an image
    assert floors.costs((1, 40, 5), "score one class", torch.bfloat16)[1] < 0.7 * n_bytes
    with floors.ByteCounter() as counter:
        torch.ones(10) + torch.ones(10)
    assert counter.bytes == 40 + 40 + 120


def test_the_early_exit_is_measured_beside_the_exact_predictions(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    script = importlib.import_module("early_exit")
    script.main(["--images", "6", "--exact"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("| digits | ")
    script.main(["--images", "6", "--repeats", "1", "--margins", "5", "--docs", str(tmp_path)])
    lines = (tmp_path / "early-exit-table.md").read_text().splitlines()
    assert lines[5].startswith("| 6 of digits, K = 10, `mild` | none: exact | 0.0% | 100.0% | ")
    assert lines[6].startswith("| 6 of digits, K = 10, `mild` | 5 | ")
