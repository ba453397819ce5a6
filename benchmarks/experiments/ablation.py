"""What each part of the recipe of the best classifiers brings: short trainings without it, and with it only.

CPU: six core-hours.
"""

from __future__ import annotations

from typing import Any

from experiments import Experiment
from experiments.classifiers import PARAMS, hybrid
from resumable import Hybrid, Stage, in_stages
from tables import OF_CLASSES, Table, parts

LIKELIHOOD = Stage(4, lr=2e-3)
STAGES = [LIKELIHOOD, hybrid(1, temperature=8.0)]
ALL = {**PARAMS, "stages": STAGES}
NO_CROPS = {"stages": [LIKELIHOOD, Stage(1, lr=7e-4, objective=Hybrid(weight=1.0, temperature=8.0))]}
BARE: dict[str, Any] = {**PARAMS, "conditioner": "mild", "flip": False, "ema_decay": 0.0, "dropout": 0.0}
LIKELIHOOD_ONLY = {**BARE, "stages": [LIKELIHOOD]}

EXPERIMENT = Experiment(
    measure=in_stages,
    cells={
        "all together": ALL,
        "`low-rank` in all stages": ALL | {"conditioner": "low-rank"},
        "`mild`": ALL | {"conditioner": "mild"},
        "no flips": ALL | {"flip": False},
        "no crops": ALL | NO_CROPS,
        "no averaged weights": ALL | {"ema_decay": 0.0},
        "no dropout": ALL | {"dropout": 0.0},
        "64 levels instead of 256": ALL | {"n_levels": 64, "pixel_range": (0, 255)},
        "8×8 images": ALL | {"size": 8, "stages": [LIKELIHOOD, hybrid(1, temperature=2.0)]},
        "32×32 images": ALL | {"size": 32, "stages": [LIKELIHOOD, hybrid(1, temperature=32.0)]},
        "hybrid with λ = 0.1, τ = 1": ALL
        | {"stages": [LIKELIHOOD, Stage(1, 7e-4, Hybrid(0.1, 1.0), STAGES[1].augmentation)]},
        "none of it": {**BARE, **NO_CROPS},
        "`low-rank` only": LIKELIHOOD_ONLY | {"conditioner": PARAMS["conditioner"]},
        "flips only": LIKELIHOOD_ONLY | {"flip": True},
        "averaged weights only": LIKELIHOOD_ONLY | {"ema_decay": PARAMS["ema_decay"]},
        "dropout only": LIKELIHOOD_ONLY | {"dropout": PARAMS["dropout"]},
    },
    reports={
        "ablation-table.md": Table(
            labels={"cell": "model", "stage": "after"},
            columns=(
                *(*OF_CLASSES, "bits_per_dim"),
                "fit_core_minutes",
            ),
            rows=parts("stages"),
        )
    },
)
