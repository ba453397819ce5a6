"""What crops and shifts do to maximum likelihood, on CPEN455 at 16×16. CPU: an hour and a half of a core."""

from __future__ import annotations

from experiments import Experiment
from experiments.classifiers import CROP, PARAMS
from resumable import Stage, in_stages
from tables import OF_CLASSES, Table, parts

EXPERIMENT = Experiment(
    measure=in_stages,
    cells={
        "flips": {**PARAMS, "stages": [Stage(8, lr=2e-3)]},
        "flips and crops": {**PARAMS, "stages": [Stage(8, lr=2e-3, augmentation=CROP)]},
        "flips and shifts": {**PARAMS, "shift": 2, "stages": [Stage(8, lr=2e-3)]},
    },
    reports={
        "augmentations-table.md": Table(
            labels={"cell": "augmentation"},
            columns=(*OF_CLASSES, "bits_per_dim", "fit_core_minutes"),
            rows=parts("stages"),
        )
    },
)
