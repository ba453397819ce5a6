"""Which conditioner classifies best: all of them on two data sets, with equal training time.

CPU: twenty minutes of a core.
"""

from __future__ import annotations

from typing import Any

from experiments import Experiment
from gencls import list_conditioners
from gencls.conditioners.low_rank import LowRank
from measures.fits import fit_for_a_time
from plots import Dots
from records import Row
from tables import Table

DIGITS: dict[str, Any] = {"data": "digits", "seconds": 30, "n_filters": 24, "lr": 3e-3, "batch_size": 32}
CPEN455: dict[str, Any] = {
    "data": "cpen455",
    "size": 8,
    "flipped_copies": True,
    "seconds": 60,
    "n_filters": 40,
    "lr": 2e-3,
    "batch_size": 16,
}
# As measured, in all stages of the network.
CONDITIONERS = {name: LowRank(first_stage=0) if name == "low-rank" else name for name in list_conditioners()}
TITLES = {"digits": "scikit-learn's digits at 8×8", "cpen455": "CPEN455 at 8×8"}


def titled(records: list[Row]) -> list[Row]:
    """The records with the titles of their sections."""
    return [
        record | {"title": TITLES[record["data"]], "name": f"`{record['conditioner']}`"} for record in records
    ]


EXPERIMENT = Experiment(
    measure=fit_for_a_time,
    cells={
        f"{settings['data']}, {name}": {"conditioner": conditioner, **settings}
        for settings in (DIGITS, CPEN455)
        for name, conditioner in CONDITIONERS.items()
    },
    seeds=1,
    reports={
        "zoo-table.md": Table(
            text="**{title}.** Each fit had {seconds:g} core-seconds of training, with "
            "n_filters={n_filters}, lr={lr}, batch_size={batch_size}, and was scored on {n_held_out} "
            "held-out images (torch {torch}).",
            labels={"name": "conditioner"},
            columns=(
                *("accuracy", "log_loss", "bits_per_dim", "n_parameters", "n_parameters_conditioner"),
                *("epochs_trained", "fit_core_seconds", "score_core_seconds"),
            ),
            section="title",
            best_first=True,
            rows=titled,
        ),
        "images/zoo.png": Dots(
            label="conditioner",
            panels={
                "error rate": lambda record: 1 - record["accuracy"],
                "log-loss, nats": lambda record: float(record["log_loss"]),
            },
            section="data",
            hidden=("unconditional",),
        ),
    },
)
