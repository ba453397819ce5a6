"""How figures move over the epochs, for several seeds: what fig2.py and fig3.py have in common."""

from __future__ import annotations

import argparse
import math
from typing import Any

import paper
import paper_runs
from figures import Panel, draw, suffix, write_csv, write_nothing, write_page
from paper import SCALES
from records import Row
from zoo_report import summary

STYLES = {
    "accuracy": ".4f",
    "log_loss": ".3f",
    "bits_per_dim": ".4f",
    "train_bits_per_dim": ".4f",
    "fid": ".3g",
}
NAMES = {"epoch": "epoch", "accuracy": "validation accuracy", "bits_per_dim": "validation bits/dim"}
FEATURES = {
    "inception": "192 features of Inception",
    "residual": "128 features of a residual network that was trained to classify the same training images",
}
FID_LABELS = {"inception": "FID, Inception (192)", "residual": "FID, residual network (128)"}


def make(name: str, pairs: list[tuple[str, str]], columns: list[str], args: argparse.Namespace) -> None:
    """Complete the trainings, and write one figure as picture, CSV and page.

    Parameters
    ----------
    name : str
        Of the files.
    pairs : list of (str, str)
        What stands on the axes of each panel.
    columns : list of str
        What stands in the table, apart from conditioner and epoch.
    args : Namespace
        From `paper_runs.parse`.
    """
    rows = paper_runs.complete(paper_runs.plan(args), args)
    name += suffix(args.scale)
    if not rows:
        write_nothing(args.docs / f"figures/{name}.md")
        return
    scale = SCALES[args.scale]
    network = "/".join(map(str, scale.network.values()))
    title = f"ours: {scale.size}×{scale.size}, {network}, {rows[0]['epochs']} epochs"
    drawn = {
        title: panels(rows, pairs, FID_LABELS[args.features]),
        "the paper's: 32×32, 5/120/10": panels(paper.rows(), pairs, FID_LABELS["inception"]),
    }
    draw(drawn, args.docs / f"images/{name}.png")
    table = tabulate(rows, columns)
    write_csv(table, args.docs / f"figures/{name}.csv")
    picture = f"![{'; '.join(f'{y} over {x}' for x, y in pairs)}](images/{name}.png)".replace("_", " ")
    write_page(in_words(rows, "fid" in columns), table, args.docs / f"figures/{name}.md", picture)


def panels(rows: list[Row], pairs: list[tuple[str, str]], fid: str) -> list[Panel]:
    """A panel for each pair, with a line for each conditioner."""
    names = NAMES | {"fid": fid}
    return [
        Panel(
            names[x],
            names[y],
            {name: curve(rows, name, x, y) for name in dict.fromkeys(row["conditioner"] for row in rows)},
            level=rows[0].get("fid_of_training_images") if y == "fid" else None,
        )
        for x, y in pairs
    ]


def curve(rows: list[Row], conditioner: str, x: str, y: str) -> dict[float, tuple[float, float]]:
    """From x to y with its standard error, along the epochs at which both were measured."""
    return {
        (epoch if x == "epoch" else mean_and_error(fits, x)[0]): mean_and_error(fits, y)
        for epoch, fits in by_epoch(rows, conditioner).items()
        if all(x in fit and y in fit for fit in fits)
    }


def by_epoch(rows: list[Row], conditioner: str) -> dict[int, list[Row]]:
    """The rows of all seeds for each epoch."""
    found: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["epoch"]):
        if row["conditioner"] == conditioner:
            found.setdefault(row["epoch"], []).append(row)
    return found


def mean_and_error(fits: list[Row], key: str) -> tuple[float, float]:
    """Mean and standard error over the seeds; of one seed the binomial error of its accuracy, else 0."""
    mean, error = summary(fits, key)
    if len(fits) > 1:
        return mean, error
    return mean, math.sqrt(mean * (1 - mean) / fits[0]["n_held_out"]) if key == "accuracy" else 0.0


def tabulate(rows: list[Row], columns: list[str]) -> list[dict[str, Any]]:
    """A row for each conditioner and epoch; what was not measured there stays empty."""
    table = []
    for name in dict.fromkeys(row["conditioner"] for row in rows):
        for epoch, fits in by_epoch(rows, name).items():
            cells: dict[str, Any] = {"conditioner": name, "epoch": epoch}
            for column in columns:
                measured = all(column in fit for fit in fits)
                mean, error = mean_and_error(fits, column) if measured else (math.nan, 0.0)
                cells[column] = f"{mean:{STYLES[column]}}" if measured else ""
                cells[f"{column}_error"] = f"{error:{STYLES[column]}}" if error else ""
            table.append(cells)
    return table


def in_words(rows: list[Row], with_quality: bool) -> str:
    """What was measured, and how."""
    scale, first = SCALES[rows[0]["scale"]], rows[0]
    n_seeds = len({row["seed"] for row in rows})
    images = "all training images" if first["images"] is None else f"{first['images']} training images"
    text = (
        f"Images of {scale.size}×{scale.size}, a network of {'/'.join(map(str, scale.network.values()))}, "
        f"{first['epochs']} epochs on {images}, {n_seeds} {'seed' if n_seeds == 1 else 'seeds'}, "
        f"{first['n_held_out']} validation images."
    )
    if not with_quality:
        return text
    floor = next(row["fid_of_training_images"] for row in rows if "fid" in row)
    return (
        f"{text} FID in {FEATURES[first['features']]}, between the validation images and as many generated "
        f"ones of the same classes; training images in their place have {floor:.3g} (dashed)."
    )
