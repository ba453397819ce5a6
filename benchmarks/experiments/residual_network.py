"""A small discriminative residual network on CPEN455, for labels only. CPU: two core-hours."""

from __future__ import annotations

from baselines.residual_network import residual_network
from experiments import Experiment
from tables import OF_CLASSES, Table

EXPERIMENT = Experiment(
    measure=residual_network,
    cells={f"{size}×{size}": {"data": "cpen455", "size": size, "epochs": 30} for size in (16, 32)},
    reports={
        "residual-network-table.md": Table(
            labels={"cell": "images"},
            columns=(*OF_CLASSES, "n_parameters", "fit_core_minutes"),
        )
    },
)
