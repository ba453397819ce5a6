"""Tables in Markdown: how every figure is shown, with its standard error over the seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from records import Row


class Column(NamedTuple):
    """How a figure is shown."""

    title: str
    style: str = ".3f"
    with_error: bool = True


COLUMNS = {
    "accuracy": Column("accuracy"),
    "log_loss": Column("log-loss"),
    "log_loss_calibrated": Column("log-loss, calibrated"),
    "ece": Column("calibration error"),
    "ece_calibrated": Column("calibration error, calibrated"),
    "temperature": Column("temperature", ".1f"),
    "bits_per_dim": Column("bits/dim"),
    "train_bits_per_dim": Column("bits/dim in training"),
    "fid": Column("FID", ".2f"),
    "n_parameters": Column("parameters", ",.0f", with_error=False),
    "n_parameters_conditioner": Column("of these the conditioner's", ",.0f", with_error=False),
    "epochs_trained": Column("epochs", ".1f", with_error=False),
    "fit_core_seconds": Column("fit, core-seconds", ".1f", with_error=False),
    "score_core_seconds": Column("score, core-seconds", ".1f", with_error=False),
    "fit_core_minutes": Column("core-minutes", ".0f", with_error=False),
    "cost": Column("cost, u", ".1f", with_error=False),
    "changed": Column("changed", ".1%"),
    "milliseconds": Column("ms an image", ".1f"),
    "times_faster": Column("times as fast", ".2f"),
    "gflop": Column("GFLOP an image", ".2f"),
    "megabytes": Column("MB an image", ".0f"),
    "by_operations": Column("by operations", ".3g"),
    "by_bytes": Column("by bytes", ".3g"),
    "half": Column("half of the rows", ".1%"),
    "three_quarters": Column("three quarters", ".1%"),
    "all_but_one": Column("all but one", ".1%"),
    "share": Column("share", ".2f"),
    "rate": Column("images/s", ".3g"),
    "ratio": Column("×", ".3g"),
    "memory": Column("MiB", ".0f"),
    "n_models": Column("models", ".0f", with_error=False),
    "runs": Column("runs"),
    "paper": Column("the paper's", ".2f", with_error=False),
}

OF_CLASSES = ("accuracy", "log_loss", "log_loss_calibrated", "ece", "ece_calibrated")


def column_of(key: str) -> Column:
    """How a figure is shown; "share_10" as "share"."""
    return COLUMNS[key.rstrip("0123456789").rstrip("_")]


def record_of(line: Row) -> Row:
    """A line of results as one flat dictionary."""
    about = {key: line[key] for key in ("cell", "seed", "device", "processor")}
    return {**about, "torch": line["versions"]["torch"], **line["settings"], **line["figures"]}


def part_of(record: Row, part: Mapping[str, Any]) -> Row:
    """A part of the results of a run, such as one of its epochs, as a record of its own."""
    return {**{key: value for key, value in record.items() if not isinstance(value, list | dict)}, **part}


def parts(key: str) -> Callable[[list[Row]], list[Row]]:
    """A function from records to those of their parts, which are a list under a key."""
    return lambda records: [part_of(record, part) for record in records for part in record[key]]


def unchanged(records: list[Row]) -> list[Row]:
    """Every record is a row, or, of several seeds, a part of one."""
    return records


class Summary(NamedTuple):
    """The mean of a figure, and its standard error, which is NaN for one value."""

    mean: float
    error: float


def summary(records: Iterable[Row], key: str) -> Summary:
    """Mean and standard error over the seeds."""
    values = [record[key] for record in records]
    return Summary(fmean(values), stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan)


def grouped(records: Iterable[Row], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """The records with the same values of some keys, in order."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for record in records:
        found.setdefault(tuple(record[key] for key in keys), []).append(record)
    return found


