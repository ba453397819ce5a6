"""Time to accuracy on CPEN455: the recipes of gencls beside residual networks of different lengths.

CPU: the recipes `photographs` and `photographs-best` take hours for each seed, and all others together one.
"""

from __future__ import annotations

from typing import Any

from experiments import Experiment
from measures.recipes import recipe_or_network
from plots import Curves
from records import Row
from tables import Table, summary

UNIT = "residual network at 16×16, 30 epochs"  # its cost is 1 u
SHARES = {"photographs-fast": (0.25, 0.5, 1.0), "photographs": (1.0,), "photographs-best": (1.0,)}
EPOCHS = {16: (4, 8, 15, 30, 60), 32: (4, 8, 15, 30)}


def cells() -> dict[str, dict[str, Any]]:
    """Recipes with all or some of their epochs, and networks at two sizes."""
    found: dict[str, dict[str, Any]] = {}
    for recipe, shares in SHARES.items():
        for share in shares:
            name = f"`{recipe}`" if share == 1 else f"`{recipe}`, {share:.0%} of its epochs"
            found[name] = {"recipe": recipe, "share": share, "data": "cpen455"}
    for size, lengths in EPOCHS.items():
        for epochs in lengths:
            name = f"residual network at {size}×{size}, {epochs} epochs"
            found[name] = {"data": "cpen455", "size": size, "epochs": epochs, "precision": "bfloat16"}
    return found


def in_units(records: list[Row]) -> list[Row]:
    """The records with their cost in u, and the line of the picture to which they belong."""
    unit = summary([record for record in records if record["cell"] == UNIT], "fit_core_seconds").mean
    order = list(EXPERIMENT.cells)
    rows = []
    for record in records:
        name = record["cell"]
        line = "gencls, recipes" if "recipe" in record else name.split(",")[0]
        figures = {"cost": record["fit_core_seconds"] / unit, "line": line, "step": order.index(name)}
        rows.append(record | figures)
    return rows


EXPERIMENT = Experiment(
    measure=recipe_or_network,
    cells=cells(),
    reports={
        "recipes-table.md": Table(
            text="{n_held_out} validation images of CPEN455.",
            labels={"cell": "training"},
            columns=("accuracy", "log_loss", "ece", "bits_per_dim", "cost", "fit_core_seconds"),
            rows=in_units,
        ),
        "images/recipes.png": Curves(
            pairs=[("cost", "accuracy"), ("cost", "log_loss")],
            line="line",
            title="CPEN455, validation images",
            rows=in_units,
        ),
    },
)
