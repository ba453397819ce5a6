"""What all figures share: rows of panels, and tables as CSV and as Markdown."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paper import SCALES

ROOT = Path(__file__).parent.parent


@dataclass
class Panel:
    """One plot: a line with dots for each name, from x to y or to (y, standard error)."""

    xlabel: str
    ylabel: str
    lines: Mapping[str, Mapping[float, Any]] = field(default_factory=dict)
    level: float | None = None  # a horizontal line


def draw(rows: Mapping[str, Sequence[Panel]], path: Path) -> None:
    """Draw rows of panels, each row under its title."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    n_columns = max(map(len, rows.values()))
    figure = plt.figure(figsize=(3.4 * n_columns, 3.2 * len(rows)), layout="constrained")
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, (title, panels) in zip(parts, rows.items(), strict=True):
        part.suptitle(title, fontsize="medium")
        alike = len({panel.ylabel for panel in panels}) == 1
        axes = part.subplots(1, n_columns, squeeze=False, sharey=alike)[0]
        for axis, panel in zip(axes, panels, strict=True):
            _draw_panel(axis, panel)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def _draw_panel(axis: Any, panel: Panel) -> None:
    from matplotlib.ticker import MaxNLocator

    for name, points in panel.lines.items():
        values = [value if isinstance(value, tuple) else (value, 0.0) for value in points.values()]
        y, errors = zip(*values, strict=True)
        shown = errors if any(errors) else None
        axis.errorbar(list(points), y, yerr=shown, marker="o", markersize=4, capsize=3, label=name)
    if panel.level is not None:
        axis.axhline(panel.level, color="grey", linestyle="--", linewidth=1)
    if len(panel.lines) > 1:
        axis.legend(fontsize="small")
    if all(isinstance(x, int) for points in panel.lines.values() for x in points):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel=panel.xlabel, ylabel=panel.ylabel)
    axis.grid(alpha=0.3)


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows of the same columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_page(text: str, rows: Sequence[Mapping[str, Any]], path: Path, picture: str) -> None:
    """Write what was measured and how, as Markdown to be included: a sentence, the table, links.

    Columns that end in ``_error`` are standard errors of the column before them and share its cell.
    """
    shown = [_with_errors(row) for row in rows]
    lines = [f"| {' | '.join(shown[0])} |", "|---" * len(shown[0]) + "|"]
    lines += [f"| {' | '.join(row.values())} |" for row in shown]
    path.parent.mkdir(parents=True, exist_ok=True)
    link = f"The table as [CSV](figures/{path.stem}.csv)."
    path.write_text("\n".join([text, "", *lines, "", picture, "", link, ""]), encoding="utf-8")


def write_nothing(path: Path) -> None:
    """Say in the page that there are no results yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("Nothing has been measured yet.\n", encoding="utf-8")


def _with_errors(row: Mapping[str, Any]) -> dict[str, str]:
    cells = {}
    for name, value in row.items():
        if name.endswith("_error"):
            continue
        error = row.get(f"{name}_error", "")
        cells[name.replace("_", " ")] = str(value) + (f" ± {error}" if error != "" else "")
    return cells


def common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that every figure has."""
    parser.add_argument(
        "--scale", choices=SCALES, default="cpu", help="paper: 32×32 images and its network, for a GPU"
    )
    parser.add_argument("--path", type=Path, help="folder with train.csv, validation.csv and the images")
    parser.add_argument("--seeds", type=int, default=1, help="models of each kind (default: 1)")
    parser.add_argument("--epochs", type=int, help="instead of those of the scale")
    parser.add_argument("--images", type=int, help="train on as many images instead of all, for a trial")
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--report-only", action="store_true", help="train nothing; write what is finished")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "benchmarks/results", help="folder of the raw results"
    )
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where tables and pictures go")


def suffix(scale: str) -> str:
    """What is added to the names of files."""
    return "" if scale == "cpu" else f"-{scale}"
