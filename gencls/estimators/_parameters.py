"""What each parameter of the estimator must be."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any

from .._common.validation import (
    Rule,
    as_float,
    choice,
    either,
    flag,
    not_negative,
    optional,
    positive,
    random_state,
    real,
    share,
    whole,
)
from ..backends.device import PRECISIONS
from ..bayes.calibration import TEMPERATURE
from ..images.codec import LARGEST_VALUE
from ..training.callbacks import MONITORS

__all__ = ["RULES", "SHARED"]


def _is_image_shape(value: Any) -> bool:
    sized = isinstance(value, (tuple, list)) and len(value) in (2, 3)
    return sized and all(whole(1).accepts(size) for size in value)


def _is_range(value: Any) -> bool:
    paired = isinstance(value, (tuple, list)) and len(value) == 2
    return paired and all(map(FINITE.accepts, value)) and value[0] < value[1]


def _is_margin(value: float) -> bool:
    return value > 0 and (isfinite(as_float(value)) or value == inf)


FINITE = real("a number up to 1e300", lambda value: abs(as_float(value)) <= LARGEST_VALUE)

RULES: dict[str, Rule] = {
    "n_layers": whole(1),
    "n_filters": whole(1),
    "n_mixtures": whole(1),
    "dropout": share(),
    "flip": flag(),
    "shift": whole(0),
    "image_shape": optional(Rule("a tuple of 2 or 3 ints of at least 1", _is_image_shape)),
    "channel_axis": choice(-1, 1),
    "pixel_range": either(
        choice("auto"), Rule("a tuple (low, high) with low < high, from -1e300 to 1e300", _is_range)
    ),
    "n_levels": either(choice("auto"), whole(2, 256)),
    "temperature": either(choice("auto"), TEMPERATURE),
    "early_exit": optional(real("a number above 0, in nats", _is_margin)),
    "max_epochs": whole(1),
    "batch_size": whole(1),
    "lr": positive(),
    "ema_decay": share(),
    "gradient_clip": optional(positive()),
    "discriminative_weight": not_negative(),
    "discriminative_temperature": real(
        "a number from 1e-6 to 1e6", lambda value: 1e-6 <= as_float(value) <= 1e6
    ),
    "n_contrasted": optional(whole(2)),
    "early_stopping": either(flag(), choice(*MONITORS)),
    "validation_fraction": real("a number above 0 and below 1", lambda value: 0 < value < 1),
    "n_iter_no_change": whole(1),
    "net_params": optional(Rule("a dict", lambda value: isinstance(value, dict))),
    "precision": choice(*PRECISIONS),
    "compile": flag(),
    "checkpoint": flag(),
    "random_state": random_state(),
    "verbose": either(flag(), whole(0)),
    "warm_start": flag(),
}

# What `net_params` may set, too.
SHARED = {name: RULES[name] for name in ("lr", "batch_size", "max_epochs", "ema_decay", "gradient_clip")}
