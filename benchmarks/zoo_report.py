"""The table and the picture of benchmarks/conditioners.py."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

COLUMNS = (
    "conditioner",
    "accuracy",
    "log-loss, nats",
    "bits/dim",
    "parameters",
    "of these the conditioner's",
    "epochs",
    "fit, s",
    "score, s",
    "fits",
)
TITLES = {"digits": "scikit-learn's digits", "cpen455": "CPEN455"}
FIGURES = {"accuracy": ".3f", "log_loss": ".3f", "bits_per_dim": ".4f"}
MEANS = {
    "n_parameters": ",.0f",
    "n_parameters_conditioner": ",.0f",
    "epochs": ".1f",
    "fit_seconds": ".0f",
    "score_seconds": ".1f",
}

Row = dict[str, Any]


def by_dataset(rows: Iterable[Row]) -> dict[str, dict[str, list[Row]]]:
    """Data set to conditioner to its fits, the most accurate conditioner first."""
    grouped: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        grouped.setdefault(row["dataset"], {}).setdefault(row["conditioner"], []).append(row)
    return {
        dataset: dict(sorted(zoo.items(), key=lambda item: -summary(item[1], "accuracy")[0]))
        for dataset, zoo in grouped.items()
    }


def summary(fits: list[Row], figure: str) -> tuple[float, float]:
    """Mean and standard error over the seeds; the error is NaN for one fit alone."""
    values = [fit[figure] for fit in fits]
    return fmean(values), stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def with_error(mean: float, error: float, style: str) -> str:
    """A mean with its standard error, if there is one."""
    return f"{mean:{style}}" + ("" if math.isnan(error) else f" ± {error:{style}}")


def write_table(rows: list[Row], path: Path, *, picture: str) -> None:
    """Write the tables of all data sets as Markdown.

    Parameters
    ----------
    rows : list of dict
        The results of all fits.
    path : Path
    picture : str
        Where the picture lies, seen from the table.
    """
    sections = [section(zoo) for zoo in by_dataset(rows).values()]
    sections.append(f"![Error rate and log-loss of every conditioner, with standard errors]({picture})")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def title(zoo: dict[str, list[Row]]) -> str:
    """The data set and the size of its images."""
    fit = some(zoo)
    return f"{TITLES[fit['dataset']]} at {'×'.join(map(str, fit['size']))}"


def some(zoo: dict[str, list[Row]]) -> Row:
    """Any fit, for what is the same in all."""
    return next(iter(zoo.values()))[0]


def section(zoo: dict[str, list[Row]]) -> str:
    """A sentence on how it was measured, and the table of one data set."""
    fit = some(zoo)
    where = "one CPU core" if fit["device"] == "cpu" else f"the device {fit['device']}"
    settings = ", ".join(f"{name}={value}" for name, value in fit["settings"].items())
    how = (
        f"**{title(zoo)}.** Each fit had {fit['seconds']:g} seconds of training on {where}, with {settings}, "
        f"and was scored on {fit['n_held_out']} held-out images (torch {fit['torch']})."
    )
    header = [f"| {' | '.join(COLUMNS)} |", "|---" + "|---:" * (len(COLUMNS) - 1) + "|"]
    return "\n".join([how, "", *header, *(line(name, fits) for name, fits in zoo.items())])


def line(name: str, fits: list[Row]) -> str:
    """The row of one conditioner."""
    cells = [f"`{name}`"]
    for figure, style in FIGURES.items():
        mean, error = summary(fits, figure)
        cells.append(f"{mean:{style}}" + ("" if math.isnan(error) else f" ± {error:{style}}"))
    cells += [f"{summary(fits, figure)[0]:{style}}" for figure, style in MEANS.items()]
    return f"| {' | '.join(cells)} | {len(fits)} |"


def draw(rows: list[Row], path: Path) -> None:
    """Draw error rate and log-loss of every conditioner, a row of plots for each data set.

    The unconditional one stays out: it guesses, and would squeeze all others together.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    datasets = by_dataset(row for row in rows if row["conditioner"] != "unconditional")
    if not datasets:
        return
    heights = [len(zoo) + 3 for zoo in datasets.values()]
    figure = plt.figure(figsize=(9, 0.28 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(datasets), 2, squeeze=False, sharey="row", height_ratios=heights)
    for axes, zoo in zip(grid, datasets.values(), strict=True):
        axes[0].set_title(title(zoo), loc="left")
        accuracy, log_loss = (
            [summary(fits, key) for fits in zoo.values()] for key in ("accuracy", "log_loss")
        )
        dots(axes[0], list(zoo), [(1 - mean, error) for mean, error in accuracy], "error rate")
        dots(axes[1], list(zoo), log_loss, "log-loss, nats")
        axes[0].invert_yaxis()  # the best on top, in both
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def dots(axis: Any, names: list[str], figures: list[tuple[float, float]], label: str) -> None:
    """One plot: a dot with its standard error for each name, on a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullLocator

    means, errors = zip(*figures, strict=True)
    axis.errorbar(means, range(len(names)), xerr=errors, fmt="o", markersize=5, capsize=3)
    axis.set_yticks(range(len(names)), names)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(label)
    axis.grid(axis="x", alpha=0.3)
