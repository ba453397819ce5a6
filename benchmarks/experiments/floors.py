"""The least time of training and scoring on this machine. CPU: a minute, without other load."""

from __future__ import annotations

from experiments import Experiment
from measures.floors import floors
from tables import Table, parts

SIZES = ((1, 40, 5), (5, 120, 10))

EXPERIMENT = Experiment(
    measure=floors,
    cells={
        str(size): {"threads": 2, **dict(zip(("n_layers", "n_filters", "n_mixtures"), size, strict=True))}
        for size in SIZES
    },
    seeds=1,
    reports={
        "floors-table.md": Table(
            text="{threads} threads of a CPU with {instructions} do {products} matrix products, "
            "and copy {gigabytes_a_second:.0f} GB/s, read and written (torch {torch}). Images of 32×32 "
            "pixels, in colour, in batches of 16; the last two figures are the images a second that the "
            "operations and the bytes would allow.",
            labels={"cell": "network", "work": "work", "precision": "precision"},
            columns=("gflop", "megabytes", "by_operations", "by_bytes"),
            rows=parts("work"),
        )
    },
)
