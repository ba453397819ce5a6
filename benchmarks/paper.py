"""What the paper (Biswas) reports, read off its figures, and the two scales at which we repeat it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Figure 1: validation bits/dim of the mild model after 100 epochs. What the other two parameters were is not
# said; the values for the smallest of each (3.84, 3.86, 3.69) are not those of one model.
FIGURE_1 = {
    "n_layers": {1: 3.84, 2: 3.74, 4: 3.66},
    "n_filters": {40: 3.86, 60: 3.72, 80: 3.54},
    "n_mixtures": {5: 3.69, 10: 4.10, 15: 4.20},
}

# Figures 2 and 3: on the validation images, FID with 192 features of Inception.
EPOCHS = (100, 200, 225, 250)
N_HELD_OUT = 519
RUNS = {
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


def rows() -> list[dict[str, Any]]:
    """Figures 2 and 3 in the form of our own results."""
    return [
        {"conditioner": name, "epoch": epoch, "n_held_out": N_HELD_OUT}
        | {key: values[position] for key, values in figures.items()}
        for name, figures in RUNS.items()
        for position, epoch in enumerate(EPOCHS)
    ]


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Parameters
    ----------
    size : int
        Rows and columns of the images.
    grid_epochs : int
        Of each model of Figure 1.
    epochs : int
        Of the models of Figures 2 and 3.
    quality_every : int
        Epochs from one look at sample quality to the next.
    training : dict
        Parameters of the estimator that all models share.
    network : dict
        The size of the models of Figures 2 and 3.
    """

    size: int
    grid_epochs: int
    epochs: int
    quality_every: int
    training: dict[str, Any]
    network: dict[str, Any]


SCALES = {
    "cpu": Scale(
        size=16,
        grid_epochs=2,
        epochs=10,
        quality_every=1,
        training={"batch_size": 16, "lr": 2e-3, "compile": True},
        network={"n_layers": 1, "n_filters": 40, "n_mixtures": 5},
    ),
    # The learning rate, the batch size and the dropout are the defaults of the paper's code; the paper itself
    # gives none. It averages no weights.
    "paper": Scale(
        size=32,
        grid_epochs=100,
        epochs=250,
        quality_every=25,
        training={"batch_size": 64, "lr": 2e-4, "dropout": 0.5, "ema_decay": 0.0},
        network={"n_layers": 5, "n_filters": 120, "n_mixtures": 10},
    ),
}
