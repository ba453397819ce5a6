"""The paper's Figure 1 at its own size, for a GPU.

Learning rate, batch size and dropout are the defaults of the paper's code, which averages no weights.
"""

from __future__ import annotations

from experiments import Experiment
from experiments.figure_1 import cells
from measures.fits import fit

EXPERIMENT = Experiment(
    measure=fit,
    cells=cells(
        conditioner="mild",
        data="cpen455",
        size=32,
        max_epochs=100,
        batch_size=64,
        lr=2e-4,
        dropout=0.5,
        net_params={"ema_decay": 0.0},
    ),
    seeds=1,
)
