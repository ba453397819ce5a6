"""Whether an interrupted training is one of several that should end together."""

from __future__ import annotations

import sys
from types import FrameType

__all__ = ["is_one_of_several"]

RUNNERS = ("dask", "distributed", "joblib", "optuna", "ray", "sklearn")  # packages that call `fit` repeatedly
PASSED_ON = ("sklearn.base", "sklearn.pipeline")  # modules of these that call `fit` once, for the user


def is_one_of_several() -> bool:
    """Whether a library, such as a search or a cross-validation, called the running `fit`.

    The call stack shows this: a `fit` that the user calls, directly or through a pipeline, has no module of
    `RUNNERS` above it.

    Returns
    -------
    bool
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] in RUNNERS and module not in PASSED_ON:
            return True
        frame = frame.f_back
    return False
