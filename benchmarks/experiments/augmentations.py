"""The effect of crops and shifts on maximum likelihood, on CPEN455 at 8×8. CPU: six minutes of a core."""

from __future__ import annotations

from experiments import Experiment
from experiments.classifiers import CROPS, PARAMS
from gencls import Flip, Shift, Stage
from measures.stages import in_stages
from tables import OF_CLASSES, Table, parts

COMMON = {**PARAMS, "resolution": 8}

EXPERIMENT = Experiment(
    measure=in_stages,
    cells={
        "flips": {**COMMON, "stages": [Stage(8, lr=2e-3)]},
        "flips and crops": {**COMMON, "stages": [Stage(8, lr=2e-3, augmentation=CROPS)]},
        "flips and shifts": {**COMMON, "augmentation": [Flip(), Shift(2)], "stages": [Stage(8, lr=2e-3)]},
    },
    seeds=1,
    reports={
        "augmentations-table.md": Table(
            labels={"cell": "augmentation"},
            columns=(*OF_CLASSES, "bits_per_dim", "fit_core_minutes"),
            rows=parts("stages"),
        )
    },
)
