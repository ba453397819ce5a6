"""The identity of a training, which must be that of a checkpoint to resume from it."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np
import torch

from .._version import __version__
from ..training.data import TrainingData

__all__ = ["identity_of"]

NOT_COMPARED = ("checkpoint_dir", "verbose", "warm_start")  # the course of a training does not depend on them
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def identity_of(estimator: Any, data: TrainingData, held_out: TrainingData | None) -> dict[str, str]:
    """The parameters, the data and the versions on which a training depends, by names for messages."""
    params = {
        name: _words(value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in NOT_COMPARED
    }
    parts = {
        "pixel values": _words(data.codec.settled_ | {"dtype": str(data.codec.dtype_)}),
        "classes": _words(estimator.classes_),
        "images": data.digest(),
        "held-out images": "" if held_out is None else held_out.digest(),
        "initial weights": _digest(estimator.net_) if hasattr(estimator, "net_") else "",
        "versions": f"gencls {__version__}, torch {torch.__version__}",
    }
    return params | parts


def _words(value: Any) -> str:
    """A value as text that is the same in every process."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()  # a Series, whose repr leaves out the middle
    if isinstance(value, dict):
        return repr({key: _words(each) for key, each in sorted(value.items(), key=str)})
    if isinstance(value, np.ndarray):
        return repr(value.tolist())
    if isinstance(value, list | tuple):
        return repr([_words(each) for each in value])
    return ADDRESS.sub("", repr(value))


def _digest(net: Any) -> str:
    checksum = hashlib.sha256()
    for state in (net.module_.state_dict(), net.averaged_.state_dict()):
        for name, tensor in state.items():
            checksum.update(name.encode())
            checksum.update(tensor.cpu().numpy().tobytes())
    return checksum.hexdigest()
