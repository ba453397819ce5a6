"""The time saved by the early exit, with the pretrained models. CPU: five minutes, without other load."""

from __future__ import annotations

from typing import Any

from experiments import Experiment
from measures.early_exit import early_exit
from records import Row
from tables import Table, part_of, parts

COMMON: dict[str, Any] = {"margins": [3, 5, 7, 10, 20], "repeats": 5}


def by_margin(records: list[Row]) -> list[Row]:
    """A row for each margin."""
    words = "{n_held_out} of {data}, K = {n_classes}, `{conditioner}`"
    return parts("margins")([record | {"images": words.format(**record)} for record in records])


def certain(records: list[Row]) -> list[Row]:
    """A row of the pairs that could be dropped exactly."""
    return [part_of(record, record["droppable"]) for record in records]


EXPERIMENT = Experiment(
    measure=early_exit,
    cells={
        "digits": {"data": "digits", "model": "digits", **COMMON},
        "CPEN455": {"data": "cpen455", "model": "cpen455", **COMMON},
    },
    seeds=1,
    reports={
        "early-exit-table.md": Table(
            text="On one CPU core, the best of {repeats} runs, torch {torch}. Changed are predictions that "
            "differ from the exact ones; accuracy is that of all.",
            labels={"images": "images", "margin": "margin, nats"},
            columns=("changed", "accuracy", "milliseconds", "times_faster"),
            rows=by_margin,
        ),
        "early-exit-exact-table.md": Table(
            text="Share of all pairs of an image and a class whose score of the upper rows is already below "
            "the whole one of a different class, so that dropping them changes no prediction.",
            labels={"cell": "images"},
            columns=("half", "three_quarters", "all_but_one"),
            rows=certain,
        ),
    },
)
