"""The paper's Figures 2 and 3: mild and strong, measured after every epoch. CPU: an hour."""

from __future__ import annotations

from experiments import Experiment
from measures.epochs import epoch_by_epoch
from paper import epoch_rows, paper_epochs
from plots import Curves
from tables import Table

NETWORK = "{n_layers}/{n_filters}/{n_mixtures}"
TEXT = f"Images of {{size}}×{{size}}, a network of {NETWORK}, {{n_held_out}} validation images."
FID = (
    "FID in 128 features of a residual network that was trained to classify the same training images, "
    "between the validation images and as many generated ones of the same classes; training images in their "
    "place have {fid_of_training_images:.3g} (dashed)."
)
LABELS = {"conditioner": "conditioner", "epoch": "epoch"}


def curves(*pairs: tuple[str, str], level: str | None = None) -> Curves:
    """A panel for each pair, ours above the paper's."""
    return Curves(
        pairs,
        line="conditioner",
        title=f"ours: {{size}}×{{size}}, {NETWORK}",
        rows=epoch_rows,
        paper=paper_epochs(),
        paper_title="the paper's: 32×32, 5/120/10",
        level=level,
    )


EXPERIMENT = Experiment(
    measure=epoch_by_epoch,
    cells={
        conditioner: {
            "conditioner": conditioner,
            "n_layers": 1,
            "n_filters": 40,
            "n_mixtures": 5,
            "data": "cpen455",
            "size": 16,
            "max_epochs": 10,
            "quality_every": 1,
            "features": "residual",
            "batch_size": 16,
            "lr": 2e-3,
        }
        for conditioner in ("mild", "strong")
    },
    seeds=1,
    reports={
        "figures/fig2.md": Table(
            LABELS, ("bits_per_dim", "train_bits_per_dim", "fid"), text=f"{TEXT} {FID}", rows=epoch_rows
        ),
        "figures/fig3.md": Table(LABELS, ("accuracy", "log_loss"), text=TEXT, rows=epoch_rows),
        "images/fig2.png": curves(
            ("epoch", "fid"),
            ("epoch", "bits_per_dim"),
            ("bits_per_dim", "fid"),
            level="fid_of_training_images",
        ),
        "images/fig3.png": curves(("epoch", "accuracy"), ("fid", "accuracy"), ("bits_per_dim", "accuracy")),
    },
)
