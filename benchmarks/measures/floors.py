"""The least time of training and scoring: operations and bytes over the rates of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from experiments import Run
from gencls import ConditionalPixelCNN
from gencls.backends.device import resolve_precision
from gencls.pixelcnn import Execution
from records import Row

BATCH = 16
SHAPE = (3, 32, 32)


class ByteCounter(TorchDispatchMode):
    """Adds up the bytes of the inputs and outputs of all operators, except for views."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, and run the operator."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view and "empty" not in func.__name__:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return out


def floors(run: Run, *, threads: int, n_layers: int, n_filters: int, n_mixtures: int) -> Row:
    """The rates of the machine, and the speed that they allow for one network.

    The rates are those of matrix products and of copies of arrays far larger than the caches. The operations
    are those of the convolutions, and the bytes those that torch's operators read and write, one by one.
    """
    torch.set_num_threads(threads)
    rates = machine_rates()
    size = (n_layers, n_filters, n_mixtures)
    products = " and ".join(f"{rates[name] / 1e9:.0f} GFLOP/s in {name}" for name in dtypes())
    return {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "products": products,
        "gigabytes_a_second": rates["bandwidth"] / 1e9,
        "work": [
            floor(size, work, name, rates) for work in ("train", "score one class") for name in dtypes()
        ],
    }


def floor(size: tuple[int, int, int], work: str, precision: str, rates: dict[str, float]) -> Row:
    """The images a second that operations and bytes allow."""
    operations, n_bytes = costs(size, work, dtypes()[precision])
    return {
        "work": work,
        "precision": precision,
        "gflop": operations / 1e9,
        "megabytes": n_bytes / 1e6,
        "by_operations": rates[precision] / operations,
        "by_bytes": rates["bandwidth"] / n_bytes,
    }


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
    """The precisions of this machine: float32, and bfloat16 if it has instructions for it."""
    chosen = resolve_precision("auto", torch.device("cpu")).training
    return {"float32": torch.float32} | ({} if chosen is None else {"bfloat16": chosen})


def machine_rates() -> dict[str, float]:
    """Operations a second in each precision, and bytes a second."""
    n = 2048
    found = {}
    for name, dtype in dtypes().items():
        a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
        found[name] = best_rate(partial(torch.matmul, a, b), 2 * n**3)
    source = torch.zeros(2**26)
    target = torch.empty_like(source)
    found["bandwidth"] = best_rate(lambda: target.copy_(source), 2 * 4 * source.numel())
    return found


def costs(size: tuple[int, int, int], work: str, dtype: torch.dtype) -> tuple[float, float]:
    """Operations and bytes of an image, in training and in scoring one class."""
    torch.manual_seed(0)
    model = ConditionalPixelCNN(SHAPE, 256, 4, "mild", *size)
    flops, counted = FlopCounterMode(display=False), ByteCounter()
    for counter in (flops, counted):
        with counter:
            once(model, dtype, train=work == "train")
    return flops.get_total_flops() / BATCH, counted.bytes / BATCH


def once(model: ConditionalPixelCNN, dtype: torch.dtype, *, train: bool) -> None:
    """One batch."""
    levels = torch.randint(256, (BATCH, *SHAPE), dtype=torch.uint8)
    labels = torch.zeros(BATCH, dtype=torch.int64)
    with torch.set_grad_enabled(train):
        log_prob = model.train(train)(levels, labels, Execution(dtype=dtype))
        if train:
            log_prob.sum().backward()
