"""Calls of the kernels.

All tensors are contiguous float32 tensors on the CPU with the channels last: images (B, H, W, F).
"""

from __future__ import annotations

from ctypes import c_float, c_int64, c_void_p
from functools import cache
from typing import Any

import torch
from torch import Tensor

from . import library

__all__ = ["call", "operand", "scale_and_shift"]

NUMBERS = {int: c_int64, float: c_float}


def scale_and_shift(scale: Tensor | None, shift: Tensor | None, channels: int) -> tuple[Any, ...]:
    """Return the operands of a scale and a shift, (B, F) each; the defaults are 1 and 0."""
    return *operand(scale, 1.0, channels), *operand(shift, 0.0, channels)


def operand(values: Tensor | None, otherwise: float, channels: int) -> tuple[Tensor, int]:
    """Return values and the step to those of the next image or pixel; the step of a constant is 0."""
    return (_constant(otherwise, channels), 0) if values is None else (values, channels)


@cache
def _constant(value: float, channels: int) -> Tensor:
    return torch.full((channels,), value, dtype=torch.float32, device="cpu")


def call(name: str, *arguments: Any) -> None:
    """Call a kernel with tensors, whole numbers and floats, and the number of threads of torch."""
    function = getattr(library(), f"gencls_{name}")
    arguments = *arguments, torch.get_num_threads()
    if function.argtypes is None:
        function.restype = None
        function.argtypes = [NUMBERS.get(type(each), c_void_p) for each in arguments]
    function(*[each if type(each) in NUMBERS else _address(each) for each in arguments])


def _address(values: Tensor | None) -> int | None:
    if values is None:
        return None
    if values.dtype != torch.float32 or not values.is_cpu:  # a kernel would misread the memory
        raise TypeError(f"kernels need float32 on the CPU, got {values.dtype} on {values.device}")
    return values.data_ptr()
