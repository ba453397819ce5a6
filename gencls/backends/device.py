"""Which device to compute on, and in which precision."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..errors import InvalidParameterError

__all__ = ["PRECISIONS", "Precision", "resolve_device", "resolve_precision"]

PRECISIONS = ("auto", "float32", "bfloat16")


class Precision(NamedTuple):
    """The dtype of the network's features in training and in prediction; None is that of the weights."""

    training: torch.dtype | None = None
    prediction: torch.dtype | None = None


def resolve_device(device: str | torch.device, owner: str = "GenerativeBayesClassifier") -> torch.device:
    """The device of this name; ``"auto"`` is a GPU where there is one, else the CPU.

    Parameters
    ----------
    device : str or torch.device
    owner : str
        Whose parameter it is, for the error.

    Raises
    ------
    InvalidParameterError
        If it is unknown or not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if device is None or torch.empty(0, dtype=torch.float64, device=device).is_meta:
            raise TypeError("nothing can be computed there")
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidParameterError(
            f"The parameter 'device' of {owner} must be 'auto' or a device that is there, "
            f"got {str(device)!r} ({reason}). Use device='auto' or 'cpu'."
        ) from error
    return torch.device(device)


def resolve_precision(precision: str, device: torch.device) -> Precision:
    """What a name of `PRECISIONS` means on a device.

    ``"auto"`` trains in bfloat16 where the hardware has instructions for it, and predicts in float32.
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
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # no public name in all versions of torch
    return any(getattr(torch.cpu, name, bool)() for name in names)
