"""What scoring K classes at once costs, for every conditioner, against K passes for one class each.

    python benchmarks/sharing.py     # about half an hour on one core

What the class does not touch is computed once for all classes. Both sides score equally many pairs of an
image and a class, in full batches, one right after the other. Writes docs/sharing-table.md.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from tqdm import tqdm

from gencls import ConditionalPixelCNN, list_conditioners
from gencls.inference import class_log_likelihoods
from gencls.inference.scoring import batch_shape

ROOT = Path(__file__).parent.parent
IMAGE_SHAPE = (3, 16, 16)
TEXT = """\
Milliseconds for an image on {where}, and in brackets their share of what K passes for one class each take:
images of {height}×{width} pixels with {channels} channels, n_filters={n_filters}, {pairs} pairs of an image
and a class, the best of {repeats} runs, torch {version}.

| conditioner | {header} |
|---|{rule}|
"""


def line(conditioner: str, args: argparse.Namespace, progress: tqdm) -> str:
    """The row of one conditioner; single passes are timed in between, so that all see the same machine."""
    single = make(conditioner, 1, args)
    cells = []
    for n_classes in args.classes:
        together = make(conditioner, n_classes, args)
        best = dict.fromkeys((single, together), math.inf)
        for _ in range(args.repeats):
            for model in best:
                best[model] = min(best[model], seconds_a_pair(model, args.pairs))
            progress.update()
        milliseconds = 1000 * n_classes * best[together]
        cells.append(f"{milliseconds:.1f} ({best[together] / best[single]:.2f})")
    return f"| `{conditioner}` | {' | '.join(cells)} |\n"


def make(conditioner: str, n_classes: int, args: argparse.Namespace) -> ConditionalPixelCNN:
    """A model that has learned nothing, which takes the same time."""
    torch.manual_seed(0)
    model = ConditionalPixelCNN(IMAGE_SHAPE, 256, n_classes, conditioner, n_filters=args.n_filters)
    return model.to(args.device)


def seconds_a_pair(model: ConditionalPixelCNN, pairs: int) -> float:
    """Time for scoring an image under one of the classes, among many: on a CPU that of this process alone."""
    n_images = full_batches(model, pairs)
    levels = torch.randint(256, (n_images, *IMAGE_SHAPE), dtype=torch.uint8)
    clock = time.process_time if model.device.type == "cpu" else time.perf_counter
    start = clock()
    class_log_likelihoods(model, levels)
    return (clock() - start) / (n_images * model.n_classes)


def full_batches(model: ConditionalPixelCNN, pairs: int) -> int:
    """About as many images as make these pairs with the classes, such that no batch has to be filled up."""
    n_images, _ = batch_shape(model)
    return max(1, round(pairs / model.n_classes / n_images)) * n_images


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write the table."""
    args = parse(arguments)
    torch.set_num_threads(1)
    names = args.only or list_conditioners()
    with tqdm(total=len(names) * len(args.classes) * args.repeats, unit="measurement") as progress:
        lines = [line(name, args, progress) for name in names]
    channels, height, width = IMAGE_SHAPE
    head = TEXT.format(
        where="one CPU core" if args.device == "cpu" else args.device,
        pairs=args.pairs,
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
    parser.add_argument("--pairs", type=int, default=2560, help="of an image and a class, a measurement")
    parser.add_argument("--n-filters", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
