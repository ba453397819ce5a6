"""The paper's Figures 2 and 3 at its own size, for a GPU; FID in the paper's 192 features of Inception.

Learning rate, batch size and dropout are the defaults of the paper's code, which averages no weights.
"""

from __future__ import annotations

from experiments import Experiment
from measures.epochs import epoch_by_epoch

EXPERIMENT = Experiment(
    measure=epoch_by_epoch,
    cells={
        conditioner: {
            "conditioner": conditioner,
            "n_layers": 5,
            "n_filters": 120,
            "n_mixtures": 10,
            "data": "cpen455",
            "size": 32,
            "max_epochs": 250,
            "quality_every": 25,
            "features": "inception",
            "batch_size": 64,
            "lr": 2e-4,
            "dropout": 0.5,
            "net_params": {"ema_decay": 0.0},
        }
        for conditioner in ("mild", "strong")
    },
    seeds=1,
)
