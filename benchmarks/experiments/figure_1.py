"""The paper's Figure 1: bits per dimension over layers, filters and mixtures of the mild model.

CPU: an hour.
"""

from __future__ import annotations

from typing import Any

from experiments import Experiment
from measures.fits import fit
from paper import FIGURE_1, SMALLEST, own_panels, paper_panels
from plots import Curves
from tables import Table


def cells(**settings: Any) -> dict[str, dict[str, Any]]:
    """Each model once: the smallest is a point of all three panels."""
    models = [SMALLEST | {name: value} for name, values in FIGURE_1.items() for value in values]
    return {"/".join(map(str, model.values())): {**model, **settings} for model in models}


EXPERIMENT = Experiment(
    measure=fit,
    cells=cells(
        conditioner="mild",
        data="cpen455",
        size=16,
        max_epochs=2,
        batch_size=16,
        lr=2e-3,
    ),
    seeds=1,
    reports={
        "figures/fig1.md": Table(
            text="Images of {size}×{size}, {max_epochs} epochs, scored on {n_held_out} validation images. "
            "What is not varied is at layers 1, filters 40, mixtures 5.",
            labels={"panel": "parameter", "value": "value"},
            columns=("bits_per_dim", "paper"),
            rows=own_panels,
        ),
        "images/fig1.png": Curves(
            pairs=[(panel, "bits_per_dim") for panel in ("layers", "filters", "mixtures")],
            line="conditioner",
            title="ours: {size}×{size}, {max_epochs} epochs",
            rows=own_panels,
            paper=paper_panels(),
            paper_title="the paper's: 32×32, 100 epochs",
        ),
    },
)
