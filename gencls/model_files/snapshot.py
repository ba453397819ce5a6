"""What is kept of a fitted classifier."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from ..conditioners import Conditioner
from ..images.codec import ImageCodec
from .fields import LEARNED

__all__ = ["FITTED", "NOT_KEPT", "Snapshot"]

FITTED = tuple(LEARNED)  # what an estimator does not have is left out

# A device and a compiler belong to a machine, and net_params reaches into skorch and torch, which a file must
# not.
NOT_KEPT = ("conditioner", "device", "compile", "net_params")


class Snapshot(NamedTuple):
    """A fitted classifier as a model file holds it.

    Attributes
    ----------
    parameters : dict
        Of the constructor.
    conditioner : Conditioner
        With its hyper-parameters.
    codec : ImageCodec
    fitted : dict
        The attributes that `FITTED` names.
    history : list of dict
        A row an epoch.
    n_steps : int
        Steps of training over which the weights are averaged.
    weights : dict of str to Tensor
        The averaged ones.
    """

    parameters: dict[str, Any]
    conditioner: Conditioner
    codec: ImageCodec
    fitted: dict[str, Any]
    history: list[dict[str, Any]]
    n_steps: int
    weights: dict[str, Tensor]
