"""What scoring K classes at once costs, for every conditioner, against K passes for one class each.

    python benchmarks/sharing.py     # about a quarter of an hour on one core

What the class does not touch is computed once for all classes. Writes docs/sharing-table.md.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from tqdm import tqdm

from gencls import ConditionalPixelCNN, list_conditioners
from gencls.scoring import class_log_likelihoods

ROOT = Path(__file__).parent.parent
IMAGE_SHAPE = (3, 16, 16)
TEXT = """\
Milliseconds for an image on {where}, and in brackets their share of what K passes for one class each take:
{n_images} images of {height}×{width} pixels with {channels} channels, n_filters={n_filters}, the best of
{repeats} runs, torch {version}.

| conditioner | {header} |
|---|{rule}|
"""


def line(conditioner: str, levels: torch.Tensor, args: argparse.Namespace, progress: tqdm) -> str:
    """The row of one conditioner; single passes are timed in between, so that all see the same machine."""
    sizes = (1, *args.classes)
    models = {n_classes: make(conditioner, n_classes, args) for n_classes in sizes}
    best = dict.fromkeys(sizes, math.inf)
    for _ in range(args.repeats):
        for size in args.classes:
            for n_classes in (1, size):
                best[n_classes] = min(best[n_classes], seconds(models[n_classes], levels))
            progress.update()
    cells = [f"{1000 * best[k] / len(levels):.1f} ({best[k] / (k * best[1]):.2f})" for k in args.classes]
    return f"| `{conditioner}` | {' | '.join(cells)} |\n"


def make(conditioner: str, n_classes: int, args: argparse.Namespace) -> ConditionalPixelCNN:
    """A model that has learned nothing, which takes the same time."""
    torch.manual_seed(0)
    model = ConditionalPixelCNN(IMAGE_SHAPE, 256, n_classes, conditioner, n_filters=args.n_filters)
    return model.to(args.device)


def seconds(model: ConditionalPixelCNN, levels: torch.Tensor) -> float:
    """Time for scoring images under all classes: on a CPU that of this process alone."""
    clock = time.process_time if model.device.type == "cpu" else time.perf_counter
    start = clock()
    class_log_likelihoods(model, levels)
    return clock() - start


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write the table."""
    args = parse(arguments)
    torch.set_num_threads(1)
    levels = torch.randint(256, (args.images, *IMAGE_SHAPE), dtype=torch.uint8)
    names = args.only or list_conditioners()
    with tqdm(total=len(names) * len(args.classes) * args.repeats, unit="measurement") as progress:
        lines = [line(name, levels, args, progress) for name in names]
    channels, height, width = IMAGE_SHAPE
    head = TEXT.format(
        where="one CPU core" if args.device == "cpu" else args.device,
        n_images=args.images,
        height=height,
        width=width,
        channels=channels,
        n_filters=args.n_filters,
        repeats=args.repeats,
        version=torch.__version__,
        header=" | ".join(f"K = {n_classes}" for n_classes in args.classes),
        rule="|".join("---:" for _ in args.classes),
    )
    args.docs.mkdir(parents=True, exist_ok=True)
    (args.docs / "sharing-table.md").write_text(head + "".join(lines), encoding="utf-8")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", nargs="+", type=int, default=[4, 10, 100], metavar="K")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these conditioners instead of all")
    parser.add_argument("--images", type=int, default=128, help="128 fill the batches")
    parser.add_argument("--n-filters", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
