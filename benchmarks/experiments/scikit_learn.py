"""Classifiers of scikit-learn on the digits' pixels, for labels only. CPU: a minute."""

from __future__ import annotations

from baselines.scikit_learn import MODELS, scikit_learn
from experiments import Experiment
from tables import OF_CLASSES, Table

EXPERIMENT = Experiment(
    measure=scikit_learn,
    cells={model: {"data": "digits", "model": model} for model in MODELS},
    seeds=1,
    reports={
        "scikit-learn-table.md": Table(
            labels={"cell": "classifier"},
            columns=(*OF_CLASSES, "fit_core_seconds"),
            best_first=True,
        )
    },
)
