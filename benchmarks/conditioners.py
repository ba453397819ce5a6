"""Which conditioner classifies best: every one on two data sets, with equal training time, for several seeds.

    python benchmarks/conditioners.py                # CPU: an hour and a half on four cores
    python benchmarks/conditioners.py --table-only   # table and picture of what is finished so far
    python benchmarks/conditioners.py --scale paper --device cuda --jobs 1

The images of CPEN455 are taken from the folder that the environment variable GENCLS_CPEN455 names, or
downloaded. Each finished fit is a line in benchmarks/results/conditioners.jsonl; when the command is started
again, it goes on from there.
"""

from __future__ import annotations

import argparse
import multiprocessing
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zoo_report
from budget import FOREVER, TimeBudget, clock
from records import append, finished, read
from scores import count, scores
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from gencls import GenerativeBayesClassifier, TrainingInterruptedWarning, list_conditioners
from gencls.datasets import fetch_cpen455

ROOT = Path(__file__).parent.parent

# What is fitted at each scale: the estimator's parameters, and the width and height of the CPEN455 images.
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "small": {
        "digits": {"n_filters": 24, "lr": 3e-3, "batch_size": 32},
        "cpen455": {"n_filters": 40, "lr": 2e-3, "batch_size": 16},
    },
    "paper": {"cpen455": {"n_layers": 5, "n_filters": 120, "n_mixtures": 10, "lr": 1e-3, "batch_size": 16}},
}
SIZE = {"small": 16, "paper": 32}
SECONDS = {"small": {"digits": 60, "cpen455": 400}, "paper": {"cpen455": 7200}}


@dataclass(frozen=True)
class Cell:
    """One fit of the table."""

    scale: str
    dataset: str
    seconds: float
    device: str
    conditioner: str
    seed: int


@cache
def load(dataset: str, size: int) -> tuple[Any, Any, Any, Any]:
    """Training images, held-out images, and the classes of both."""
    if dataset == "digits":
        X, y = load_digits(return_X_y=True)
        return tuple(train_test_split(X, y, stratify=y, random_state=0))
    X, y = fetch_cpen455(subset="train", size=size, return_X_y=True)
    X_test, y_test = fetch_cpen455(subset="validation", size=size, return_X_y=True)
    return np.concatenate([X, X[:, :, ::-1]]), X_test, np.concatenate([y, y]), y_test  # mirrored copies


def attempt(cell: Cell) -> dict[str, Any]:
    """Measure one cell, or say why it cannot be."""
    try:
        return measure(cell)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def measure(cell: Cell) -> dict[str, Any]:
    """Fit and score one cell."""
    torch.set_num_threads(1)
    X, X_test, y, y_test = load(cell.dataset, SIZE[cell.scale])
    budget = TimeBudget(cell.seconds, cell.device)
    clf = GenerativeBayesClassifier(
        cell.conditioner,
        **SETTINGS[cell.scale][cell.dataset],
        max_epochs=FOREVER,
        device=cell.device,
        random_state=cell.seed,
        net_params={"callbacks": [("budget", budget)]},
    )
    start = clock(cell.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingInterruptedWarning)
        clf.fit(X, y)
    fitted = clock(cell.device)
    joint = clf.predict_joint_log_proba(X_test)
    scored = clock(cell.device)
    model = clf.net_.averaged_model
    return (
        asdict(cell)
        | scores(joint, np.searchsorted(clf.classes_, y_test), clf)
        | {
            "n_parameters": count(model),
            "n_parameters_conditioner": count(model.conditioner),
            "epochs": budget.steps_ * clf.batch_size / len(X),
            "fit_seconds": fitted - start,
            "score_seconds": scored - fitted,
            "size": clf.codec_.tensor_shape_[-2:],
            "n_held_out": len(X_test),
            "settings": SETTINGS[cell.scale][cell.dataset],
            "torch": torch.__version__,
        }
    )


def plan(args: argparse.Namespace) -> list[Cell]:
    """All cells, a seed for every conditioner before the next seed."""
    seconds = {"digits": args.seconds_digits, "cpen455": args.seconds_cpen455}
    return [
        Cell(
            args.scale,
            dataset,
            seconds[dataset] or SECONDS[args.scale][dataset],
            args.device,
            conditioner,
            seed,
        )
        for seed in range(args.seeds)
        for dataset in SETTINGS[args.scale]
        if dataset in args.datasets
        for conditioner in args.only or list_conditioners()
    ]


def in_words(result: dict[str, Any]) -> str:
    """What came out of one cell; what failed is tried again the next time."""
    if "error" in result:
        return f"FAILED, {result['error']}"
    return (
        f"accuracy {result['accuracy']:.4f}, log-loss {result['log_loss']:.3f}, "
        f"{result['bits_per_dim']:.4f} bits/dim, {result['epochs']:.1f} epochs"
    )


def run(cells: list[Cell], n_jobs: int) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Measure cells, several side by side in processes of their own, and give each result as it comes."""
    if n_jobs == 1:
        yield from ((cell, attempt(cell)) for cell in cells)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_jobs, mp_context=context) as pool:
        tasks = {pool.submit(attempt, cell): cell for cell in cells}
        for task in as_completed(tasks):
            yield tasks[task], task.result()


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, then write the table and the picture."""
    args = parse(arguments)
    cells = plan(args)
    done = finished(read(args.results), cells)
    missing = [] if args.table_only else [cell for cell in cells if cell not in done]
    with tqdm(total=len(cells), initial=len(done), unit="fit") as progress:
        for cell, result in run(missing, args.jobs):
            if "error" not in result:
                append(result, args.results)
            progress.update()
            progress.write(f"{cell.dataset} {cell.conditioner}, seed {cell.seed}: {in_words(result)}")
    rows = list(finished(read(args.results), cells).values())
    if not rows:
        raise SystemExit("Nothing has been measured yet; the table stays as it is.")
    suffix = "" if args.scale == "small" else f"-{args.scale}"
    zoo_report.write_table(rows, args.docs / f"zoo-table{suffix}.md", picture=f"images/zoo{suffix}.png")
    zoo_report.draw(rows, args.docs / f"images/zoo{suffix}.png")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--scale", choices=SETTINGS, default="small", help="paper: 32×32, 5/120/10, for a GPU"
    )
    parser.add_argument("--datasets", nargs="+", choices=("digits", "cpen455"), default=["digits", "cpen455"])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these conditioners instead of all")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each conditioner (default: 3)")
    parser.add_argument("--seconds-digits", type=float, help="training time of a fit (default: 60)")
    parser.add_argument(
        "--seconds-cpen455", type=float, help="training time of a fit (default: 400; paper: 7200)"
    )
    parser.add_argument(
        "--jobs", type=int, default=4, help="fits side by side, of one thread each (default: 4)"
    )
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--table-only", action="store_true", help="fit nothing; write what is finished")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/conditioners.jsonl")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
