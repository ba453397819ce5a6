"""First fits: the defaults of gencls beside common classifiers, on six data sets of real images.

The environment variables GENCLS_MNIST and GENCLS_CIFAR10 name the folders of these data sets.
CPU: three core-hours, and the fits of gencls.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from baselines.residual_network import BATCH_SIZE
from baselines.scikit_learn import MODELS
from comparison import behind, best_size
from experiments import Experiment
from measures.first_fits import first_fit
from records import Row
from tables import CrossTable, Inserted, Table

SETS: dict[str, dict[str, Any]] = {
    "1,347 digits": {"data": "digits"},
    "300 photographs": {"data": "cpen455", "n_train": 300},
    "3,000 photographs": {"data": "cpen455", "n_train": 3000},
    "1,000 of MNIST": {"data": "mnist", "n_train": 1000},
    "10,000 of MNIST": {"data": "mnist", "n_train": 10000},
    "5,000 of CIFAR-10": {"data": "cifar10", "n_train": 5000},
}
PIXELS = {"digits": (8,), "cpen455": (8, 16), "mnist": (14, 28), "cifar10": (8, 16)}  # of scikit-learn
NETWORK = {"digits": (8,), "cpen455": (8, 32), "mnist": (14, 28), "cifar10": (8, 32)}  # gencls' size first


def network(data: str, n_train: int = 1347) -> dict[str, Any]:
    """30 epochs, but at least 600 and at most 2,400 steps; digits are not flipped."""
    steps = math.ceil(n_train / BATCH_SIZE)  # of an epoch
    epochs = math.ceil(min(max(30, 600 / steps), 2400 / steps))
    flipped = 0.5 if data in ("cpen455", "cifar10") else 0.0
    return {"epochs": epochs, "flipped": flipped, "precision": "bfloat16"}


def cells() -> dict[str, dict[str, Any]]:
    """Gencls, residual networks and the classifiers of scikit-learn on each data set."""
    found: dict[str, dict[str, Any]] = {}
    for title, data in SETS.items():
        found[f"{title}, gencls"] = {"model": "gencls", **data}
        for size in NETWORK[data["data"]]:
            settings = {"model": "residual network", "size": size, **network(**data)}
            found[f"{title}, residual network, {size}×{size}"] = {**settings, **data}
        for model in MODELS:
            for size in PIXELS[data["data"]]:
                found[f"{title}, {model}, {size}×{size}"] = {"model": model, "size": size, **data}
    return found


def titled(records: list[Row]) -> list[Row]:
    """The records with the titles of their data sets, contestants and images."""
    rows = []
    for record in records:
        (title, contestant), size = record["cell"].split(", ")[:2], record["size"]
        if contestant == "residual network" and size != NETWORK[record["data"]][0]:
            contestant += ", larger images"
        rows.append(record | {"set": title, "contestant": contestant, "images": f"{size}×{size}"})
    return rows


def at_best_size(records: list[Row]) -> list[Row]:
    """Each contestant at the size at which it is most accurate."""
    return best_size(titled(records))


of_pairs = partial(CrossTable, "contestant", "set", title="model", rows=at_best_size)

EXPERIMENT = Experiment(
    measure=first_fit,
    cells=cells(),
    reports={
        "first-fits-table.md": of_pairs("accuracy", best=max, below=behind),
        "first-fits-log-loss-table.md": of_pairs("log_loss", best=min),
        "first-fits-times-table.md": of_pairs("fit_core_seconds"),
        "first-fits-details-table.md": Table(
            text="**{set}**, {n_held_out:,} held-out images:",
            labels={"contestant": "model", "images": "images"},
            columns=(
                *("accuracy", "log_loss", "ece", "bits_per_dim", "epochs_trained"),
                *("fit_core_seconds", "score_core_seconds"),
            ),
            section="set",
            best_first=True,
            rows=titled,
        ),
        "../README.md": Inserted(
            of_pairs("accuracy", best=max, with_error=False, below=behind), "first fits"
        ),
    },
)
