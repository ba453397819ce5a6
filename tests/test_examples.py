"""The examples run: small, on local files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).parent.parent / "examples"


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_digits_prints_figures_and_writes_pictures(tmp_path, capsys):
    load_example("digits").main(["--output", str(tmp_path), "--max-epochs", "1", "--n-filters", "4"])
    assert "held-out images: accuracy 0." in capsys.readouterr().out
    for name in ("samples", "confusion_matrix", "learning_curve"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200


@pytest.mark.parametrize("conditioner", ["mild", "strong"])
def test_cpen455_trains_and_scores(small_cpen455, conditioner, capsys):
    arguments = (
        f"--path {small_cpen455} --size 4 --conditioner {conditioner} --n-filters 4 --max-epochs 2 --watch"
    )
    figures = load_example("cpen455").main(arguments.split())
    assert set(figures) == {"accuracy", "log_loss", "bits_per_dim", "fit_seconds"}
    assert np.isfinite(figures["bits_per_dim"])
    assert "on 4 validation images accuracy" in capsys.readouterr().out
