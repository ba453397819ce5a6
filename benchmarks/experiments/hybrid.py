"""Maximum likelihood beside the hybrid objective, on the digits. CPU: a quarter of a core-hour."""

from __future__ import annotations

from typing import Any

from experiments import Experiment
from gencls import Hybrid, Stage
from measures.stages import in_stages
from tables import Table, parts

PARAMS: dict[str, Any] = {"data": "digits", "n_filters": 16, "batch_size": 64}
WEIGHTED, CONTRASTED = (Hybrid(weight=0.05, temperature=1.0, n_contrasted=m) for m in (None, 3))

EXPERIMENT = Experiment(
    measure=in_stages,
    cells={
        "maximum likelihood, 6 epochs": {"stages": [Stage(6, lr=5e-3)], **PARAMS},
        "maximum likelihood, 8 epochs": {"stages": [Stage(8, lr=5e-3)], **PARAMS},
        "6 epochs, then 2 with λ = 0.05": {
            "stages": [Stage(6, lr=5e-3), Stage(2, lr=2e-3, objective=WEIGHTED)],
            **PARAMS,
        },
        "λ = 0.05 from the start, 6 epochs": {"stages": [Stage(6, lr=5e-3, objective=WEIGHTED)], **PARAMS},
        "the same, 3 of 10 classes": {"stages": [Stage(6, lr=5e-3, objective=CONTRASTED)], **PARAMS},
    },
    reports={
        "hybrid-table.md": Table(
            labels={"cell": "training", "stage": "after"},
            columns=("accuracy", "log_loss", "log_loss_calibrated", "bits_per_dim"),
            rows=parts("stages"),
        )
    },
)
