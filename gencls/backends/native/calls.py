"""Calls of the kernels with their workspace, sizes and number of threads.

All tensors are contiguous float32 tensors on the CPU with the channels last: images (B, H, W, F).
"""

from __future__ import annotations

from ctypes import c_int, c_int64, c_void_p
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import library

__all__ = [
    "call",
    "convolved",
    "filter_gradient",
    "matrix_gradient",
    "multiply",
    "operand",
    "scale_and_shift",
]

TILE = 4  # rows and columns of a tile of outputs, as in the kernels


def convolved(images: Tensor, weight: Tensor, bias: Tensor | None, top: int, left: int) -> Tensor:
    """Convolve images (B, H, W, in) with filters (out, in, 2, K).

    A filter starts `top` rows above and `left` columns before each position.
    """
    n_out, n_in, _, columns = weight.shape
    n_points = _points(columns)
    transformed = images.new_empty(n_points, n_in, _padded(n_out))
    strides = (c_int64 * 4)(*weight.stride())
    call("transform_filters", c_int(columns), weight, strides, transformed, n_in, n_out)
    out = images.new_empty(*images.shape[:-1], n_out)
    needed = n_in + n_points * _block() * (n_in + _padded(n_out))
    workspace = images.new_empty(torch.get_num_threads(), needed)
    sizes = *images.shape, n_out, top, left
    call("convolve", c_int(columns), images, transformed, bias, out, *sizes, workspace)
    return out


def filter_gradient(images: Tensor, gradient: Tensor, shape: torch.Size, left: int) -> Tensor:
    """Return the gradient of the filters (out, in, 2, K), from that of the result (B, H, W, out)."""
    n_out, n_in, _, columns = shape
    n_points, wide = _points(columns), _padded(n_out)
    out = images.new_empty(shape)
    needed = n_in + wide + n_points * _block() * (n_in + wide) + n_points * n_in * wide
    n_images, height, width, _ = images.shape
    n_threads = _threads(n_images * -(-height // TILE) * -(-width // TILE))
    workspace = images.new_empty(n_threads, needed)
    sizes = *images.shape, n_out, 1, left
    call("filter_gradient", c_int(columns), images, gradient, out, *sizes, workspace, n_threads=n_threads)
    return out


def multiply(values: Tensor, matrix: Tensor, bias: Tensor | None, out: Tensor, *, add: bool) -> Tensor:
    """Multiply values (..., in) by a matrix (in, out); write the result to `out`, or add it."""
    n_in, n_out = matrix.shape
    packed = F.pad(matrix, (0, _padded(n_out) - n_out)).contiguous()
    workspace = values.new_empty(torch.get_num_threads(), _block() * _padded(n_out))
    sizes = values.numel() // n_in, n_in, n_out
    call("linear", values, packed, bias, out, *sizes, c_int(add), workspace)
    return out


def matrix_gradient(values: Tensor, gradient: Tensor) -> Tensor:
    """Return the products of values (..., in) and gradients (..., out), summed over positions: (in, out)."""
    n_in, n_out = values.shape[-1], gradient.shape[-1]
    out = values.new_empty(n_in, _padded(n_out))
    n_positions = values.numel() // n_in
    n_threads = _threads(n_positions)
    workspace = values.new_empty(n_threads, (_block() + n_in) * _padded(n_out))
    sizes = n_positions, n_in, n_out
    call("linear_gradient", values, gradient, out, *sizes, workspace, n_threads=n_threads)
    return out[:, :n_out]


def scale_and_shift(scale: Tensor | None, shift: Tensor | None, channels: int) -> tuple[Any, ...]:
    """Return the operands of a scale and a shift, (B, F) each; the defaults are 1 and 0."""
    return *operand(scale, 1.0, channels), *operand(shift, 0.0, channels)


def operand(values: Tensor | None, otherwise: float, channels: int) -> tuple[Tensor, int]:
    """Return values and the step to those of the next image or pixel; the step of a constant is 0."""
    return (_constant(otherwise, channels), 0) if values is None else (values, channels)


@cache
def _constant(value: float, channels: int) -> Tensor:
    return torch.full((channels,), value, dtype=torch.float32, device="cpu")


def _points(columns: int) -> int:
    """Return the number of points of minimal filtering for filters with this number of columns."""
    return 5 * (columns + 3)


@cache
def _block() -> int:
    return int(library().gencls_block())


@cache
def _lanes() -> int:
    return int(library().gencls_lanes())


def _padded(channels: int) -> int:
    """Round up to a multiple of the vector width of the processor."""
    return -(-channels // _lanes()) * _lanes()


def _threads(n_items: int) -> int:
    """Return the number of threads: those of torch, at most one per block of tiles or positions."""
    return max(1, min(torch.get_num_threads(), -(-n_items // _block())))


def call(name: str, *arguments: Any, n_threads: int | None = None) -> None:
    """Call a kernel with the threads of torch, or fewer; ints are passed with 64 bits."""
    function = getattr(library(), f"gencls_{name}")
    function.restype = None
    function(*map(_as_c, arguments), c_int(n_threads or torch.get_num_threads()))


def _as_c(value: Any) -> Any:
    if value is None:
        return c_void_p()
    if isinstance(value, Tensor):
        if value.dtype != torch.float32 or value.device.type != "cpu":  # a kernel would misread the memory
            raise TypeError(f"kernels need float32 on the CPU, got {value.dtype} on {value.device}")
        return c_void_p(value.data_ptr())
    return c_int64(value) if isinstance(value, int) else value
