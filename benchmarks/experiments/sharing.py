"""The cost of scoring K classes at once, for every conditioner. CPU: five minutes, without other load."""

from __future__ import annotations

from experiments import Experiment
from experiments.conditioners import CONDITIONERS
from measures.sharing import sharing
from tables import Table

CLASSES = (4, 10, 100)

EXPERIMENT = Experiment(
    measure=sharing,
    cells={
        f"`{conditioner}`": {
            "conditioner": conditioner,
            "classes": CLASSES,
            "image_shape": (3, 8, 8),
            "n_filters": 32,
            "pairs": 2560,
            "repeats": 3,
        }
        for conditioner in CONDITIONERS.values()
    },
    seeds=1,
    reports={
        "sharing-table.md": Table(
            text="Milliseconds for an image on one CPU core, and their share of the time of K passes for one "
            "class each: images of 8×8 pixels in colour, n_filters={n_filters}, {pairs} pairs of an image "
            "and a class, the best of {repeats} runs, torch {torch}.",
            labels={"cell": "conditioner"},
            columns=[f"{kind}_{n}" for n in CLASSES for kind in ("milliseconds", "share")],
            titles={
                f"{kind}_{n}": f"{title}K = {n}"
                for n in CLASSES
                for kind, title in {"milliseconds": "ms, ", "share": "share, "}.items()
            },
        )
    },
)
