"""Choice of kernels and precision, and the compiler of torch."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module

import torch
from torch import Tensor

from ..errors import CompilationWarning
from . import native
from .device import Precision, resolve_precision

__all__ = ["choose_way", "fused"]

MOST_VARIANTS = 64  # of a compiled function: with and without gradients, short-cuts, scales, maps, groups ...
# Modules of the compiler of torch, and modules that it imports.
INSIDE = re.compile(r"torch\.(_dynamo|_functorch|_higher_order_ops|_inductor|_logging|_subclasses|fx|jit)\b")


def choose_way(
    precision: str, device: torch.device, *, compile: bool, warn: bool = True
) -> tuple[Precision, bool]:
    """Choose the precision of the network on a device, and whether to use compiled kernels.

    On a CPU, compiled kernels are the native kernels of this package, for float32. They are at least as fast
    as torch in bfloat16, so ``"auto"`` resolves to float32 with them.

    Parameters
    ----------
    precision : str
        One of `gencls.backends.device.PRECISIONS`.
    device : torch.device
    compile : bool
        Whether compiled kernels are requested.
    warn : bool, default=True
        Whether to warn if they are requested but unavailable.

    Returns
    -------
    precision : Precision
    compiled : bool
    """
    compiled = compile and _can_compile(device, warn)
    if compiled and device.type == "cpu" and precision == "auto":
        precision = "float32"
    return resolve_precision(precision, device), compiled


def _can_compile(device: torch.device, warn: bool) -> bool:
    on_cpu = device.type == "cpu"
    reason = native.why_unavailable() if on_cpu else _why_uncompilable(device.type)
    if reason is not None and warn:
        needed = "a C++ compiler, or set the environment variable CXX to one" if on_cpu else "triton"
        warnings.warn(
            f"compile=True has no effect, because compilation failed ({reason}). Install {needed}; or set "
            "compile=False.",
            CompilationWarning,
            stacklevel=3,
        )
    return reason is None


@cache
def _why_uncompilable(device_type: str) -> str | None:
    """Return why the compiler of torch fails on this type of device; None if it works."""
    try:
        fused(_increment)(torch.zeros(1, device=device_type))
    except Exception as error:  # the compiler may raise anything
        return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
    return None


def _increment(values: Tensor) -> Tensor:
    return values + 1


def fused(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the function as one kernel for all sizes, which torch compiles at the first call."""
    _ignore_compiler_warnings()
    settings = import_module("torch._dynamo").config  # a slow import, needed only here
    if settings.cache_size_limit < MOST_VARIANTS:  # the limit is per thread; beyond it, nothing is compiled
        settings.cache_size_limit = MOST_VARIANTS
    return _compiled(function)


@cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(function, dynamic=True)


def _ignore_compiler_warnings() -> None:
    """Ignore warnings inside the compiler of torch, which would abort it where warnings are errors.

    The filter is permanent, because filters are shared by all threads.
    """
    if warnings.filters[:1] != [("ignore", None, Warning, INSIDE, 0)]:
        warnings.filterwarnings("ignore", module=INSIDE.pattern)
