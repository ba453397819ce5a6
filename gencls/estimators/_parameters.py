"""Rules for the parameters of the estimator."""

from __future__ import annotations

from os import PathLike
from typing import Any

from .._common.validation import (
    Rule,
    as_float,
    choice,
    either,
    flag,
    optional,
    positive,
    random_state,
    real,
    share,
    sides,
    whole,
)
from ..bayes.calibration import TEMPERATURE
from ..images.codec import LARGEST_VALUE
from ..images.views import VIEWS
from ..training.plan import MONITORS, Stage

__all__ = ["RULES", "STAGE_RULES", "TRAINING_RULES"]


def _is_image_shape(value: Any) -> bool:
    sized = isinstance(value, (tuple, list)) and len(value) in (2, 3)
    return sized and all(whole(1).accepts(size) for size in value)


def _is_range(value: Any) -> bool:
    paired = isinstance(value, (tuple, list)) and len(value) == 2
    return paired and all(map(FINITE.accepts, value)) and value[0] < value[1]


def _are_views(value: Any) -> bool:
    given = value if isinstance(value, list | tuple) and value else [value]
    return all(isinstance(each, str) and each in VIEWS for each in given)


def _are_stages(value: Any) -> bool:
    return (
        isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(each, Stage) for each in value)
    )


FINITE = real("a number up to 1e300", lambda value: abs(as_float(value)) <= LARGEST_VALUE)

RULES: dict[str, Rule] = {
    "resolution": optional(either(choice("auto"), sides())),
    "max_epochs": either(choice("auto"), whole(1)),
    "lr": positive(),
    "n_layers": whole(1),
    "n_filters": whole(1),
    "n_mixtures": whole(1),
    "dropout": share(),
    "image_shape": optional(Rule("a tuple of 2 or 3 ints of at least 1", _is_image_shape)),
    "channel_axis": choice(-1, 1),
    "pixel_range": either(
        choice("auto"), Rule("a tuple (low, high) with low < high, from -1e300 to 1e300", _is_range)
    ),
    "n_levels": either(choice("auto"), whole(2, 256)),
    "temperature": either(choice("auto"), TEMPERATURE),
    "views": optional(
        either(choice("auto"), Rule(f"one of {', '.join(map(repr, VIEWS))}, or a list of them", _are_views))
    ),
    "stages": optional(Rule("a non-empty list of gencls.Stage", _are_stages)),
    "batch_size": either(choice("auto"), whole(1)),
    "early_stopping": either(flag(), choice(*MONITORS)),
    "validation_fraction": real("a number above 0 and below 1", lambda value: 0 < value < 1),
    "n_iter_no_change": whole(1),
    "net_params": optional(Rule("a dict", lambda value: isinstance(value, dict))),
    "random_state": random_state(),
    "verbose": either(flag(), whole(0)),
    "warm_start": flag(),
    "checkpoint_dir": optional(Rule("a path", lambda value: isinstance(value, str | PathLike))),
}

# Settings of training that `net_params` may hold in addition to parameters of skorch.
TRAINING_RULES: dict[str, Rule] = {
    "lr": positive(),
    "batch_size": whole(1),
    "max_epochs": whole(1),
    "ema_decay": share(),
    "gradient_clip": optional(positive()),
}

STAGE_RULES: dict[str, Rule] = {
    "epochs": whole(1),
    "lr": optional(positive()),
    "resolution": optional(sides()),
    "batch_size": optional(whole(1)),
    "n_images": optional(whole(1)),
}
