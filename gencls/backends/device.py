"""Devices and precisions by name."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..errors import InvalidParameterError

__all__ = ["PRECISIONS", "Precision", "resolve_device", "resolve_precision"]

PRECISIONS = ("auto", "float32", "bfloat16")


class Precision(NamedTuple):
    """The dtype of features in training and in prediction; None is the dtype of the weights."""

    training: torch.dtype | None = None
    prediction: torch.dtype | None = None


def resolve_device(device: str | torch.device, owner: str = "GenerativeBayesClassifier") -> torch.device:
    """Return the device of a name; ``"auto"`` is a GPU if available, else the CPU.

    Parameters
    ----------
    device : str or torch.device
    owner : str
        The owner of the parameter, for the error message.

    Raises
    ------
    InvalidParameterError
        If the device is unknown or unavailable.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if device is None or torch.empty(0, dtype=torch.float64, device=device).is_meta:
            raise TypeError("no computation is possible on this device")
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidParameterError(
            f"The parameter 'device' of {owner} must be 'auto' or an available device, got {str(device)!r} "
            f"({reason}). Use device='auto' or 'cpu'."
        ) from error
    return torch.device(device)


def resolve_precision(precision: str, device: torch.device) -> Precision:
    """Return the precision of a name in `PRECISIONS` on a device.

    ``"auto"`` trains in bfloat16 if the hardware has instructions for it, and predicts in float32.
    """
    if precision == "float32":
        return Precision()
    if precision == "bfloat16":
        return Precision(torch.bfloat16, torch.bfloat16)
    return Precision(training=torch.bfloat16 if _has_bfloat16(device) else None)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not public in all versions of torch
    return any(getattr(torch.cpu, name, bool)() for name in names)
