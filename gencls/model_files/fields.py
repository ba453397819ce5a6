"""Rules for the fields in the description of a model file.

Conditions between fields are checked in `reading`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from math import prod
from typing import Any

import numpy as np

from .._common.validation import Rule, choice, flag, optional, real, shortened, whole
from ..bayes.calibration import TEMPERATURE
from ..errors import ModelFileError
from .json_values import NUMBERS

__all__ = [
    "CODEC",
    "DESCRIPTION",
    "LEARNED",
    "PARAMETERS",
    "PLUGIN",
    "ROW",
    "STAGE",
    "check_fields",
    "first_of",
]

LARGEST_IMAGE = 2**20  # values, H · W · C
MOST_CLASSES = 2**16
LONGEST_NAME = 200  # characters
LARGEST_BOUND = 1e300  # of a pixel range: sums and multiples of bounds are finite
LARGEST_COUNT = 2**53  # up to which floats count
MOST_STAGES = 1_000
MOST_AUGMENTATIONS = 100
MOST_SYMMETRIES = 8  # augmentations with an orbit, all of whose combinations are scored
MOST_MISTAKES = 3  # that one message lists


def check_fields(
    owner: str, values: Mapping[str, Any], rules: Mapping[str, Rule], left_out: Collection[str] = ()
) -> None:
    """Raise unless every rule has a value that it accepts, and every value a rule.

    Parameters
    ----------
    owner : str
        Name of their owner in errors.
    values : mapping of str to object
    rules : mapping of str to Rule
    left_out : collection of str
        Fields that may be missing.

    Raises
    ------
    ModelFileError
    """
    if mistakes := first_of(_mistakes(values, rules, left_out)):
        raise ModelFileError(f"In {owner}, {mistakes}.")


def first_of(mistakes: Iterable[str]) -> str:
    """The first mistakes in one line, empty without any."""
    listed = list(islice(mistakes, MOST_MISTAKES + 1))
    return "; ".join(listed[:MOST_MISTAKES] + ["…"] * (len(listed) > MOST_MISTAKES))


def _mistakes(
    values: Mapping[str, Any], rules: Mapping[str, Rule], left_out: Collection[str]
) -> Iterable[str]:
    for name, rule in rules.items():
        if name not in values:
            if name not in left_out:
                yield f"{name} is missing"
        elif not _accepts(rule, values[name]):
            yield f"{name} must be {rule.description}, got {shortened(values[name])}"
    for name in values:
        if name not in rules:
            yield f"{shortened(name)} is unknown"


def _accepts(rule: Rule, value: Any) -> bool:
    try:
        return bool(rule.accepts(value))
    except (TypeError, ValueError, ArithmeticError):
        return False


def _is_name(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= LONGEST_NAME


def _is_image(shape: Any) -> bool:
    if type(shape) is not list or len(shape) not in (2, 3):
        return False
    return all(type(size) is int and size > 0 for size in shape) and prod(shape) <= LARGEST_IMAGE


def _are_classes(values: Any) -> bool:
    known = isinstance(values, np.ndarray) and values.ndim == 1 and 2 <= len(values) <= MOST_CLASSES
    return known and np.array_equal(np.unique(values), values)  # which NaN is not


def _are_counts(values: Any) -> bool:
    return _are_weights(values) and bool(values.max() > 0 and values.sum() <= LARGEST_COUNT)


def _is_prior(values: Any) -> bool:
    return _are_weights(values) and abs(values.sum() - 1) <= 1e-8


def _are_weights(values: Any) -> bool:
    known = isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype == np.float64
    return known and bool(np.isfinite(values).all() and (values >= 0).all())


def _are_words(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype == object


def _are_priors(values: Any) -> bool:
    """Whether they are None or numbers that sum to 1, in order or by class."""
    if values is None:
        return True
    listed = list(values.values()) if isinstance(values, dict) else values
    numbers = np.asarray(listed)
    return numbers.dtype.kind in "iuf" and _is_prior(numbers.astype(np.float64))


def _is_resolution(value: Any) -> bool:
    return type(value) is list and len(value) == 2 and all(type(side) is int and side > 0 for side in value)


def _is_settings(value: Any) -> bool:
    return type(value) is dict and all(name.isidentifier() and len(name) <= LONGEST_NAME for name in value)


def _are_mappings(values: Any, most: int) -> bool:
    return type(values) is list and len(values) <= most and all(type(each) is dict for each in values)


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= LARGEST_COUNT)


ANYTHING = Rule("anything", lambda value: True)
MAPPING = Rule("an object", lambda value: type(value) is dict)
OBJECTIVE = optional(MAPPING)
AUGMENTATION = optional(
    Rule(
        f"an object or a list of up to {MOST_AUGMENTATIONS} objects",
        lambda value: type(value) is dict or _are_mappings(value, MOST_AUGMENTATIONS),
    )
)
NAME = Rule(f"a string of 1 to {LONGEST_NAME} characters", _is_name)
NUMBER = Rule("a number", _is_number)
BOUND = real(f"a number within ±{LARGEST_BOUND:g}", lambda value: abs(value) <= LARGEST_BOUND)

DESCRIPTION = {
    "sha256": ANYTHING,
    "format_version": ANYTHING,
    "versions": Rule(
        "an object of strings", lambda value: type(value) is dict and all(map(_is_name, value.values()))
    ),
    "parameters": MAPPING,
    "conditioner": MAPPING,
    "objective": OBJECTIVE,
    "augmentation": AUGMENTATION,
    "stages": optional(
        Rule(
            f"a list of 1 to {MOST_STAGES:,} objects",
            lambda value: bool(value) and _are_mappings(value, MOST_STAGES),
        )
    ),
    "symmetry": Rule(
        f"a list of up to {MOST_SYMMETRIES} objects", lambda value: _are_mappings(value, MOST_SYMMETRIES)
    ),
    "codec": MAPPING,
    "fitted": MAPPING,
    "history": Rule(
        "a list of objects", lambda rows: type(rows) is list and all(type(row) is dict for row in rows)
    ),
    "n_steps": whole(0, LARGEST_COUNT),
    "card": MAPPING,
}

PLUGIN = {"name": NAME, "given_by_name": flag(), "class": NAME, "parameters": MAPPING}

STAGE = {
    "settings": Rule("an object of parameters", _is_settings),
    "objective": OBJECTIVE,
    "augmentation": AUGMENTATION,
}

CODEC = {
    "image_shape": Rule(
        f"a list of 2 or 3 ints of at least 1, with a product of at most {LARGEST_IMAGE:,}", _is_image
    ),
    "sample_shape": Rule("a list of 1 to 3 ints", lambda shape: type(shape) is list and len(shape) <= 3),
    "channel_axis": choice(-1, 1),
    "low": BOUND,
    "high": BOUND,
    "n_levels": whole(2, 256),
    "resolution": optional(Rule("a list of 2 ints of at least 1", _is_resolution)),
    "dtype": choice(*NUMBERS),
}

# Parameters that the constructor does not check itself, or only later.
PARAMETERS = {
    "priors": Rule("None, or non-negative numbers that sum to 1", _are_priors),
    "random_state": optional(whole(0, 2**32 - 1)),
}

# What `fit` learns besides codec, weights and history.
LEARNED = {
    "classes_": Rule(f"2 to {MOST_CLASSES:,} different classes in order", _are_classes),
    "class_count_": Rule("finite float64 of at least 0, not all 0", _are_counts),
    "class_prior_": Rule("float64 of at least 0 that sum to 1", _is_prior),
    "temperature_": TEMPERATURE,
    "n_features_in_": whole(1),
    "feature_names_in_": Rule("an array of strings", _are_words),
}

# Of the history; objectives and callbacks of users may add columns.
ROW = {
    "epoch": whole(0),
    "train_batch_count": whole(0),
    "dur": NUMBER,
    "train_loss": NUMBER,
    "train_bpd": NUMBER,
    "train_nll": NUMBER,
    "train_cross_entropy": NUMBER,
    "valid_bpd": NUMBER,
    "valid_accuracy": NUMBER,
    "valid_log_loss": NUMBER,
    "valid_temperature": TEMPERATURE,
}
