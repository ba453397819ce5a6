"""Whether there is a compiler for what is to be compiled."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor

from . import native
from .device import Precision
from .errors import CompilationWarning

__all__ = ["can_compile"]


def can_compile(device: torch.device, precision: Precision) -> bool:
    """Whether blocks can be compiled for this device and precision; if they cannot, a warning says why.

    On a CPU in float32 these are kernels of our own, otherwise those of `torch.compile`.
    """
    reason = next(filter(None, map(_obstacle, _compilers(device, precision))), None)
    if reason is not None:
        warnings.warn(
            f"compile=True has no effect, as nothing can be compiled here ({reason}). Install a C++ compiler "
            "(on a GPU, triton), or set compile=False.",
            CompilationWarning,
            stacklevel=2,
        )
    return reason is None


def _compilers(device: torch.device, precision: Precision) -> list[str]:
    """What is needed: "native", or torch's compiler by the type of its device."""
    if device.type != "cpu":
        return [device.type]
    return ["cpu" if dtype == torch.bfloat16 else "native" for dtype in dict.fromkeys(precision)]


@cache
def _obstacle(compiler: str) -> str | None:
    """Why this compiler does not work; None if it does."""
    if compiler == "native":
        return native.obstacle()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's own
            torch.compile(_increment)(torch.zeros(1, device=compiler))
    except Exception as error:  # whatever is wrong with the compiler
        return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
    return None


def _increment(values: Tensor) -> Tensor:
    return values + 1
