"""The state of a fitted classifier."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from ..augmentations import Augmentation
from ..images.codec import ImageCodec
from .fields import LEARNED

__all__ = ["APART", "FITTED", "NOT_KEPT", "Snapshot"]

FITTED = tuple(LEARNED)  # missing attributes are left out

# Parameters of a machine or of one training. A file must not set them: net_params reaches into skorch and
# torch, and checkpoint_dir into the file system.
NOT_KEPT = ("checkpoint_dir", "compute", "device", "net_params")
APART = ("augmentation", "conditioner", "objective", "stages")  # parameters that have entries of their own


class Snapshot(NamedTuple):
    """A fitted classifier as a model file holds it.

    Attributes
    ----------
    parameters : dict
        Of the constructor; each of the ``stages`` is a dict.
    symmetry : list of Augmentation
        Those over whose orbits the density is averaged.
    codec : ImageCodec
    fitted : dict
        The attributes that `FITTED` names.
    history : list of dict
        A row per epoch.
    n_steps : int
        Steps of training over which the weights are averaged.
    weights : dict of str to Tensor
        The averaged ones.
    """

    parameters: dict[str, Any]
    symmetry: list[Augmentation]
    codec: ImageCodec
    fitted: dict[str, Any]
    history: list[dict[str, Any]]
    n_steps: int
    weights: dict[str, Tensor]
