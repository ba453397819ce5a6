"""Which device to compute on, and its random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .errors import InvalidParameterError

__all__ = ["resolve_device", "seeded"]


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
        if device is None or torch.empty(0, device=device).is_meta:
            raise TypeError("nothing can be computed there")
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidParameterError(
            f"The parameter 'device' of {owner} must be 'auto' or a device that is there, "
            f"got {str(device)!r} ({reason}). Use device='auto' or 'cpu'."
        ) from error
    return torch.device(device)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let torch's random numbers follow from `seed` in here, and leave its own stream as it was."""
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield
