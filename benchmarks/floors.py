"""How long training and scoring take at least: operations over the machine's rate, bytes over its bandwidth.

    python benchmarks/floors.py --threads 2     # a minute

The rates are those of matrix products and of copies of arrays far larger than the caches, measured here. The
operations are those of the convolutions, and the bytes those that torch's operators read and write, one by
one. Writes docs/floors-table.md.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from gencls import ConditionalPixelCNN
from gencls.backends.device import Precision, resolve_precision

ROOT = Path(__file__).parent.parent
BATCH = 16
SHAPE = (3, 32, 32)
SIZES = {"(1, 40, 5)": (1, 40, 5), "(5, 120, 10)": (5, 120, 10)}
HEAD = """\
{threads} threads of a CPU with {instructions} do {products} matrix products,
and copy {bandwidth:.0f} GB/s, read and written (torch {version}). Images of 32×32 pixels, in colour,
in batches of {batch}; the last two columns are the images a second that operations and bytes would allow.

| network | work | precision | GFLOP an image | MB an image | by operations | by bytes |
|---|---|---|---:|---:|---:|---:|
"""


class ByteCounter(TorchDispatchMode):
    """Adds up the bytes of all tensors that operators take and give, but for those that only look."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, and go on."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view and "empty" not in func.__name__:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return out


def best_rate(work: Callable[[], Any], amount: float, seconds: float = 2) -> float:
    """Amount a second of the best of many calls."""
    work()
    best, start = 0.0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        work()
        best = max(best, amount / (time.perf_counter() - before))
    return best


def dtypes() -> dict[str, torch.dtype]:
    """In what this machine can compute: float32, and bfloat16 if there are instructions for it."""
    chosen = resolve_precision("auto", torch.device("cpu")).training
    return {"float32": torch.float32} | ({} if chosen is None else {"bfloat16": chosen})


def machine_rates() -> dict[str, float]:
    """Operations a second in each precision, and bytes a second."""
    n = 2048
    found = {}
    for name, dtype in dtypes().items():
        a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
        found[name] = best_rate(lambda a=a, b=b: a @ b, 2 * n**3)
    source = torch.zeros(2**26)
    target = torch.empty_like(source)
    found["bandwidth"] = best_rate(lambda: target.copy_(source), 2 * 4 * source.numel())
    return found


def costs(size: tuple[int, int, int], work: str, dtype: torch.dtype) -> tuple[float, float]:
    """Operations and bytes of an image, in training and in scoring one class."""
    torch.manual_seed(0)
    model = ConditionalPixelCNN(SHAPE, 256, 4, "mild", *size)
    model.precision = Precision(dtype, dtype)
    levels = torch.randint(256, (BATCH, *SHAPE), dtype=torch.uint8)
    labels = torch.zeros(BATCH, dtype=torch.int64)
    counted = []
    for counter in (FlopCounterMode(display=False), ByteCounter()):
        with counter, torch.set_grad_enabled(work == "train"):
            log_prob = model.train(work == "train")(levels, labels)
            if work == "train":
                log_prob.sum().backward()
        counted.append(
            (counter.get_total_flops() if isinstance(counter, FlopCounterMode) else counter.bytes) / BATCH
        )
    return counted[0], counted[1]


def main(arguments: list[str] | None = None) -> None:
    """Measure, count, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    rates = machine_rates()
    lines = []
    for label, size in SIZES.items():
        for work in ("train", "score one class"):
            for name, dtype in dtypes().items():
                operations, n_bytes = costs(size, work, dtype)
                lines.append(
                    f"| {label} | {work} | {name} | {operations / 1e9:.2f} | {n_bytes / 1e6:.0f} | "
                    f"{rates[name] / operations:.3g} | {rates['bandwidth'] / n_bytes:.3g} |\n"
                )
    head = HEAD.format(
        threads=args.threads,
        instructions=torch.backends.cpu.get_cpu_capability(),
        products=" and ".join(f"{rates[name] / 1e9:.0f} GFLOP/s in {name}" for name in dtypes()),
        bandwidth=rates["bandwidth"] / 1e9,
        version=torch.__version__,
        batch=BATCH,
    )
    args.docs.mkdir(parents=True, exist_ok=True)
    (args.docs / "floors-table.md").write_text(head + "".join(lines), encoding="utf-8")
    print(head + "".join(lines))


if __name__ == "__main__":
    main()
