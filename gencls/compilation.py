"""Compiling a network by `torch.compile`, where there is a compiler."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import cache

import torch
from torch import Tensor, nn

from .errors import CompilationWarning

__all__ = ["compile_in_place"]


def compile_in_place(networks: Iterable[nn.Module], device: torch.device) -> None:
    """Let networks be compiled when they are first called; without a compiler, warn and leave them."""
    reason = _obstacle(device.type)
    if reason is None:
        for network in networks:
            network.compile()
        return
    warnings.warn(
        f"compile=True has no effect, as torch.compile does not work here ({reason}). Install a C++ compiler "
        "(on a GPU, triton), or set compile=False.",
        CompilationWarning,
        stacklevel=2,
    )


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
