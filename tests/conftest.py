from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from sklearn.datasets import load_digits

from gencls.augmentations import AUGMENTATIONS
from gencls.conditioners import CONDITIONERS
from gencls.objectives import OBJECTIVES
from gencls.training import GenerativeNet

EXTRAS = all(find_spec(package) for package in ("matplotlib", "torchmetrics"))
BENCHMARKS = ["test_baselines.py", "test_benchmarks.py", "test_benchmark_stages.py", "test_first_fits.py"]
collect_ignore = [] if EXTRAS else BENCHMARKS

settings.register_profile("gencls", derandomize=True, max_examples=50, deadline=None)
settings.load_profile("gencls")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Tiny networks are faster in one thread."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded():
    """Every test draws the same random numbers, in whatever order and process it runs."""
    torch.manual_seed(0)


@pytest.fixture
def own_conditioners(monkeypatch):
    """A conditioner that a test registers is gone after it."""
    monkeypatch.setattr(CONDITIONERS, "_registered", {})


@pytest.fixture
def own_plugins(monkeypatch):
    """A plug-in of any kind that a test registers is gone after it."""
    for registry in (AUGMENTATIONS, CONDITIONERS, OBJECTIVES):
        monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def a_quarter_of_the_digits(monkeypatch):
    """Pages and examples run as they are, in less time."""

    def fewer(**options):
        return tuple(values[::4] for values in load_digits(**options))

    monkeypatch.setattr("sklearn.datasets.load_digits", fewer)


@pytest.fixture
def small_cpen455(tmp_path):
    """A folder with a few images of noise in the form of the CPEN455 data."""
    rng = np.random.default_rng(0)
    for subset, labels in (("train", range(4)), ("validation", range(4)), ("test", [-1])):
        (tmp_path / subset).mkdir()
        rows = []
        for number, label in enumerate(labels):
            name = f"{subset}/{number:07}.jpg"
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / name)
            rows.append(f"{name},{label}\n")
        (tmp_path / f"{subset}.csv").write_text("".join(rows))
    return tmp_path


@pytest.fixture
def photographs(monkeypatch):
    """Dark and light images with a little noise, 6×6, in place of CPEN455 in the benchmarks."""
    import splits

    rng = np.random.default_rng(0)

    def make(n_images):
        labels = np.arange(n_images) % 2
        X = rng.integers(0, 64, (n_images, 6, 6, 3)) + 128 * labels[:, None, None, None]
        return X.astype(np.uint8), np.array(["dark", "light"])[labels]

    split = splits.Split(*make(24), *make(24))
    monkeypatch.setitem(splits.LOADERS, "cpen455", lambda: split)
    return split


@pytest.fixture
def plans(monkeypatch):
    """The plans of all trainings of a test."""
    seen, learn = [], GenerativeNet.learn

    def watched(net, data, plan):
        seen.append(plan)
        return learn(net, data, plan)

    monkeypatch.setattr(GenerativeNet, "learn", watched)
    return seen
