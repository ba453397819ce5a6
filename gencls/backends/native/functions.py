"""The kernels as differentiable functions of tensors.

All tensors are contiguous float32 tensors on the CPU with the channels last: images (B, H, W, F).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .calls import call

__all__ = ["activate", "concat_elu", "convolve", "gate", "linear", "mix", "normalise"]

N_BITS = 16  # random bits per feature for dropout


def convolve(images: Tensor, weight: Tensor, bias: Tensor, left: int) -> Tensor:
    """Convolve with filters of two rows that end at the current row and start `left` columns before.

    The convolution uses minimal filtering; its relative error is about 1e-6 of the largest result.

    Parameters
    ----------
    images : Tensor of shape (B, H, W, in)
    weight : Tensor of shape (out, in, 2, K)
        K is 2 or 3.
    bias : Tensor of shape (out,)
    left : int

    Returns
    -------
    Tensor of shape (B, H, W, out)

    References
    ----------
    A. Lavin, S. Gray (2016), "Fast Algorithms for Convolutional Neural Networks", section 4.
    """
    out: Tensor = _Convolve.apply(images, weight, bias, left)
    return out


def linear(weights: list[Tensor], bias: Tensor, features: list[Tensor]) -> Tensor:
    """Multiply the features of each position by matrices, and add the products and a bias.

    Parameters
    ----------
    weights : list of Tensor of shape (out, in)
    bias : Tensor of shape (out,)
    features : list of Tensor of shape (B, H, W, in)
        One for each matrix.

    Returns
    -------
    Tensor of shape (B, H, W, out)
    """
    out: Tensor = _Linear.apply(bias, *weights, *features)
    return out


def concat_elu(features: Tensor) -> Tensor:
    """Concatenate the ELU of x and of -x: (B, H, W, F) becomes (B, H, W, 2F)."""
    out: Tensor = _ConcatELU.apply(features)
    return out


def activate(
    hidden: Tensor,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    added: Tensor | None = None,
    *,
    dropout: float = 0.0,
    key: int = 0,
    n_different: int | None = None,
) -> Tensor:
    """Return the concat-ELU of scale · hidden + shift + added, with dropout.

    Parameters
    ----------
    hidden : Tensor of shape (B, H, W, F)
    scale, shift : Tensor of shape (B, F), optional
    added : Tensor of shape (B, H, W, F), optional
    dropout : float, default=0.0
        Probability of dropping a feature, rounded to a multiple of 1 / 65,536.
    key : int, default=0
        Seed from 0 to 2**32 - 1; the same key drops the same features.
    n_different : int, optional
        Images i and i + n_different share their dropped features; None is B.

    Returns
    -------
    Tensor of shape (B, H, W, 2F)
    """
    dropping = n_dropped(dropout), n_different or len(hidden), key
    out: Tensor = _Activate.apply(hidden, scale, shift, added, *dropping)
    return out


def n_dropped(dropout: float) -> int:
    """Return how many of 65,536 random numbers drop a feature."""
    return min(round(dropout * 2**N_BITS), 2**N_BITS - 1)


def gate(
    features: Tensor | None, hidden: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """Return the features plus v · σ(g), where (v, g) is scale · hidden + shift.

    Parameters
    ----------
    features : Tensor of shape (B, H, W, F), optional
    hidden : Tensor of shape (B, H, W, 2F)
    scale, shift : Tensor of shape (B, 2F), optional

    Returns
    -------
    Tensor of shape (B, H, W, F)
    """
    out: Tensor = _Gate.apply(features, hidden, scale, shift)
    return out


def mix(features: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Add a low-rank linear map to the features of each position, x + LRx.

    Parameters
    ----------
    features : Tensor of shape (B, H, W, F)
    left : Tensor of shape (B, F, R)
    right : Tensor of shape (B, R, F)

    Returns
    -------
    Tensor of shape (B, H, W, F)
    """
    out: Tensor = _Mix.apply(features, left.mT.contiguous(), right)
    return out


def normalise(directions: list[Tensor], gains: list[Tensor]) -> tuple[Tensor, ...]:
    """Normalise weights: g v / ‖v‖ for each output of each layer, all in one step.

    Parameters
    ----------
    directions : list of Tensor of shape (out, ...)
    gains : list of Tensor of shape (out,)

    Returns
    -------
    tuple of Tensor, of the shapes of `directions`
    """
    weights: tuple[Tensor, ...] = _Normalise.apply(*directions, *gains)
    return weights


