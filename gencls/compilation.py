"""Whether there is a compiler for `torch.compile`."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor

from .errors import CompilationWarning

__all__ = ["can_compile"]


def can_compile(device_type: str) -> bool:
    """Whether `torch.compile` works for this type of device; if it does not, a warning says why."""
    reason = _obstacle(device_type)
    if reason is not None:
        warnings.warn(
            f"compile=True has no effect, as torch.compile does not work here ({reason}). Install a C++ "
            "compiler (on a GPU, triton), or set compile=False.",
            CompilationWarning,
            stacklevel=2,
        )
    return reason is None


@cache
def _obstacle(device_type: str) -> str | None:
    """Why nothing can be compiled for this type of device; None if it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's own
            torch.compile(_increment)(torch.zeros(1, device=device_type))
    except Exception as error:  # whatever is wrong with the compiler
        return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
    return None


def _increment(values: Tensor) -> Tensor:
    return values + 1
