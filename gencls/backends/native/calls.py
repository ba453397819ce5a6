"""Calls of the kernels.

All tensors are contiguous float32 tensors on the CPU with the channels last: images (B, H, W, F).
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Array, c_float, c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from . import library

__all__ = ["addresses", "call"]

NUMBERS = {int: c_int64, float: c_float}


def call(name: str, *arguments: Any) -> None:
    """Call a kernel with tensors, whole numbers, floats and arrays, and the number of threads of torch."""
    function = getattr(library(), f"gencls_{name}")
    arguments = *arguments, torch.get_num_threads()
    if function.argtypes is None:
        function.restype = None
        function.argtypes = [NUMBERS.get(type(each), c_void_p) for each in arguments]
    function(*[each if isinstance(each, (int, float, Array)) else _address(each) for each in arguments])


def addresses(tensors: Sequence[Tensor | None]) -> Array[c_void_p]:
    """Return a structure of pointers."""
    return (c_void_p * len(tensors))(*map(_address, tensors))


def _address(values: Tensor | None) -> int | None:
    if values is None:
        return None
    if values.dtype != torch.float32 or not values.is_cpu:  # a kernel would misread the memory
        raise TypeError(f"kernels need float32 on the CPU, got {values.dtype} on {values.device}")
    return values.data_ptr()
