"""Measure an experiment: every cell for every seed, each run in a process of its own.

    python benchmarks/runner.py --list                          # the experiments and their cells
    python benchmarks/runner.py conditioners --jobs 4           # the missing runs of one
    python benchmarks/runner.py classifiers --only 16×16 --seeds 5
    python benchmarks/report.py conditioners                    # then its tables and pictures in docs/

Each finished run is a line in benchmarks/results/NAME.jsonl, with its settings, figures, times, processor and
versions. A run that has a line is skipped, so that the command resumes after an interruption. A run that
fails is reported, and repeated the next time. CPEN455 is read from the folder that the environment variable
GENCLS_CPEN455 names, or downloaded; MNIST and CIFAR-10 from those that GENCLS_MNIST and GENCLS_CIFAR10 name.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from experiments import RESULTS, Run, file_of, load, names
from machine import machine
from records import Row, append, as_json, read

SHOWN = ("accuracy", "log_loss", "bits_per_dim")  # of the figures, in order


def plan(name: str, args: argparse.Namespace) -> list[Run]:
    """All runs of an experiment, a seed of every cell before the next seed."""
    experiment = load(name)
    seeds = experiment.seeds if args.seeds is None else args.seeds
    cells = args.only or experiment.cells
    if unknown := set(cells).difference(experiment.cells):
        known = ", ".join(map(repr, experiment.cells))
        raise SystemExit(f"{name} has no cell {unknown.pop()!r}; its cells are {known}")
    return [
        Run(name, cell, seed, args.device, args.results)
        for seed in range(seeds)
        for cell in experiment.cells
        if cell in cells
    ]


def missing(runs: list[Run], lines: list[Row]) -> list[Run]:
    """The runs without a line."""
    for run in runs:
        if any(run.belongs(line) and run.differs(line) for line in lines):
            print(f"{run.cell}, seed {run.seed}: its settings have changed since it was measured")
    return [run for run in runs if not any(run.belongs(line) for line in lines)]


def chains(runs: list[Run]) -> list[list[Run]]:
    """Runs that depend on each other, in order; the chains are independent."""
    found: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        found.setdefault((origin(run), run.seed), []).append(run)
    return list(found.values())


def origin(run: Run) -> str:
    """The cell at the beginning of the chain."""
    cell, after = run.cell, load(run.experiment).after
    while cell in after:
        cell = after[cell]
    return cell


def measure(run: Run) -> Row:
    """Make one run; its line."""
    torch.set_num_threads(1)
    start, cpu = time.perf_counter(), time.process_time()
    figures = load(run.experiment).measure(run, **run.settings)
    return {
        "cell": run.cell,
        "seed": run.seed,
        "device": run.device,
        "settings": as_json(run.settings),
        "figures": as_json(figures),
        "seconds": time.perf_counter() - start,
        "core_seconds": time.process_time() - cpu,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **machine(),
    }


def measure_in_own_process(run: Run) -> Row:
    """Make one run in a fresh process, so that other runs survive if it is killed."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, run).result()


class Recorder:
    """Writes lines and reports each run; called by several threads."""

    def __init__(self, path: Path, progress: tqdm):
        self.path, self.progress = path, progress
        self.failed = 0
        self.lock = threading.Lock()

    def __call__(self, run: Run, outcome: Row | Exception) -> None:
        """Record one run."""
        with self.lock:
            if isinstance(outcome, Exception):
                self.failed += 1
                words = f"FAILED, {type(outcome).__name__}: {outcome}"
            else:
                append(outcome, self.path)
                words = in_words(outcome)
            self.progress.update()
            self.progress.write(f"{run.cell}, seed {run.seed}: {words}")


def in_words(line: Row) -> str:
    """The main figures, and the time."""
    shown = [f"{key} {line['figures'][key]:.3f}" for key in SHOWN if key in line["figures"]]
    return ", ".join([*shown, f"{line['core_seconds']:.0f} core-seconds"])


def follow(chain: Iterable[Run], record: Recorder, *, own_process: bool) -> None:
    """Make the runs of a chain one after another; after a failure the rest of it is skipped."""
    make = measure_in_own_process if own_process else measure
    for run in chain:
        try:
            record(run, make(run))
        except Exception as error:
            record(run, error)
            return


def run_all(runs: list[Run], path: Path, n_jobs: int) -> int:
    """Make runs, several in parallel; the number of failed ones."""
    with tqdm(total=len(runs), unit="run", disable=not runs) as progress:
        record = Recorder(path, progress)
        work = partial(follow, record=record, own_process=n_jobs > 1)
        if n_jobs == 1:
            for chain in chains(runs):
                work(chain)
        else:
            in_threads(work, chains(runs), n_jobs)
    return record.failed


def in_threads(work: partial[None], items: list[list[Run]], n_jobs: int) -> None:
    """Do pieces of work, each of which waits for its own processes; Ctrl-C ends all of them."""
    pool = ThreadPoolExecutor(n_jobs)
    try:
        for _ in pool.map(work, items):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def main(arguments: list[str] | None = None) -> None:
    """Make the missing runs."""
    args = parse(arguments)
    if args.list:
        for name in names():
            print(name, *(f"    {cell}" for cell in load(name).cells), sep="\n")
        return
    path = file_of(args.experiment, args.results)
    runs = plan(args.experiment, args)
    runs = runs if args.again else missing(runs, read(path))
    if failed := run_all(runs, path, args.jobs):
        raise SystemExit(f"{failed} of {len(runs)} runs failed; the same command repeats them.")
    print(f"All runs are measured. Tables: python benchmarks/report.py {args.experiment}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", nargs="?", help="its name, or a module of your own with dots")
    parser.add_argument("--list", action="store_true", help="list all experiments with their cells")
    parser.add_argument("--only", nargs="+", metavar="CELL", help="these cells instead of all")
    parser.add_argument("--seeds", type=int, help="runs of each cell (default: the experiment's)")
    parser.add_argument("--jobs", type=int, default=1, help="parallel runs, of one thread each (default: 1)")
    parser.add_argument("--again", action="store_true", help="repeat runs that have a line")
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the raw lines")
    args = parser.parse_args(arguments)
    if args.experiment is None and not args.list:
        parser.error(f"name an experiment: {', '.join(names())}")
    return args


if __name__ == "__main__":
    main()
