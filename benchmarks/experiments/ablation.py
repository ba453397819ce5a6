"""The effect of each part of the recipe of the best classifiers: short trainings without it, or only with it.

CPU: six core-hours.
"""

from __future__ import annotations

from typing import Any

from experiments import Experiment
from experiments.classifiers import CROPS, PARAMS
from gencls import Hybrid, Stage
from gencls.augmentations import Augmentation
from gencls.conditioners.low_rank import LowRank
from measures.stages import in_stages
from tables import OF_CLASSES, Table, parts

HYBRID = Hybrid(weight=1.0, temperature=8.0)

LIKELIHOOD = Stage(4, lr=2e-3)
NOTHING: dict[str, Any] = {"conditioner": "mild", "augmentation": None, "dropout": 0.0}
NO_AVERAGE = {"net_params": {"ema_decay": 0.0}}


def hybrid(objective: Hybrid = HYBRID, augmentation: list[Augmentation] | None = CROPS) -> list[Stage]:
    """Four epochs of maximum likelihood, then a hybrid one."""
    return [LIKELIHOOD, Stage(1, lr=7e-4, objective=objective, augmentation=augmentation)]


def with_all(**changes: Any) -> dict[str, Any]:
    """All parts of the recipe except for some changes."""
    return {**PARAMS, "resolution": 16, "stages": hybrid(), **changes}


def with_none(**changes: Any) -> dict[str, Any]:
    """None of the parts except for some changes."""
    return with_all(**NOTHING, **NO_AVERAGE, stages=[LIKELIHOOD]) | changes


EXPERIMENT = Experiment(
    measure=in_stages,
    cells={
        "all together": with_all(),
        "`low-rank` in all stages": with_all(conditioner=LowRank(first_stage=0)),
        "`mild`": with_all(conditioner="mild"),
        "no flips": with_all(augmentation=None, stages=hybrid(augmentation=CROPS[1:])),
        "no crops": with_all(stages=hybrid(augmentation=None)),
        "no averaged weights": with_all(**NO_AVERAGE),
        "no dropout": with_all(dropout=0.0),
        "64 levels instead of 256": with_all(n_levels=64, pixel_range=(0, 255)),
        "8×8 images": with_all(resolution=8, stages=hybrid(Hybrid(weight=1.0, temperature=2.0))),
        "32×32 images": with_all(resolution=32, stages=hybrid(Hybrid(weight=1.0, temperature=32.0))),
        "hybrid with λ = 0.1, τ = 1": with_all(stages=hybrid(Hybrid(weight=0.1, temperature=1.0))),
        "none of it": with_none(stages=hybrid(augmentation=None)),
        "`low-rank` only": with_none(conditioner=PARAMS["conditioner"]),
        "flips only": with_none(augmentation=PARAMS["augmentation"]),
        "averaged weights only": with_none(net_params=None),
        "dropout only": with_none(dropout=PARAMS["dropout"]),
    },
    reports={
        "ablation-table.md": Table(
            labels={"cell": "model", "stage": "after"},
            columns=(*OF_CLASSES, "bits_per_dim", "fit_core_minutes"),
            rows=parts("stages"),
        )
    },
)
