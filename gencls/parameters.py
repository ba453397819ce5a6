"""What each parameter of the estimator must be."""

from __future__ import annotations

from math import isfinite
from numbers import Real
from typing import Any

from .callbacks import MONITORS, NEEDED_CALLBACKS
from .device import PRECISIONS
from .validation import Rule, choice, either, flag, optional, real, whole

__all__ = ["RULES"]


def _is_image_shape(value: Any) -> bool:
    sized = isinstance(value, (tuple, list)) and len(value) in (2, 3)
    return sized and all(whole(1).accepts(size) for size in value)


def _is_range(value: Any) -> bool:
    paired = isinstance(value, (tuple, list)) and len(value) == 2
    finite = paired and all(isinstance(bound, Real) and isfinite(bound) for bound in value)
    return finite and value[0] < value[1] and isfinite(value[1] - value[0])


def _is_net_params(value: Any) -> bool:
    """Whether it is a dict that leaves alone what is set elsewhere, and what training cannot do without."""
    if not isinstance(value, dict):
        return False
    switched_off = {f"callbacks__{name}" for name in NEEDED_CALLBACKS} & value.keys()
    set_elsewhere = [key for key in value if key == "iterator_train__batch_size" or key.startswith("module")]
    return value.get("callbacks") != "disable" and not switched_off and not set_elsewhere


NOT_NEGATIVE = real("a number of at least 0", lambda value: 0 <= value < float("inf"))
POSITIVE = real("a number above 0", lambda value: 0 < value < float("inf"))
SHARE = real("a number from 0 to below 1", lambda value: 0 <= value < 1)

RULES: dict[str, Rule] = {
    "n_layers": whole(1),
    "n_filters": whole(1),
    "n_mixtures": whole(1),
    "dropout": SHARE,
    "flip": flag(),
    "shift": whole(0),
    "image_shape": optional(Rule("a tuple of 2 or 3 ints of at least 1", _is_image_shape)),
    "channel_axis": choice(-1, 1),
    "pixel_range": either(choice("auto"), Rule("a tuple (low, high) with low < high", _is_range)),
    "n_levels": either(choice("auto"), whole(2, 256)),
    "temperature": either(choice("auto"), POSITIVE),
    "early_exit": optional(real("a number above 0, in nats", lambda value: value > 0)),
    "max_epochs": whole(1),
    "batch_size": whole(1),
    "lr": POSITIVE,
    "ema_decay": SHARE,
    "gradient_clip": optional(POSITIVE),
    "discriminative_weight": NOT_NEGATIVE,
    "discriminative_temperature": POSITIVE,
    "n_contrasted": optional(whole(2)),
    "early_stopping": either(flag(), choice(*MONITORS)),
    "validation_fraction": real("a number above 0 and below 1", lambda value: 0 < value < 1),
    "n_iter_no_change": whole(1),
    "net_params": optional(
        Rule(
            f"a dict that leaves the callbacks {' and '.join(NEEDED_CALLBACKS)} alone, and module, its "
            "parameters and iterator_train__batch_size to the parameters of the estimator",
            _is_net_params,
        )
    ),
    "precision": choice(*PRECISIONS),
    "compile": flag(),
    "checkpoint": flag(),
    "verbose": either(flag(), whole(0)),
    "warm_start": flag(),
}
