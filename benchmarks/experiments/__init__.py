"""The experiments: every module of this folder declares one."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from records import Row, as_json, read

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks/results"
DOCS = ROOT / "docs"


class Report(Protocol):
    """A table or a picture in the documentation."""

    def write(self, records: list[Row], path: Path) -> None:
        """Write it from the records of an experiment."""


@dataclass(frozen=True)
class Experiment:
    """A table of cells, each of which is measured for several seeds.

    Parameters
    ----------
    measure : callable
        ``measure(run, **settings)`` returns the figures of one run, which JSON can hold.
    cells : mapping of str to mapping
        The settings of each cell, the keyword arguments of `measure`, by its name.
    seeds : int
        The number of runs of each cell.
    after : mapping of str to str
        Cells that need the trained model of a different cell, and that cell.
    reports : mapping of str to Report
        Reports, by their paths below docs/.
    """

    measure: Callable[..., Row]
    cells: Mapping[str, Mapping[str, Any]]
    seeds: int = 3
    after: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[str, Report] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One cell of an experiment with one seed."""

    experiment: str
    cell: str
    seed: int
    device: str = "cpu"
    results: Path = RESULTS

    @property
    def settings(self) -> Mapping[str, Any]:
        """The keyword arguments of the function that measures it."""
        return load(self.experiment).cells[self.cell]

    def kept(self, ending: str) -> Path:
        """A file that is kept while or after the run is made."""
        words = (self.experiment, self.cell, self.seed, self.device)
        stem = "-".join(re.sub(r"[^\w.=]+", "-", str(word)).strip("-") for word in words)
        return self.results / "checkpoints" / (stem + ending)

    def line(self) -> Row:
        """Its latest line of results.

        Raises
        ------
        LookupError
            If it has not been measured.
        """
        lines = [line for line in read(file_of(self.experiment, self.results)) if self.belongs(line)]
        if not lines:
            raise LookupError(f"{self.cell}, seed {self.seed}, of {self.experiment} has not been measured.")
        return lines[-1]

    def belongs(self, line: Row) -> bool:
        """Whether a line of results is of this run."""
        return all(line[key] == getattr(self, key) for key in ("cell", "seed", "device"))

    def differs(self, line: Row) -> bool:
        """Whether a line of this run was measured with settings that have changed since."""
        return bool(line["settings"] != as_json(self.settings))


def names() -> list[str]:
    """All experiments of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Experiment:
    """An experiment by the name of its module; a name with dots is a module of your own."""
    module = import_module(name if "." in name else f"{__name__}.{name}")
    experiment: Experiment = module.EXPERIMENT
    return experiment


def file_of(name: str, results: Path) -> Path:
    """The raw lines of an experiment."""
    return results / f"{name.rpartition('.')[2]}.jsonl"
