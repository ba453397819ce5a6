"""What each default is worth: first fits with one setting that differs. CPU: a core-hour a seed."""

from __future__ import annotations

from typing import Any

from experiments import Experiment
from experiments.first_fits import SETS
from gencls import Flip
from gencls.conditioners.low_rank import LowRank
from measures.first_fits import defaults
from records import Row
from tables import Table

CHOSEN = ("1,347 digits", "300 photographs")
EPOCHS = {"1,347 digits": 18, "300 photographs": 80}  # those of the defaults

COMMON: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "`conditioner`: low-rank in all stages": {"conditioner": LowRank(first_stage=0)},
    "`conditioner`: mild": {"conditioner": "mild"},
    "`objective`: the likelihood": {"objective": "likelihood"},
    "`objective`: hybrid from the start": {"objective": "hybrid"},
    "`lr`: 0.001": {"lr": 1e-3},
    "`dropout`: 0": {"dropout": 0.0},
    "`n_filters`: 24": {"n_filters": 24},
    "`temperature`: 1": {"temperature": 1.0},
}
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "1,347 digits": {
        "`augmentation`: flips": {"augmentation": "flip"},
        "`augmentation`: shifts": {"augmentation": "shift"},
        "`batch_size`: 64": {"batch_size": 64},
    },
    "300 photographs": {
        "`augmentation`: none": {"augmentation": None},
        "`augmentation`: flips, without crops": {"augmentation": [Flip()]},
        "`resolution`: 16": {"resolution": 16},
        "`views`: the whole image": {"views": None},
        "`batch_size`: 32": {"batch_size": 32},
    },
}


def cells() -> dict[str, dict[str, Any]]:
    """The defaults and each variant, on each data set."""
    found = {}
    for title in CHOSEN:
        epochs = {
            f"`max_epochs`: {words}": {"max_epochs": round(factor * EPOCHS[title])}
            for words, factor in {"half": 0.5, "twice": 2}.items()
        }
        for name, params in {**COMMON, **OWN[title], **epochs}.items():
            found[f"{title}, {name}"] = {**SETS[title], **params}
    return found


def titled(records: list[Row]) -> list[Row]:
    """The records with the titles of their data sets and variants."""
    rows = []
    for record in records:
        title, variant = record["cell"].split(", ", 1)
        rows.append(record | {"set": title, "variant": variant})
    return rows


EXPERIMENT = Experiment(
    measure=defaults,
    cells=cells(),
    seeds=3,
    reports={
        "defaults-table.md": Table(
            text="**{set}**, {n_held_out:,} held-out images:",
            labels={"variant": "setting"},
            columns=("accuracy", "log_loss", "ece", "bits_per_dim", "fit_core_seconds"),
            section="set",
            rows=titled,
        )
    },
)
