"""Write the tables and pictures of the documentation from the raw lines.

    python benchmarks/report.py                    # those of all experiments
    python benchmarks/report.py conditioners       # those of one

The pages of an experiment without raw lines are unchanged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments import DOCS, RESULTS, Experiment, file_of, load, names
from records import Row, read
from tables import record_of


def records_of(name: str, results: Path, device: str = "cpu") -> list[Row]:
    """The latest record of every run of the experiment's cells, in their order."""
    experiment = load(name)
    lines = [line for line in read(file_of(name, results)) if line["device"] == device]
    latest = {(line["cell"], line["seed"]): line for line in lines}
    runs = sorted(latest, key=lambda run: run[1])
    return [record_of(latest[run]) for cell in experiment.cells for run in runs if run[0] == cell]


def write(experiment: Experiment, records: list[Row], docs: Path) -> list[Path]:
    """Write all reports of an experiment; their files."""
    for place, report in experiment.reports.items():
        report.write(records, docs / place)
    return [docs / place for place in experiment.reports]


def main(arguments: list[str] | None = None) -> None:
    """Write the reports of all measured experiments."""
    args = parse(arguments)
    for name in args.experiments or names():
        if records := records_of(name, args.results, args.device):
            print(*write(load(name), records, args.docs), sep="\n")
        else:
            print(f"{name}: nothing has been measured yet; its pages are unchanged")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="*", help="their names (default: all)")
    parser.add_argument("--device", default="cpu", help="of the runs (default: cpu)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the raw lines")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the pages")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
