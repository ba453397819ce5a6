"""Whether compiled kernels compute, in which precision then, and torch's compiler."""

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
# Modules of torch's compiler, and those that it imports.
INSIDE = re.compile(r"torch\.(_dynamo|_functorch|_higher_order_ops|_inductor|_logging|_subclasses|fx|jit)\b")


def choose_way(
    precision: str, device: torch.device, *, compile: bool, warn: bool = True
) -> tuple[Precision, bool]:
    """The precision in which the network computes on a device, and whether compiled kernels do.

    On a CPU these are our own, for float32. They are as fast as torch is in bfloat16 or faster, so that
    ``"auto"`` is float32 with them.

    Parameters
    ----------
    precision : str
        One of `gencls.backends.device.PRECISIONS`.
    device : torch.device
    compile : bool
        Whether compiled kernels are wanted.
    warn : bool, default=True
        Whether a warning says why nothing can be compiled.

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
    native_ones = device.type == "cpu"
    reason = native.why_unavailable() if native_ones else _why_uncompilable(device.type)
    if reason is not None and warn:
        needed = "a C++ compiler, which the environment variable CXX can name" if native_ones else "triton"
        warnings.warn(
            f"compile=True has no effect, as nothing can be compiled here ({reason}). It needs {needed}; "
            "or set compile=False.",
            CompilationWarning,
            stacklevel=3,
        )
    return reason is None


@cache
def _why_uncompilable(device_type: str) -> str | None:
    """Why torch's compiler does not work for this type of device; None if it does."""
    try:
        fused(_increment)(torch.zeros(1, device=device_type))
    except Exception as error:  # whatever is wrong with the compiler
        return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
    return None


def _increment(values: Tensor) -> Tensor:
    return values + 1


def fused(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function as one kernel, for all sizes; torch compiles it when it is first called."""
    _leave_the_compiler_alone()
    settings = import_module("torch._dynamo").config  # slow to import, and needed only here
    if settings.cache_size_limit < MOST_VARIANTS:  # past it, nothing is compiled; each thread has its own
        settings.cache_size_limit = MOST_VARIANTS
    return _compiled(function)


@cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(function, dynamic=True)


def _leave_the_compiler_alone() -> None:
    """Ignore warnings that torch's compiler causes itself: where warnings are errors, they end it.

    The filter stays. All threads have the same filters, so that none can be set for a time only.
    """
    if warnings.filters[:1] != [("ignore", None, Warning, INSIDE, 0)]:
        warnings.filterwarnings("ignore", module=INSIDE.pattern)
