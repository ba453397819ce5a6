"""How fast gencls trains, scores and samples, beside a textbook implementation, in one run and interleaved.

    python benchmarks/speed.py --threads 2                 # the table
    python benchmarks/speed.py --threads 2 --growth        # how the time grows: a picture
    python benchmarks/speed.py --device cuda --all-ways
    python benchmarks/speed.py --also mymodule:make        # another implementation beside them

Each contestant does the same work in turn, round after round, and its best round counts. `make` of another
implementation gets image_shape, n_levels, n_classes, n_layers, n_filters and n_mixtures, and returns a module
whose forward maps levels (N, C, H, W) and labels (N,) to log p(x | c) (N,). CPEN455 is taken from the folder
that the environment variable GENCLS_CPEN455 names, or downloaded. Writes docs/speed-table.md and
docs/images/speed.png; what was measured is kept in benchmarks/results/speed.jsonl, and the newest counts.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import resource
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import records
import torch
from sklearn.datasets import load_digits
from textbook import Textbook
from torch import nn
from tqdm import tqdm

from gencls import GenerativeBayesClassifier
from gencls.backends.device import resolve_precision
from gencls.conditioners.late import Late
from gencls.datasets import fetch_cpen455

ROOT = Path(__file__).parent.parent
BATCH = 16
DROPOUT = 0.1


@dataclass(frozen=True)
class Size:
    """A network and its images."""

    label: str
    images: str
    side: int
    n_layers: int
    n_filters: int
    n_mixtures: int
    n_classes: int = 4
    batch: int = BATCH
    n_batches: int = 4  # of one training, as many as make the overhead of an epoch small
    n_scored: int = 48  # images
    n_pixels: int = 4  # that the textbook draws; the rest of the image costs the same for each

    @property
    def n_trained(self) -> int:
        """Images of one training."""
        return self.n_batches * self.batch

    @property
    def network(self) -> dict[str, int]:
        """The parameters that all implementations take."""
        return {name: getattr(self, name) for name in ("n_layers", "n_filters", "n_mixtures")}


SIZES = {
    "small": Size("(1, 40, 5) at 32×32 colour", "cpen455", 32, 1, 40, 5),
    "paper": Size(
        "(5, 120, 10) at 32×32 colour", "cpen455", 32, 5, 120, 10, n_batches=1, n_scored=4, n_pixels=1
    ),
    "digits": Size("(1, 24, 5) at 8×8 grey", "digits", 8, 1, 24, 5, n_classes=10, n_batches=40),
}
TASKS = ("train", "score-4", "score-10", "sample-1", "sample-16", "sample-64")
Work = Callable[[], float]  # does a piece of work, and says how many images it comes to


@cache
def load(images: str, side: int) -> Any:
    """Real images."""
    if images == "digits":
        return load_digits().images.astype(np.uint8)
    return fetch_cpen455(subset="train", size=side, return_X_y=True)[0]


def labelled(size: Size, n: int) -> tuple[Any, Any]:
    """Images, with every class in turn."""
    X = load(size.images, size.side)[:n]
    return X, np.arange(len(X)) % size.n_classes


def contestants(size: Size, task: str, args: argparse.Namespace) -> dict[str, Callable[[], Work]]:
    """What makes the work of each contestant ready."""
    kind, _, number = task.partition("-")
    if kind == "score":
        size = replace(size, n_classes=int(number))
    ours = partial(gencls_work, size, kind, number, args.device)
    found: dict[str, Callable[[], Work]] = {
        "textbook": partial(torch_work, textbook, size, kind, number, args.device),
        "gencls": ours,
    }
    if kind == "sample":
        if args.device.startswith("cuda"):  # compiling changes nothing about sampling elsewhere
            found["gencls, compiled"] = partial(ours, compile=True)
        return found
    for words, options in ways(args).items():
        found[f"gencls, {words}"] = partial(ours, **options)
    if kind == "score":
        for words, conditioner in {"late": "late", "late in 1 block": Late(n_blocks=1)}.items():
            found[f"gencls, {words}"] = partial(ours, conditioner=conditioner)
            for way, options in ways(args).items():
                found[f"gencls, {way}, {words}"] = partial(ours, conditioner=conditioner, **options)
    for name in args.also:
        found[name] = partial(torch_work, partial(other, name), size, kind, number, args.device)
    return found


def ways(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """How gencls can compute what it computes in float32 by default: what this machine has."""
    found: dict[str, dict[str, Any]] = {"compiled": {"compile": True}}
    if resolve_precision("auto", torch.device(args.device)).training is not None:
        found["bfloat16"] = {"precision": "bfloat16"}
        if args.all_ways and args.device.startswith("cuda"):  # our kernels for a CPU are for float32
            found["bfloat16, compiled"] = {"precision": "bfloat16", "compile": True}
    return found


def gencls_work(size: Size, kind: str, number: str, device: str, **options: Any) -> Work:
    """What a user of the estimator calls."""
    X, y = labelled(size, size.n_trained if kind == "train" else size.n_classes)
    clf = GenerativeBayesClassifier(
        **{"conditioner": "mild"} | options,
        **size.network,
        dropout=DROPOUT,
        batch_size=size.batch,
        device=device,
        random_state=0,
    )
    clf.partial_fit(X, y, classes=np.arange(size.n_classes))

    def train() -> float:
        clf.partial_fit(X, y)
        return len(X)

    def score() -> float:
        images = labelled(size, size.n_scored)[0]
        clf.predict_joint_log_proba(images)
        return len(images)

    def sample() -> float:
        clf.sample(int(number), random_state=0)
        return int(number)

    return {"train": train, "score": score, "sample": sample}[kind]


def torch_work(make: Callable[[Size], nn.Module], size: Size, kind: str, number: str, device: str) -> Work:
    """The same with a module, written as one writes it first."""
    model = make(size).to(device)
    X, y = labelled(size, max(size.n_trained, size.n_scored))
    levels = torch.from_numpy(X.reshape(len(X), size.side, size.side, -1)).permute(0, 3, 1, 2).to(device)
    labels = torch.from_numpy(y).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def train() -> float:
        model.train()
        for start in range(0, size.n_trained, size.batch):
            optimizer.zero_grad()
            part = slice(start, start + size.batch)
            loss = -model(levels[part], labels[part]).mean() / levels[0].numel()
            loss.backward()
            optimizer.step()
        return size.n_trained

    def score() -> float:
        model.eval()
        with torch.no_grad():
            for start in range(0, size.n_scored, size.batch):
                part = levels[start : min(start + size.batch, size.n_scored)]
                for label in range(size.n_classes):
                    model(part, torch.full((len(part),), label, device=device))
        return size.n_scored

    def sample() -> float:
        model.eval()
        n = int(number)
        noise = torch.rand(n, size.side, size.side, size.n_mixtures + levels.shape[1], device=device)
        model.sample(torch.arange(n, device=device) % size.n_classes, noise, size.n_pixels)
        return n * size.n_pixels / size.side**2

    return {"train": train, "score": score, "sample": sample}[kind]


def textbook(size: Size) -> Textbook:
    """The textbook's network."""
    return Textbook(**shapes(size), **size.network, dropout=DROPOUT)


