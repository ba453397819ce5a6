"""Which conditioner classifies best: every one on two data sets, with equal training time, for several seeds.

    python benchmarks/conditioners.py                # CPU: under two hours on four cores
    python benchmarks/conditioners.py --table-only   # table and picture of what is finished so far
    python benchmarks/conditioners.py --scale paper --device cuda --jobs 1

The images of CPEN455 are taken from the folder that the environment variable GENCLS_CPEN455 names, or
downloaded. Each finished fit is a line in results/conditioners.jsonl; when the command is started again, it
goes on from there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zoo_report
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback
from tqdm import tqdm

from gencls import GenerativeBayesClassifier, TrainingInterruptedWarning, bits_per_dim, list_conditioners
from gencls.datasets import fetch_cpen455
from gencls.posterior import log_posterior

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
SECONDS = {"small": {"digits": 120, "cpen455": 500}, "paper": {"cpen455": 7200}}
FOREVER = 10**6  # epochs; the time ends training


@dataclass(frozen=True)
class Cell:
    """One fit of the table."""

    scale: str
    dataset: str
    seconds: float
    device: str
    conditioner: str
    seed: int


class TimeBudget(Callback):
    """End training when its time is up; the learning rate reaches 0 just then.

    After each step the number of planned steps, which the schedule follows, is estimated anew. On a CPU the
    time is that of the process, so that fits side by side do not take it from each other.

    Parameters
    ----------
    seconds : float
    device : str
    """

    def __init__(self, seconds: float, device: str):
        self.seconds = seconds
        self.device = device

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.steps_, self.start_ = 0, clock(self.device)

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Count a step, and plan the others."""
        if training:
            self.steps_ += 1
            share = (clock(self.device) - self.start_) / self.seconds
            net.planned_steps = max(self.steps_ + 1, round(self.steps_ / share))
            if share >= 1:
                raise KeyboardInterrupt  # as skorch's own callbacks end training


def clock(device: str) -> float:
    """Seconds of this process on a CPU, seconds that pass otherwise."""
    return time.process_time() if device == "cpu" else time.perf_counter()


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


def scores(joint: Any, labels: Any, clf: GenerativeBayesClassifier) -> dict[str, float]:
    """Accuracy, log-loss in nats, and bits per dimension of p(x | y), from log p(x, c) of shape (N, K)."""
    rows = np.arange(len(labels))
    log_likelihood = joint[rows, labels] - np.log(clf.class_prior_[labels])
    return {
        "accuracy": float((joint.argmax(1) == labels).mean()),
        "log_loss": float(-log_posterior(joint)[rows, labels].mean()),
        "bits_per_dim": bits_per_dim(log_likelihood, clf.n_features_in_),
    }


def count(module: torch.nn.Module) -> int:
    """Numbers that are learned."""
    return sum(parameter.numel() for parameter in module.parameters())


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


def read(path: Path) -> list[dict[str, Any]]:
    """The results so far; a line that was cut off when the machine stopped is passed over."""
    results = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with suppress(json.JSONDecodeError):
            results.append(json.loads(line))
    return results


def append(result: dict[str, Any], path: Path) -> None:
    """Add a line to the results, below one that was cut off if need be."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * (before[-1:] not in ("", "\n")) + json.dumps(result) + "\n")


def in_words(result: dict[str, Any]) -> str:
    """What came out of one cell; what failed is tried again the next time."""
    if "error" in result:
        return f"FAILED, {result['error']}"
    return (
        f"accuracy {result['accuracy']:.4f}, log-loss {result['log_loss']:.3f}, "
        f"{result['bits_per_dim']:.4f} bits/dim, {result['epochs']:.1f} epochs"
    )


def finished(results: Iterable[dict[str, Any]], cells: Iterable[Cell]) -> dict[Cell, dict[str, Any]]:
    """The results that belong to these cells."""
    by_cell = {Cell(**{name: row[name] for name in Cell.__dataclass_fields__}): row for row in results}
    return {cell: by_cell[cell] for cell in cells if cell in by_cell}


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
    args.results.parent.mkdir(parents=True, exist_ok=True)
    done = finished(read(args.results), cells)
    missing = [] if args.table_only else [cell for cell in cells if cell not in done]
    with tqdm(total=len(cells), initial=len(done), unit="fit") as progress:
        for cell, result in run(missing, args.jobs):
            if "error" not in result:
                append(result, args.results)
            progress.update()
            progress.write(f"{cell.dataset} {cell.conditioner}, seed {cell.seed}: {in_words(result)}")
    rows = list(finished(read(args.results), cells).values())
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
    parser.add_argument("--seconds-digits", type=float, help="training time of a fit (default: 120)")
    parser.add_argument(
        "--seconds-cpen455", type=float, help="training time of a fit (default: 500; paper: 7200)"
    )
    parser.add_argument(
        "--jobs", type=int, default=4, help="fits side by side, of one thread each (default: 4)"
    )
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--table-only", action="store_true", help="fit nothing; write what is finished")
    parser.add_argument("--results", type=Path, default=ROOT / "results/conditioners.jsonl")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