class Page:
    """What is written as Markdown."""

    def markdown(self, records: list[Row]) -> str:
        """The text."""
        raise NotImplementedError

    def write(self, records: list[Row], path: Path) -> None:
        """Write the text into a file of its own."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.markdown(records), encoding="utf-8")


@dataclass(frozen=True)
class Table(Page):
    """A table in Markdown, with a sentence above it.

    Parameters
    ----------
    labels : mapping of str to str
        Keys of the records that name a row, and their titles. A row has the seeds with the same labels.
    columns : sequence of str
        Keys of the figures; `COLUMNS` has their titles and formats.
    text : str
        The sentence, a format string over the first record.
    section : str or None
        A key of the records; each of its values has a table.
    best_first : bool
        Whether the row with the highest first figure is the first row.
    rows : callable
        Turns the records of runs into those of rows.
    titles : mapping of str to str
        Titles in place of those of `COLUMNS`.
    """

    labels: Mapping[str, str]
    columns: Sequence[str]
    text: str = ""
    section: str | None = None
    best_first: bool = False
    rows: Callable[[list[Row]], Iterable[Row]] = unchanged
    titles: Mapping[str, str] = field(default_factory=dict)

    def markdown(self, records: list[Row]) -> str:
        """The table of all sections."""
        rows = list(self.rows(records))
        sections = grouped(rows, [self.section]).values() if self.section else [rows]
        return "\n".join(self.of_section(section) for section in sections)

    def of_section(self, rows: list[Row]) -> str:
        """One table."""
        groups = list(grouped(rows, list(self.labels)).items())
        if self.best_first:
            groups.sort(key=lambda group: -summary(group[1], self.columns[0]).mean)
        several = any(len(group) > 1 for _, group in groups)
        columns = [*self.columns, *(["runs"] if several else [])]
        titles = [self.titles.get(key, column_of(key).title) for key in columns]
        lines = [
            *([self.text.format(**rows[0]), ""] if self.text else []),
            in_line([*self.labels.values(), *titles]),
            "|" + "---|" * len(self.labels) + "---:|" * len(titles),
            *(
                in_line([*map(str, labels), *(shown(group, key) for key in columns)])
                for labels, group in groups
            ),
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class CrossTable(Page):
    """One figure, with a row for each value of a key and a column for each value of another.

    Parameters
    ----------
    down, across : str
        The keys of the records that name rows and columns.
    figure : str
        The key of the figure; `COLUMNS` has its format.
    title : str
        The title of the first column.
    rows : callable
        Turns the records of runs into those of cells.
    best : callable or None
        `max` or `min`: the best mean of each column is bold.
    with_error : bool
        Whether cells have the standard error.
    below : callable
        Turns the records of cells into a text below the table.
    """

    down: str
    across: str
    figure: str
    title: str = ""
    rows: Callable[[list[Row]], Iterable[Row]] = unchanged
    best: Callable[[Iterable[float]], float] | None = None
    with_error: bool = True
    below: Callable[[list[Row]], str] = lambda rows: ""

    def markdown(self, records: list[Row]) -> str:
        """The table, and the text below it."""
        rows = list(self.rows(records))
        cells = grouped(rows, [self.down, self.across])
        names, columns = (list(dict.fromkeys(row[key] for row in rows)) for key in (self.down, self.across))
        lines = [
            in_line([self.title, *columns]),
            "|---|" + "---:|" * len(columns),
            *(in_line([name, *(self.cell(cells, name, column) for column in columns)]) for name in names),
        ]
        return "\n".join(lines) + "\n" + self.below(rows)

    def cell(self, cells: Mapping[tuple[Any, ...], list[Row]], name: str, column: str) -> str:
        """One cell, bold if it is the best of its column."""
        if (name, column) not in cells:
            return ""
        text = shown(cells[name, column], self.figure, with_error=self.with_error)
        rivals = [summary(cells[pair], self.figure).mean for pair in cells if pair[1] == column]
        is_best = self.best and summary(cells[name, column], self.figure).mean == self.best(rivals)
        return f"**{text}**" if is_best else text


@dataclass(frozen=True)
class Inserted(Page):
    """A page between two marks in a text that is written by hand.

    The marks are the HTML comments ``<!-- mark -->`` and ``<!-- end of mark -->``.
    """

    page: Page
    mark: str

    def markdown(self, records: list[Row]) -> str:
        """The text with its marks."""
        return f"<!-- {self.mark} -->\n\n{self.page.markdown(records)}\n<!-- end of {self.mark} -->"

    def write(self, records: list[Row], path: Path) -> None:
        """Replace what is between the marks.

        Raises
        ------
        ValueError
            If the text does not have both marks.
        """
        text = path.read_text(encoding="utf-8")
        start, end = f"<!-- {self.mark} -->", f"<!-- end of {self.mark} -->"
        if not 0 <= text.find(start) < text.find(end):
            raise ValueError(f"{path} must have the marks {start} and {end}, in this order.")
        before, after = text.partition(start)[0], text.partition(end)[2]
        path.write_text(before + self.markdown(records) + after, encoding="utf-8")


def in_line(cells: Iterable[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def shown(group: list[Row], key: str, *, with_error: bool = True) -> str:
    """A figure of one row, empty if it was not measured."""
    if key == "runs":
        return str(len(group))
    if any(record.get(key) is None for record in group):
        return ""
    column, (mean, error) = column_of(key), summary(group, key)
    with_error = with_error and column.with_error and not math.isnan(error)
    return f"{mean:{column.style}}" + (f" ± {error:{column.style}}" if with_error else "")