def factor_of_kept(n_dropped: int) -> float:
    """Return the factor of the features that are kept."""
    return 2**N_BITS / (2**N_BITS - n_dropped)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, left: int) -> Tensor:
        weight = weight.contiguous()
        ctx.save_for_backward(images, weight)
        ctx.sizes = *images.shape, len(weight), weight.shape[3], left
        out = images.new_empty(*images.shape[:-1], len(weight))
        call("convolve", images, weight, bias, out, *ctx.sizes)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        images, weight = ctx.saved_tensors
        shapes = images.shape, weight.shape, (len(weight),)
        wanted = [
            images.new_empty(shape) if needed else None
            for shape, needed in zip(shapes, ctx.needs_input_grad, strict=False)
        ]
        call("convolve_gradient", images, weight, gradient.contiguous(), *wanted, *ctx.sizes)
        return *wanted, None


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bias: Tensor, *parts: Tensor) -> Tensor:
        ctx.save_for_backward(*parts)
        weights, features = parts[: len(parts) // 2], parts[len(parts) // 2 :]
        out = features[0].new_empty(*features[0].shape[:-1], len(bias))
        for number, (weight, values) in enumerate(zip(weights, features, strict=True)):
            _multiply(values, weight, bias, out, add=number > 0)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        parts = ctx.saved_tensors
        gradient = gradient.contiguous()
        weights, features = parts[: len(parts) // 2], parts[len(parts) // 2 :]
        wanted = ctx.needs_input_grad[1:]
        of_weights = [
            _matrix_gradient(values, gradient) if needed else None
            for values, needed in zip(features, wanted, strict=False)
        ]
        of_features = [
            _multiply(gradient, weight.T, None, torch.empty_like(values)) if needed else None
            for weight, values, needed in zip(weights, features, wanted[len(weights) :], strict=False)
        ]
        return gradient.flatten(0, -2).sum(0), *of_weights, *of_features


def _multiply(
    values: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor, *, add: bool = False
) -> Tensor:
    """Multiply values (..., in) by weights (out, in), which may have strides; write to `out`, or add."""
    n_out, n_in = weight.shape
    call("linear", values, weight, *weight.stride(), bias, out, values.numel() // n_in, n_in, n_out, int(add))
    return out


def _matrix_gradient(values: Tensor, gradient: Tensor) -> Tensor:
    """Return the products of gradients (..., out) and values (..., in), summed over positions: (out, in)."""
    n_in, n_out = values.shape[-1], gradient.shape[-1]
    out = values.new_empty(n_out, n_in)
    call("linear_gradient", values, gradient, out, values.numel() // n_in, n_in, n_out)
    return out


class _ConcatELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        out = features.new_empty(*features.shape[:-1], 2 * features.shape[-1])
        call("concat_elu", features, out, *_pixels(features))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (features,) = ctx.saved_tensors
        out = torch.empty_like(features)
        call("concat_elu_gradient", features, gradient.contiguous(), out, *_pixels(features))
        return out


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        added: Tensor | None,
        dropped: int,
        n_different: int,
        key: int,
    ) -> Tensor:
        ctx.save_for_backward(hidden, scale, shift, added)
        n_images, height, width, channels = hidden.shape
        ctx.sizes = n_images, height * width, channels, n_different
        ctx.dropping = dropped, factor_of_kept(dropped), key
        out = hidden.new_empty(n_images, height, width, 2 * channels)
        call("activate", hidden, scale, shift, added, out, *ctx.sizes, *ctx.dropping)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        hidden, scale, shift, added = ctx.saved_tensors
        of_sum = torch.empty_like(hidden)
        of_hidden = of_sum if scale is None else torch.empty_like(hidden)
        of_scale, of_shift = _like(scale), _like(shift)
        gradients = gradient.contiguous(), of_sum, of_hidden, of_scale, of_shift
        call("activate_gradient", hidden, scale, shift, added, *gradients, *ctx.sizes, *ctx.dropping)
        return of_hidden, of_scale, of_shift, None if added is None else of_sum, None, None, None


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor | None, hidden: Tensor, scale: Tensor | None, shift: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(hidden, scale, shift)
        n_images, height, width, channels = hidden.shape
        ctx.sizes = n_images, height * width, channels // 2
        out = hidden.new_empty(n_images, height, width, channels // 2)
        call("gate", features, hidden, scale, shift, out, *ctx.sizes)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        hidden, scale, shift = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_hidden, of_scale, of_shift = torch.empty_like(hidden), _like(scale), _like(shift)
        call("gate_gradient", hidden, scale, shift, gradient, of_hidden, of_scale, of_shift, *ctx.sizes)
        return gradient if ctx.needs_input_grad[0] else None, of_hidden, of_scale, of_shift


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, left: Tensor, right: Tensor) -> Tensor:
        n_images, height, width, channels = features.shape
        ctx.sizes = n_images, height * width, channels, right.shape[1]
        inner, out = features.new_empty(n_images, height * width, right.shape[1]), torch.empty_like(features)
        call("mix", features, left, right, inner, out, *ctx.sizes)
        ctx.save_for_backward(features, left, right, inner)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        features, left, right, inner = ctx.saved_tensors
        gradients = tuple(torch.empty_like(each) for each in (features, left, right))
        operands = features, left, right, inner, gradient.contiguous(), torch.empty_like(inner)
        call("mix_gradient", *operands, *gradients, *ctx.sizes)
        return gradients


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *operands: Tensor) -> tuple[Tensor, ...]:
        directions, gains = operands[: len(operands) // 2], operands[len(operands) // 2 :]
        weights, norms = (
            [torch.empty_like(each) for each in directions],
            [torch.empty_like(each) for each in gains],
        )
        for direction, gain, weight, norm in zip(directions, gains, weights, norms, strict=True):
            call("normalise", direction, gain, weight, norm, len(gain), direction[0].numel())
        ctx.save_for_backward(*directions, *gains, *norms)
        return tuple(weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        number = len(gradients)
        saved = (ctx.saved_tensors[start : start + number] for start in (0, number, 2 * number))
        of_directions, of_gains = [], []
        for direction, gain, norm, gradient in zip(*saved, gradients, strict=True):
            of_directions.append(torch.empty_like(direction))
            of_gains.append(torch.empty_like(gain))
            operands = direction, gain, norm, gradient.contiguous(), of_directions[-1], of_gains[-1]
            call("normalise_gradient", *operands, len(gain), direction[0].numel())
        return *of_directions, *of_gains


def _like(values: Tensor | None) -> Tensor | None:
    return None if values is None else torch.empty_like(values)


def _pixels(features: Tensor) -> tuple[int, int]:
    """Return the numbers of positions and of channels."""
    return features.numel() // features.shape[-1], features.shape[-1]
