"""The examples run: small, on local files."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from gencls import GenerativeBayesClassifier, Stage

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
EXAMPLES = Path(__file__).parent.parent / "examples"


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def titles(figure):
    """The titles of all panels."""
    return [axis.get_title() for axis in figure.axes]


@pytest.mark.usefixtures("a_quarter_of_the_digits")
def test_digits_prints_figures_and_writes_pictures(tmp_path, capsys):
    figures = load_example("digits").main(tmp_path, max_epochs=1, n_filters=4)
    assert f"held-out images: accuracy {figures['accuracy']:.3f}" in capsys.readouterr().out
    for name in ("samples", "confusion_matrix", "learning_curve"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_the_command_line_of_the_demo_says_what_it_takes():
    command = [sys.executable, str(EXAMPLES / "digits.py"), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=EXAMPLES.parent)
    assert "--output" in result.stdout


SHORT = {"resolution": 4, "stages": [Stage(2, lr=5e-3)], "n_filters": 4, "n_mixtures": 1, "batch_size": 4}


def test_cpen455_is_learned_by_a_recipe(small_cpen455, capsys):
    figures = load_example("cpen455").main(str(small_cpen455), device="cpu", **SHORT)
    assert set(figures) == {"accuracy", "log-loss", "bits/dim"}
    assert all(np.isfinite(value) for value in figures.values())
    assert f"accuracy {figures['accuracy']:.3f}" in capsys.readouterr().out


def test_the_best_recipe_combines_seeds(small_cpen455):
    stages = [
        Stage(1, resolution=4),
        *(replace(stage, epochs=1) for stage in load_example("best_recipe").STAGES[3:]),
    ]
    accuracy = load_example("best_recipe").main(
        str(small_cpen455), n_seeds=2, **SHORT | {"resolution": 6, "stages": stages}
    )
    assert 0 <= accuracy <= 1


def test_photographs_of_a_folder_become_a_model_file(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, brightness in {"night": 0, "day": 128}.items():
        (tmp_path / name).mkdir()
        for number in range(8):
            pixels = rng.integers(0, 64, (12, 16, 3), dtype=np.uint8) + np.uint8(brightness)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    output = tmp_path / "model.safetensors"
    clf = load_example("photographs").main(str(tmp_path), output, **SHORT | {"stages": [Stage(8, lr=5e-3)]})
    assert clf.classes_.tolist() == ["day", "night"]
    assert "The least probable photograph of the rest: " in capsys.readouterr().out
    night = np.zeros((1, 64, 64, 3), np.uint8)
    assert GenerativeBayesClassifier.load(output).predict(night) == ["night"]


def test_samples_and_completions_are_drawn_side_by_side():
    figure = load_example("samples").main(n_per_class=1, n_rows=6)
    assert titles(figure) == ["drawn", "real", "upper 6 rows kept"]


@pytest.mark.usefixtures("a_quarter_of_the_digits")
def test_calibration_draws_both_curves():
    figure = load_example("calibration").main(n_train=100, max_epochs=1, n_filters=4)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert sum("log-loss" in text for text in legend) == 2
    assert "T = 1.00" in " ".join(legend)


@pytest.mark.usefixtures("a_quarter_of_the_digits")
def test_conditioners_are_shown_side_by_side():
    figure = load_example("conditioners").main(("head", "mild"), max_epochs=1, n_filters=4)
    assert [title.split("\n")[0] for title in titles(figure)] == ["head", "mild"]
