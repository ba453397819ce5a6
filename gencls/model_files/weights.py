"""Checks of the weights in a model file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .._common.validation import shortened
from ..density.model import ConditionalPixelCNN
from ..errors import GenclsError, ModelFileError
from ..pixelcnn import upper_left
from .fields import first_of

__all__ = ["check_scores", "check_weights"]

TENSORS_A_LAYER = 72  # at least: two convolutions of three tensors in each of twelve blocks
LARGEST_WEIGHT = 65_504  # the largest number of half precision
MOST_SCORED = 64  # classes
MOST_MODULATED = 2**24  # values in the modulations of a conditioner
CORNER = (2, 64)  # rows and columns


def check_weights(model: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Raise unless weights are those of such a model; no memory is allocated for others.

    Parameters
    ----------
    model : mapping
        The parameters of `ConditionalPixelCNN`.
    weights : mapping of str to Tensor
    """
    if TENSORS_A_LAYER * model["n_layers"] > len(weights):
        raise ModelFileError(f"{len(weights)} tensors are too few for n_layers={model['n_layers']}.")
    expected = _empty_weights(model)
    mistakes = first_of(
        f"the tensor {shortened(name)} {mistake}"
        for name in sorted(expected.keys() | weights.keys())
        if (mistake := _tensor_mistake(expected.get(name), weights.get(name)))
    )
    if mistakes:
        raise ModelFileError(f"The weights do not fit the model: {mistakes}.")


def check_scores(model: ConditionalPixelCNN) -> None:
    """Raise unless a corner of an image has a finite score: weights can be finite and scores not.

    Nothing is scored if the modulations of a conditioner can be too large, as maps over an image are.
    """
    per_class = sum(site.channels * site.height * site.width for site in model.network.sites)
    n_scored = min(model.n_classes, MOST_SCORED, MOST_MODULATED // per_class)
    if n_scored == 0:
        return
    channels, *size = model.image_shape
    height, width = map(min, size, CORNER)
    levels = torch.zeros(1, channels, height, width, dtype=torch.uint8, device=model.device)
    classes = torch.arange(n_scored, device=model.device)
    with torch.inference_mode():
        modulations = upper_left(model.eval().modulate_classes(classes), height, width)
        scores = model.network_log_prob(levels, modulations)
    if not scores.isfinite().all():
        raise ModelFileError("Its weights give an image no finite probability.")


def _empty_weights(model: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a model without their memory."""
    try:
        with _Uninitialised(), torch.device("meta"):
            return ConditionalPixelCNN(**model).float().state_dict()
    except GenclsError:
        raise
    except Exception as error:  # a conditioner of the user may raise anything
        raise ModelFileError(
            f"The model cannot be built on torch's device 'meta' ({type(error).__name__}: {error}). The "
            "conditioner's method build must not depend on the values of tensors."
        ) from error


class _Uninitialised(TorchFunctionMode):
    """Context manager that disables torch.nn.init, as tensors without memory have no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _tensor_mistake(expected: Tensor | None, found: Tensor | None) -> str | None:
    """The fault of a tensor, if any; half precision is accepted for single."""
    if found is None:
        return "is missing"
    if expected is None:
        return "is not part of it"
    if found.shape != expected.shape:
        return f"has the shape {tuple(found.shape)} and must have {tuple(expected.shape)}"
    if found.dtype not in {expected.dtype, torch.float16 if expected.dtype == torch.float32 else None}:
        return f"has the type {found.dtype} and must have {expected.dtype}"
    if not found.numel():
        return "is empty"
    if found.is_floating_point() and not _is_sensible(found):
        return f"has values that are not finite, or beyond ±{LARGEST_WEIGHT:,}"
    return None


def _is_sensible(weights: Tensor) -> bool:
    low, high = torch.aminmax(weights.detach())  # both are NaN if a value is
    return bool(low >= -LARGEST_WEIGHT) and bool(high <= LARGEST_WEIGHT)