def other(name: str, size: Size) -> nn.Module:
    """The network of another implementation, by the name of its maker."""
    module, _, maker = name.partition(":")
    return getattr(importlib.import_module(module), maker)(**shapes(size), **size.network)


def shapes(size: Size) -> dict[str, Any]:
    """The images and classes of a size, as a module takes them."""
    X = load(size.images, size.side)
    channels = X.shape[3] if X.ndim == 4 else 1
    return {
        "image_shape": (channels, size.side, size.side),
        "n_levels": 256 if channels > 1 else 17,
        "n_classes": size.n_classes,
    }


def rates(
    makers: dict[str, Callable[[], Work]], device: str, seconds: float, rounds: int
) -> dict[str, float]:
    """Images a second of each contestant: the best of some rounds, in each of which all have their turn."""
    works = {name: make() for name, make in makers.items()}
    for work in works.values():
        timed(work, device)  # the first call is always slower
    best = dict.fromkeys(works, 0.0)
    start, done = time.perf_counter(), 0
    while done < rounds or time.perf_counter() - start < seconds:
        for name, work in works.items():
            best[name] = max(best[name], timed(work, device))
        done += 1
    return best


def timed(work: Work, device: str) -> float:
    """Images a second."""
    start = time.perf_counter()
    n_images = work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return n_images / (time.perf_counter() - start)


def peak_memory(size: Size, task: str, contestant: str, args: argparse.Namespace) -> float:
    """MiB that the work takes at most, more than the process has before; in a process of its own."""
    torch.set_num_threads(args.threads)
    cuda = args.device.startswith("cuda")
    peak = torch.cuda.max_memory_allocated if cuda else peak_of_process
    work = contestants(size, task, args)[contestant]
    before = peak()
    work()()
    return (peak() - before) / 2**20


def peak_of_process() -> int:
    """Bytes that this process has held at most."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; unlike getrusage, it does not count what the parent process held
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_own_process(function: Callable[..., float], *arguments: Any) -> float:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure_all(args: argparse.Namespace) -> None:
    """Measure one task after the other, each written down as soon as it is there."""
    tasks = [(name, task) for name in args.sizes for task in tasks_of(name, args.tasks)]
    with tqdm(tasks, unit="task") as progress:
        for name, task in progress:
            for row in measure(name, task, args):
                records.append(row, args.results)
                progress.write(in_words(row), end="")


def tasks_of(name: str, tasks: list[str]) -> list[str]:
    """The digits have ten classes."""
    return [task for task in tasks if (name, task) != ("digits", "score-4")]


def measure(name: str, task: str, args: argparse.Namespace) -> list[records.Row]:
    """A row for each contestant."""
    size = SIZES[name]
    best = rates(contestants(size, task, args), args.device, args.seconds, args.rounds)
    with_memory = task == "train" and not args.no_memory
    return [
        {
            "size": name,
            "task": task,
            "contestant": contestant,
            "rate": rate,
            "ratio": rate / best["textbook"],
            "memory": in_own_process(peak_memory, size, task, contestant, args) if with_memory else None,
        }
        | machine(args)
        for contestant, rate in best.items()
    ]


def machine(args: argparse.Namespace) -> dict[str, str]:
    """What is measured on."""
    cpu = f"{args.threads} threads of a CPU with {torch.backends.cpu.get_cpu_capability()}"
    device = cpu if args.device == "cpu" else torch.cuda.get_device_name()
    return {"machine": device, "torch": torch.__version__}


def in_words(row: records.Row) -> str:
    """A line of the table."""
    memory = "" if row["memory"] is None else f"{row['memory']:.0f}"
    return (
        f"| {SIZES[row['size']].label} | {row['task']} | {row['contestant']} | {row['rate']:.3g} | "
        f"{row['ratio']:.3g} | {memory} |\n"
    )


def table(args: argparse.Namespace) -> str:
    """The newest rows of this machine as Markdown."""
    rows = {
        (row["size"], row["task"], row["contestant"]): row
        for row in records.read(args.results)
        if row.items() >= machine(args).items()
    }
    in_order = sorted(
        rows.values(), key=lambda row: (list(SIZES).index(row["size"]), TASKS.index(row["task"]))
    )
    return (
        f"Images a second on {machine(args)['machine']}, torch {torch.__version__}, and how many times as "
        "many as the textbook's; peak memory above that of the loaded packages, data and model included.\n\n"
        "| network | task | implementation | images/s | × | MiB |\n|---|---|---|---:|---:|---:|\n"
    ) + "".join(map(in_words, in_order))


GROWTH: dict[str, tuple[str, tuple[int, ...]]] = {
    "side": ("pixels of a side", (8, 16, 32)),
    "n_classes": ("classes", (2, 4, 8)),
    "n_filters": ("filters", (20, 40, 80)),
    "n_layers": ("layers", (1, 2, 4)),
    "batch": ("images in a batch", (4, 16, 32)),
}
BASE = Size("", "cpen455", 16, 1, 40, 5)


def growth(args: argparse.Namespace) -> None:
    """Draw how the seconds for an image grow with each quantity, beside the textbook's."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(GROWTH), figsize=(15, 6), sharey="row", layout="constrained")
    with tqdm(total=2 * sum(len(values) for _, values in GROWTH.values()), unit="point") as progress:
        for column, (name, (label, values)) in enumerate(GROWTH.items()):
            for row, task in enumerate(("train", "score")):
                found = []
                for value in values:
                    size = replace(BASE, **{name: value})
                    kind = task if task == "train" else f"score-{size.n_classes}"
                    makers = contestants(size, kind, args)
                    chosen = ["textbook", "gencls", *(f"gencls, {way}" for way in ways(args))]
                    found.append(rates({each: makers[each] for each in chosen}, args.device, 0, args.rounds))
                    progress.update()
                for each in found[0]:
                    axes[row, column].loglog(
                        values, [1000 / point[each] for point in found], marker="o", label=each
                    )
                axes[row, column].set_xlabel(label)
                axes[row, column].set_xticks(values, values, minor=False)
                axes[row, column].minorticks_off()
    axes[0, 0].set_ylabel("training, ms an image")
    axes[1, 0].set_ylabel("scoring all classes, ms an image")
    axes[0, 0].legend()
    (args.docs / "images").mkdir(parents=True, exist_ok=True)
    figure.savefig(args.docs / "images/speed.png", dpi=100)


def main(arguments: list[str] | None = None) -> None:
    """Measure."""
    args = parse(arguments)
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    if args.growth:
        growth(args)
        return
    if not args.table_only:
        measure_all(args)
    args.docs.mkdir(parents=True, exist_ok=True)
    (args.docs / "speed-table.md").write_text(table(args), encoding="utf-8")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--also", nargs="+", default=[], metavar="MODULE:MAKER")
    parser.add_argument(
        "--all-ways", action="store_true", help="also time bfloat16 with torch.compile, on a GPU"
    )
    parser.add_argument("--growth", action="store_true", help="draw how the time grows instead")
    parser.add_argument("--table-only", action="store_true", help="write the table of what was measured")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="at least so many (default: 3)")
    parser.add_argument("--seconds", type=float, default=10, help="at least so long a task (default: 10)")
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/speed.jsonl")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
