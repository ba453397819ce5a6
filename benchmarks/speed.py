"""The speed of training, scoring and sampling, beside a textbook implementation, interleaved in one run.

    python benchmarks/speed.py --threads 2                 # the table
    python benchmarks/speed.py --threads 2 --growth        # a picture of how the time grows
    python benchmarks/speed.py --device cuda --all-ways
    python benchmarks/speed.py --also mymodule:make        # a further implementation beside them

All contestants do the same work in turn, in several rounds, and the best round of each counts. `make` of a
further implementation gets image_shape, n_levels, n_classes, n_layers, n_filters and n_mixtures, and returns
a module whose forward maps levels (N, C, H, W) and labels (N,) to log p(x | c) (N,). CPEN455 is read from the
folder that the environment variable GENCLS_CPEN455 names, or downloaded. Writes docs/speed-table.md and
docs/images/speed.png; raw lines are kept in benchmarks/results/speed.jsonl. The table has the newest lines of
the machine that was measured last.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from contestants import SIZES, TASKS, Size, Work, contestants, tasks_of, ways
from experiments import DOCS, RESULTS
from machine import machine
from records import Row, append, read
from tables import Table

TABLE = Table(
    text="Images a second on {machine}, torch {torch}, and how many times as many as the textbook's; peak "
    "memory above that of the loaded packages, data and model included.",
    labels={"network": "network", "task": "task", "contestant": "implementation"},
    columns=("rate", "ratio", "memory"),
)
GROWTH: dict[str, tuple[str, tuple[int, ...]]] = {
    "side": ("pixels of a side", (8, 16, 32)),
    "n_classes": ("classes", (2, 4, 8)),
    "n_filters": ("filters", (20, 40, 80)),
    "n_layers": ("layers", (1, 2, 4)),
    "batch": ("images in a batch", (4, 16, 32)),
}
BASE = Size("", "cpen455", 16, 1, 40, 5)


def rates(
    makers: dict[str, Callable[[], Work]], device: str, seconds: float, rounds: int
) -> dict[str, float]:
    """Images a second of each contestant: the best of several rounds, in which all take turns."""
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


def peak_memory(size: Size, task: str, contestant: str, device: str, threads: int) -> float:
    """Peak memory of the work in MiB, above that of the process before it; in a fresh process."""
    torch.set_num_threads(threads)
    peak = torch.cuda.max_memory_allocated if device.startswith("cuda") else peak_of_process
    work = contestants(size, task, device, all_ways=True)[contestant]
    before = peak()
    work()()
    return (peak() - before) / 2**20


def peak_of_process() -> int:
    """Peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; unlike getrusage, it does not count what the parent process held
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_own_process(function: Callable[..., float], *arguments: Any) -> float:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(name: str, task: str, args: argparse.Namespace) -> list[Row]:
    """A row for each contestant."""
    size = SIZES[name]
    makers = contestants(size, task, args.device, all_ways=args.all_ways, also=tuple(args.also))
    best = rates(makers, args.device, args.seconds, args.rounds)
    with_memory = set(makers).difference(args.also) if task == "train" and not args.no_memory else set()
    return [
        {
            "size": name,
            "task": task,
            "contestant": contestant,
            "rate": rate,
            "ratio": rate / best["textbook"],
            "memory": in_own_process(peak_memory, size, task, contestant, args.device, args.threads)
            if contestant in with_memory
            else None,
            "machine": device_name(args),
            "torch": str(torch.__version__),
            **machine(),
        }
        for contestant, rate in best.items()
    ]


def device_name(args: argparse.Namespace) -> str:
    """The device of the measurement."""
    if args.device.startswith("cuda"):
        return torch.cuda.get_device_name()
    return f"{args.threads} threads of a CPU with {torch.backends.cpu.get_cpu_capability()}"


def measure_all(args: argparse.Namespace) -> None:
    """Measure the tasks in order, and write each at once."""
    tasks = [(name, task) for name in args.sizes for task in tasks_of(name, args.tasks)]
    with tqdm(tasks, unit="task") as progress:
        for name, task in progress:
            for row in measure(name, task, args):
                append(row, args.results / "speed.jsonl")
                progress.write(f"{name} {task} {row['contestant']}: {row['rate']:.3g}, {row['ratio']:.3g} ×")


def records(lines: list[Row]) -> list[Row]:
    """The newest lines of the machine that was measured last, in the order of the table."""
    latest = {
        (line["size"], line["task"], line["contestant"]): line | {"network": SIZES[line["size"]].label}
        for line in lines
        if all(line[key] == lines[-1][key] for key in ("machine", "torch"))
    }
    return sorted(latest.values(), key=lambda row: (list(SIZES).index(row["size"]), TASKS.index(row["task"])))


def growth(args: argparse.Namespace) -> None:
    """Draw how the milliseconds for an image grow with each quantity, beside the textbook's."""
    import matplotlib.pyplot as plt

    from plots import save

    figure, axes = plt.subplots(2, len(GROWTH), figsize=(15, 6), sharey="row", layout="constrained")
    with tqdm(total=2 * sum(len(values) for _, values in GROWTH.values()), unit="point") as progress:
        for column, (name, (label, values)) in enumerate(GROWTH.items()):
            for axis, kind in zip(axes[:, column], ("train", "score"), strict=True):
                points = []
                for value in values:
                    points.append(rates_at(replace(BASE, **{name: value}), kind, args))  # type: ignore[arg-type]
                    progress.update()
                draw_growth(axis, values, points, label)
    axes[0, 0].set_ylabel("training, ms an image")
    axes[1, 0].set_ylabel("scoring all classes, ms an image")
    axes[0, 0].legend()
    save(figure, args.docs / "images/speed.png")


def rates_at(size: Size, kind: str, args: argparse.Namespace) -> dict[str, float]:
    """The rates of the textbook and of gencls with its settings, at one size."""
    task = kind if kind == "train" else f"score-{size.n_classes}"
    makers = contestants(size, task, args.device)
    chosen = ["textbook", "gencls", *(f"gencls, {way}" for way in ways(args.device))]
    return rates({each: makers[each] for each in chosen}, args.device, 0, args.rounds)


def draw_growth(axis: Any, values: tuple[int, ...], points: list[dict[str, float]], label: str) -> None:
    """One panel."""
    for each in points[0]:
        axis.loglog(values, [1000 / point[each] for point in points], marker="o", label=each)
    axis.set_xlabel(label)
    axis.set_xticks(values, values, minor=False)
    axis.minorticks_off()


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write the table or the picture."""
    args = parse(arguments)
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    if args.growth:
        growth(args)
        return
    if not args.table_only:
        measure_all(args)
    TABLE.write(records(read(args.results / "speed.jsonl")), args.docs / "speed-table.md")


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
    parser.add_argument("--no-memory", action="store_true", help="omit the peak memory")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="at least as many (default: 3)")
    parser.add_argument("--seconds", type=float, default=10, help="at least as long a task (default: 10)")
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the raw lines")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the pages")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
