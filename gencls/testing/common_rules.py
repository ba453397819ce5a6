"""Rules for plug-ins of every kind."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from typing import Any

from sklearn.base import clone
from torch import Tensor

from ..model_files.json_values import to_json
from .contract import Broken, Subject, require

__all__ = ["fits_a_model_file", "is_an_estimator", "pickles", "require_meta", "require_unchanged"]


def is_an_estimator(subject: Subject) -> None:
    """It is made without arguments, cloned, and its hyper-parameters are set as in scikit-learn."""
    twin = clone(subject.make())
    twin.set_params(**twin.get_params(deep=False))


def pickles(subject: Subject) -> None:
    """It can be pickled."""
    pickle.loads(pickle.dumps(subject.make()))


def fits_a_model_file(subject: Subject) -> None:
    """A model file, which is JSON, can hold its hyper-parameters."""
    for name, value in subject.make().get_params(deep=False).items():
        try:
            to_json(value)
        except TypeError as error:
            raise Broken(f"{name}: {error}") from error


def require_unchanged(made: Any, before: dict[str, Any], method: str) -> None:
    """Raise `Broken` if a method has changed hyper-parameters."""
    after = made.get_params(deep=False)
    changed = [name for name in before if after[name] is not before[name]]
    require(not changed, f"{method} changed {', '.join(changed)}")


def require_meta(method: str, compute: Callable[[], Iterable[Tensor]]) -> None:
    """Raise `Broken` unless tensors computed from tensors on torch's device "meta" are also there.

    Nothing is raised if their values are needed, which that device does not have.
    """
    try:
        devices = {value.device.type for value in compute()}
    except RuntimeError as error:
        if "device" not in str(error) or isinstance(error, NotImplementedError):
            return
        raise Broken(f"{method} mixes devices: {error}") from error
    require(devices <= {"meta"}, f"{method} turns tensors on the device meta to {', '.join(devices)}")
