"""Pictures of results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib

from records import Row
from tables import COLUMNS, Summary, grouped, summary, unchanged

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator


@dataclass(frozen=True)
class Dots:
    """A dot with its standard error for each row, in a panel for each figure, with sections below each other.

    Parameters
    ----------
    label : str
        The key of the records that names a row.
    panels : mapping of str to callable
        The title of each axis, and what turns a record into a figure.
    section : str
        The key of the records that names a section.
    hidden : tuple of str
        Rows that would compress the scale of all others.
    """

    label: str
    panels: Mapping[str, Callable[[Row], float]]
    section: str
    hidden: tuple[str, ...] = ()

    def write(self, records: list[Row], path: Path) -> None:
        """Draw it."""
        shown = [record for record in records if record[self.label] not in self.hidden]
        sections = grouped(shown, [self.section])
        heights = [3 + len({record[self.label] for record in rows}) for rows in sections.values()]
        figure = plt.figure(figsize=(9, 0.28 * sum(heights)), layout="constrained")
        grid = figure.subplots(
            len(sections), len(self.panels), squeeze=False, sharey="row", height_ratios=heights
        )
        for axes, ((title,), rows) in zip(grid, sections.items(), strict=True):
            axes[0].set_title(title, loc="left")
            self.draw(axes, rows)
        save(figure, path)

    def draw(self, axes: Sequence[Any], rows: list[Row]) -> None:
        """Draw one section, the best row of the first panel on top."""
        figures = [{**row, **{name: panel(row) for name, panel in self.panels.items()}} for row in rows]
        groups = [(str(name), group) for (name,), group in grouped(figures, [self.label]).items()]
        groups.sort(key=lambda group: summary(group[1], next(iter(self.panels))).mean)
        for axis, panel in zip(axes, self.panels, strict=True):
            dots(axis, {name: summary(group, panel) for name, group in groups}, panel)
        axes[0].invert_yaxis()


def dots(axis: Any, figures: Mapping[str, Summary], title: str) -> None:
    """One panel, on a logarithmic axis."""
    means, errors = zip(*figures.values(), strict=True)
    axis.errorbar(means, range(len(figures)), xerr=errors, fmt="o", markersize=5, capsize=3)
    axis.set_yticks(range(len(figures)), list(figures))
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(title)
    axis.grid(axis="x", alpha=0.3)


@dataclass(frozen=True)
class Curves:
    """Lines with dots and standard errors: a panel for each pair of keys, ours above the paper's.

    Parameters
    ----------
    pairs : sequence of (str, str)
        The keys on the axes of each panel.
    line : str
        The key of the records that names a line.
    title : str
        Title of our panels, a format string over the first record.
    rows : callable
        Turns the records of runs into those of points.
    paper : sequence of Row
        The points of the paper, and with them its panels.
    paper_title : str
    level : str or None
        The key of a horizontal line in panels of "fid".
    """

    pairs: Sequence[tuple[str, str]]
    line: str
    title: str
    rows: Callable[[list[Row]], Iterable[Row]] = unchanged
    paper: Sequence[Row] = field(default_factory=tuple)
    paper_title: str = ""
    level: str | None = None

    def write(self, records: list[Row], path: Path) -> None:
        """Draw it."""
        ours = list(self.rows(records))
        parts = {self.title.format(**ours[0]): ours}
        if self.paper:
            parts[self.paper_title] = list(self.paper)
        figure = plt.figure(figsize=(3.4 * len(self.pairs), 3.2 * len(parts)), layout="constrained")
        upper_and_lower = figure.subfigures(len(parts), 1, squeeze=False)[:, 0]
        for part, (title, rows) in zip(upper_and_lower, parts.items(), strict=True):
            part.suptitle(title, fontsize="medium")
            alike = len({y for _, y in self.pairs}) == 1
            axes = part.subplots(1, len(self.pairs), squeeze=False, sharey=alike)[0]
            for axis, (x, y) in zip(axes, self.pairs, strict=True):
                self.draw(axis, [row for row in rows if x in row and y in row], x, y)
        save(figure, path)

    def draw(self, axis: Any, rows: list[Row], x: str, y: str) -> None:
        """One panel."""
        lines = grouped(rows, [self.line])
        for (name,), of_line in lines.items():
            points = grouped(sorted(of_line, key=lambda row: float(row["step"])), ["step"]).values()
            means, errors = zip(*(summary(point, y) for point in points), strict=True)
            at = [summary(point, x).mean for point in points]
            bars = None if any(map(math.isnan, errors)) else errors
            axis.errorbar(at, means, yerr=bars, marker="o", markersize=4, capsize=3, label=str(name))
        if self.level and y == "fid" and self.level in rows[0]:
            axis.axhline(rows[0][self.level], color="grey", linestyle="--", linewidth=1)
        if len(lines) > 1:
            axis.legend(fontsize="small")
        if all(isinstance(row[x], int) for row in rows):
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(xlabel=title_of(x), ylabel=title_of(y))
        axis.grid(alpha=0.3)


def title_of(key: str) -> str:
    """The title of a figure, as in the tables."""
    return COLUMNS[key].title if key in COLUMNS else key


def save(figure: Any, path: Path) -> None:
    """Write a picture, the same for the same figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
