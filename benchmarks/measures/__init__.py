"""How runs are measured: functions of a run and the settings of its cell."""

from __future__ import annotations

from typing import Any

__all__ = ["PLAIN"]

# Parameters of the estimator that experiments do not inherit from its defaults, which suit a first fit.
PLAIN: dict[str, Any] = {
    "conditioner": "mild",
    "objective": "likelihood",
    "augmentation": None,
    "resolution": None,
    "lr": 1e-3,
    "batch_size": 32,
    "temperature": 1.0,
    "views": None,
}
