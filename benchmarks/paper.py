"""The results of the paper (Biswas), read off its figures, as rows beside ours."""

from __future__ import annotations

from records import Row
from tables import parts

# Figure 1: validation bits/dim of the mild model after 100 epochs. The other two parameters are not stated;
# the values for the smallest of each (3.84, 3.86, 3.69) are not those of one model.
FIGURE_1 = {
    "n_layers": {1: 3.84, 2: 3.74, 4: 3.66},
    "n_filters": {40: 3.86, 60: 3.72, 80: 3.54},
    "n_mixtures": {5: 3.69, 10: 4.10, 15: 4.20},
}
SMALLEST = {name: min(values) for name, values in FIGURE_1.items()}

# Figures 2 and 3: on the validation images, FID with 192 features of Inception.
EPOCHS = (100, 200, 225, 250)
FIGURES_2_3 = {
    "mild": {
        "bits_per_dim": (3.42, 3.11, 3.10, 3.08),
        "fid": (25.2, 32.0, 29.5, 31.3),
        "accuracy": (0.826, 0.838, 0.857, 0.855),
    },
    "strong": {
        "bits_per_dim": (3.56, 3.22, 3.09, 3.04),
        "fid": (22.9, 23.5, 33.4, 33.1),
        "accuracy": (0.784, 0.653, 0.791, 0.751),
    },
}


def own_panels(records: list[Row]) -> list[Row]:
    """Our points of the three panels of Figure 1; the smallest model is in all of them."""
    return [
        record | point(name, value) | {"paper": FIGURE_1[name][value]}
        for name, values in FIGURE_1.items()
        for value in values
        for record in records
        if (SMALLEST | {name: value}).items() <= record.items()
    ]


def paper_panels() -> list[Row]:
    """The paper's points of Figure 1."""
    return [
        {"conditioner": "mild", "bits_per_dim": bits} | point(name, value)
        for name, values in FIGURE_1.items()
        for value, bits in values.items()
    ]


def point(name: str, value: int) -> Row:
    """The place of a point in its panel."""
    panel = name.removeprefix("n_")
    return {"panel": panel, "value": value, panel: value, "step": value}


def epoch_rows(records: list[Row]) -> list[Row]:
    """Our points of Figures 2 and 3."""
    return [row | {"step": row["epoch"]} for row in parts("epochs")(records)]


def paper_epochs() -> list[Row]:
    """The paper's."""
    return [
        {"conditioner": name, "epoch": epoch, "step": epoch}
        | {key: values[position] for key, values in figures.items()}
        for name, figures in FIGURES_2_3.items()
        for position, epoch in enumerate(EPOCHS)
    ]
