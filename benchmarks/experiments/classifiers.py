"""The best classifiers of CPEN455, at three sizes, each of which begins with the model of the size before.

CPU: ten core-hours for five seeds of 16×16, and four more for three of each larger size.
"""

from __future__ import annotations

from typing import Any

from experiments import Experiment
from gencls import Flip, Hybrid, RandomCrop, Stage
from gencls.augmentations import Augmentation
from gencls.conditioners.low_rank import LowRank
from measures.stages import in_stages
from records import Row
from tables import OF_CLASSES, Table, part_of

PARAMS: dict[str, Any] = {
    "conditioner": LowRank(),
    "n_filters": 40,
    "dropout": 0.1,
    "augmentation": Flip(),
    "batch_size": 16,
}
CROPS: list[Augmentation] = [Flip(), RandomCrop(smallest=0.8)]


def hybrid(epochs: int, temperature: float) -> Stage:
    """On crops; the distance of the classes, and so the temperature, grows with the number of pixels."""
    return Stage(epochs, lr=7e-4, objective=Hybrid(weight=1.0, temperature=temperature), augmentation=CROPS)


def milder(epochs: int, temperature: float) -> Stage:
    """With a fifth of the weight, on whole images."""
    return Stage(epochs, lr=4e-4, objective=Hybrid(weight=0.2, temperature=temperature))


def of_whole_images(records: list[Row]) -> list[Row]:
    """A row after each stage, over whole images."""
    return [row for row in of_stages(records) if row["images"] == "whole"]


def of_stages(records: list[Row]) -> list[Row]:
    """A row after each stage, over whole images and over six crops."""
    rows = []
    for record in records:
        for stage in record["stages"]:
            rows.append(part_of(record, {**stage, "images": "whole"}))
            if "six_crops" in stage:
                rows.append(
                    part_of(record, {"stage": stage["stage"], "images": "six crops", **stage["six_crops"]})
                )
    return rows


EXPERIMENT = Experiment(
    measure=in_stages,
    cells={
        "16×16": {
            "resolution": 16,
            "crops": True,
            **PARAMS,
            "stages": [Stage(80, lr=2e-3), hybrid(12, temperature=8.0), milder(4, temperature=8.0)],
        },
        "24×24": {
            "resolution": 24,
            "crops": True,
            "after": "16×16",
            **PARAMS,
            "stages": [hybrid(14, temperature=18.0), milder(2, temperature=18.0)],
        },
        "32×32": {
            "resolution": 32,
            "crops": True,
            "after": "24×24",
            **PARAMS,
            "stages": [hybrid(8, temperature=32.0)],
        },
        "32×32 from the start": {
            "resolution": 32,
            "crops": True,
            **PARAMS,
            "stages": [Stage(8, lr=2e-3), hybrid(4, temperature=32.0)],
        },
    },
    after={"24×24": "16×16", "32×32": "24×24"},
    reports={
        "classifiers-table.md": Table(
            labels={"cell": "model", "stage": "after", "images": "images"},
            columns=(*OF_CLASSES, "temperature", "bits_per_dim", "fit_core_minutes"),
            rows=of_stages,
        ),
        "temperatures-table.md": Table(
            labels={"cell": "model", "stage": "after"},
            columns=("temperature", *OF_CLASSES),
            rows=of_whole_images,
        ),
    },
)
