"""Several seeds and sizes of the best classifiers together, by the mean of their joint log-probabilities.

Seconds, on the machine that keeps the models of `classifiers`.
"""

from __future__ import annotations

from experiments import Experiment
from measures.stages import together
from records import Row
from tables import OF_CLASSES, Table, part_of

SIZES = {"16×16": ["16×16"], "24×24": ["24×24"], "32×32": ["32×32"]}
SEVERAL = {"16×16 + 24×24": ["16×16", "24×24"], "16×16 + 24×24 + 32×32": ["16×16", "24×24", "32×32"]}


def of_crops(records: list[Row]) -> list[Row]:
    """A row over whole images, and one over six crops."""
    rows = []
    for record in records:
        rows.append(part_of(record, {"images": "whole"}))
        rows.append(part_of(record, {"images": "six crops", **record["six_crops"]}))
    return rows


EXPERIMENT = Experiment(
    measure=together,
    cells={
        f"{name}, {seeds} seeds": {"experiment": "classifiers", "members": members, "seeds": seeds}
        for seeds in (3, 5)
        for name, members in (SIZES | SEVERAL).items()
        if seeds == 3 or name == "16×16"
    },
    seeds=1,
    reports={
        "ensembles-table.md": Table(
            labels={"cell": "models", "images": "images"},
            columns=("n_models", *OF_CLASSES, "temperature"),
            rows=of_crops,
        )
    },
)
