from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gencls.conditioners import CONDITIONERS
from gencls.training import GenerativeNet


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
def plans(monkeypatch):
    """The plans of all trainings of a test."""
    seen, learn = [], GenerativeNet.learn

    def watched(net, data, plan):
        seen.append(plan)
        return learn(net, data, plan)

    monkeypatch.setattr(GenerativeNet, "learn", watched)
    return seen
