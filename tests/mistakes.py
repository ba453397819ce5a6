"""Wrong inputs, each with the type of its error and what the message must name: parameter and value.

The sentences themselves are in ``data/messages.json``; see `test_mistakes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from small import NAMES, missing, quick, reshaped, shades, trained

from gencls import (
    Compute,
    ConditionerError,
    Flip,
    GenclsError,
    GenerativeBayesClassifier,
    Hybrid,
    InvalidInputError,
    InvalidParameterError,
    MeanJointClassifier,
    RandomCrop,
    Shift,
    Stage,
    bits_per_dim,
    expected_calibration_error,
)
from gencls.errors import AugmentationError, ObjectiveError
from gencls.training.data import Samples, check_sample_weight, hold_out


class Mistake(NamedTuple):
    """A call that fails, the type of its error, and words of the message."""

    call: Callable[[], Any]
    error: type[GenclsError]
    words: tuple[str, ...]


def fit(data=None, **parameters):
    """Fit a small classifier."""
    X, y = shades()
    return quick(**parameters).fit(**({"X": X, "y": y} | (data or {})))


# What each parameter of the classifier must be, and values that are not.
PARAMETERS: dict[str, tuple[str, list[Any]]] = {
    "resolution": ("int of at least 1", [0, 2.0, True, "8", (3,), (3, 0), (3, 3, 3)]),
    "max_epochs": ("an int of at least 1", [0, 1.5]),
    "lr": ("a number above 0", [0, math.inf, math.nan, "fast"]),
    "n_layers": ("an int of at least 1", [0]),
    "n_filters": ("an int of at least 1", [2.0]),
    "n_mixtures": ("an int of at least 1", [True]),
    "dropout": ("a number from 0 to below 1", [1.0, -0.1, None]),
    "image_shape": ("a tuple of 2 or 3 ints of at least 1", [(3,), "3x3", (3, 0), (3, 3.0)]),
    "channel_axis": ("-1 or 1", [0]),
    "pixel_range": ("low < high", [(3, 3), (0, 1e308), "all", (0, 1, 2), (0, math.nan)]),
    "n_levels": ("an int from 2 to 256", [257, 1, "many", None]),
    "temperature": ("a number from 1e-100 to 1e100", [1e-101, "hot", math.inf, None]),
    "views": ("'flips', 'six-crops'", ["mirror", 2, [], ["flips", 3]]),
    "stages": ("a non-empty list of gencls.Stage", [[], 3, [3]]),
    "batch_size": ("an int of at least 1", [-1]),
    "early_stopping": ("'bits_per_dim' or 'log_loss' or 'accuracy'", ["loss"]),
    "validation_fraction": ("a number above 0 and below 1", [0, 1]),
    "n_iter_no_change": ("an int of at least 1", ["5"]),
    "warm_start": ("True or False", [1]),
    "checkpoint_dir": ("a path", [3]),
    "net_params": ("a dict", [[]]),
    "random_state": ("an int from 0 to 2**32 - 1", [-1, 2**32, 1.5, "seed"]),
    "verbose": ("an int of at least 0", [-1]),
}

# Components, and the hyper-parameter that is wrong.
COMPONENTS: dict[str, list[tuple[Any, str, str]]] = {
    "objective": [
        (Hybrid(weight=-0.1), "'weight' of Hybrid", "-0.1"),
        (Hybrid(weight=math.inf), "'weight' of Hybrid", "inf"),
        (Hybrid(weight=None), "'weight' of Hybrid", "None"),  # type: ignore[arg-type]
        (Hybrid(temperature=0), "'temperature' of Hybrid", "0"),
        (Hybrid(temperature=5e-324), "'temperature' of Hybrid", "5e-324"),
        (Hybrid(n_contrasted=1), "'n_contrasted' of Hybrid", "1"),
    ],
    "augmentation": [
        (Shift(-1), "'most' of Shift", "-1"),
        (Shift(1.5), "'most' of Shift", "1.5"),  # type: ignore[arg-type]
        (Shift(True), "'most' of Shift", "True"),
        (Shift(3), "'most' of Shift", "3"),
        ([Flip(), RandomCrop(smallest=0)], "'smallest' of RandomCrop", "0"),
        (RandomCrop(resample="sharp"), "'resample' of RandomCrop", "'sharp'"),
    ],
    "compute": [
        (Compute(precision="half"), "'precision' of Compute", "'half'"),  # type: ignore[arg-type]
        (Compute(compile=1), "'compile' of Compute", "1"),  # type: ignore[arg-type]
        (Compute(gradient_checkpointing=None), "'gradient_checkpointing' of Compute", "None"),  # type: ignore[arg-type]
        (Compute(early_exit=0), "'early_exit' of Compute", "0"),
        ("fast", "'compute' of GenerativeBayesClassifier", "'fast'"),
        (None, "'compute' of GenerativeBayesClassifier", "None"),
    ],
    "stages": [
        ([Stage(0)], "'epochs' of stage 0", "0"),
        ([Stage(1), Stage(1, lr=-1)], "'lr' of stage 1", "-1"),
        ([Stage(1, resolution=0)], "'resolution' of stage 0", "0"),
        ([Stage(1, batch_size=2.5)], "'batch_size' of stage 0", "2.5"),  # type: ignore[arg-type]
        ([Stage(1, objective=Hybrid(weight=0))], "'weight' of Hybrid", "0"),
        ([Stage(1, augmentation=Shift(-2))], "'most' of Shift", "-2"),
    ],
    "priors": [
        ([0.5, 0.5], "'priors' of GenerativeBayesClassifier", "(2,)"),
        ("equal", "'priors' of GenerativeBayesClassifier", "'equal'"),
        ([0.5, 0.3, 0.1], "'priors' of GenerativeBayesClassifier", "[0.5, 0.3, 0.1]"),
        ([1.5, -0.5, 0], "'priors' of GenerativeBayesClassifier", "[1.5, -0.5, 0.0]"),
        ({0: 0.5, 1: 0.2, 7: 0.3}, "'priors' of GenerativeBayesClassifier", "7"),
    ],
    "checkpoint_dir": [
        ("/dev/null/folder", "'checkpoint_dir' of GenerativeBayesClassifier", "'/dev/null/folder'"),
    ],
}

# Names of plug-ins that there are not.
NAMES_OF_PLUGINS = [
    ("conditioner", "mildd", ConditionerError, ("'mildd'", "Did you mean 'mild'?", "low-rank")),
    ("conditioner", 3, ConditionerError, ("gencls.Conditioner", "got 3")),
    ("objective", "hybird", ObjectiveError, ("'hybird'", "Did you mean 'hybrid'?", "likelihood")),
    ("objective", 3, ObjectiveError, ("Objective", "got 3")),
    ("augmentation", "flipp", AugmentationError, ("'flipp'", "Did you mean 'flip'?", "random-crop")),
    ("augmentation", ["flip", 3], AugmentationError, ("Augmentation", "got 3")),
]

# X, y and other arguments of `fit`.
DATA = {
    "X of five dimensions": ({"X": reshaped(36, 3, 3, 1, 1)}, ("X ", "(36, 3, 3, 1, 1)")),
    "five channels": ({"X": reshaped(36, 3, 3, 5)}, ("1 to 4 channels", "got 5", "channel_axis")),
    "one class": ({"y": np.zeros(36)}, ("y ", "at least 2 classes", "0.0")),
    "X_val without y_val": ({"X_val": reshaped(2, 3, 3)}, ("X_val and y_val",)),
    "X_val of another shape": (
        {"X_val": reshaped(2, 3, 4), "y_val": [0, 1]},
        ("X_val and y_val", "(3, 3)", "got (3, 4)"),
    ),
    "y_val of another length": (
        {"X_val": reshaped(2, 3, 3), "y_val": [0, 1, 2]},
        ("X_val and y_val", "(2,)", "got (3,)"),
    ),
    "y_val of other classes": (
        {"X_val": reshaped(2, 3, 3), "y_val": [0, 7]},
        ("X_val and y_val", "(0, 1, 2)", "got also 7"),
    ),
    "weights of another length": ({"sample_weight": [1, 2]}, ("sample_weight", "(36,)", "got (2,)")),
    "weights for one class": (
        {"sample_weight": (np.arange(36) % 3 == 1).astype(float)},
        ("y ", "at least 2 classes", "1 class: 1"),
    ),
}
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "image_shape of other images": (
        {"image_shape": (4, 3)},
        {"X": reshaped(36, 3, 4)},
        ("X ", "(3, 4)", "image_shape=(4, 3)"),
    ),
    "image_shape of other rows": (
        {"image_shape": (3, 3)},
        {"X": reshaped(36, 10)},
        ("X ", "10 features", "image_shape=(3, 3)", "9"),
    ),
    "resolution of larger images": ({"resolution": 4}, {}, ("X ", "3 rows", "resolution=(4, 4)")),
    "resolution of a stage of larger images": (
        {"stages": [Stage(1, resolution=(3, 4)), Stage(1)]},
        {},
        ("X ", "3 columns", "resolution=(3, 4)"),
    ),
}

# What scikit-learn refuses; the rest of its sentences differs between its versions.
THEIRS = {
    "X with NaN": ({"X": missing(math.nan)}, "X contains NaN"),
    "X with infinity": ({"X": missing(math.inf)}, "X contains infinity"),
    "no samples": ({"X": np.zeros((0, 3, 3)), "y": []}, "0 sample(s) (shape=(0, 9))"),
    "no pixels": ({"X": np.zeros((36, 0, 3))}, "0 feature(s) (shape=(36, 0))"),
    "X of complex numbers": ({"X": reshaped(36, 9) + 1j}, "Complex data not supported"),
    "no y": ({"y": None}, "requires y"),
    "y of another length": ({"y": [0, 1, 2]}, "[36, 3]"),
    "y of numbers": ({"y": np.linspace(0, 1, 36)}, "continuous"),
    "y of two columns": ({"y": np.zeros((36, 2))}, "(36, 2)"),
}

# Arguments of methods after `fit`.
SEEN = "('ant', 'bee', 'cat')"
CLASSES = {
    "one unknown": (["ant", "dog"], (SEEN, "got also 'dog'")),
    "numbers": ([0, 1], (SEEN, "got also 0, 1")),
    "too few": (["ant"], ("(2,)", "got (1,)")),
    "two rows": ([["ant", "bee"]], ("(2,)", "got (1, 2)")),
}
MANY = [f"u{i:02}" for i in range(12)]
METHODS = {
    f"n_samples={value!r}": (
        partial(lambda value: trained().sample(value), value),
        InvalidParameterError,
        ("'n_samples' of sample", repr(value)),
    )
    for value in (0, -1, 2.0, True, "3", None)
} | {
    "samples of an unknown class": (lambda: trained().sample(2, y="dog"), InvalidInputError, (SEEN, "'dog'")),
    "samples of unknown classes": (
        lambda: trained().sample(2, y=["ant", "dog"]),
        InvalidInputError,
        (SEEN, "'dog'"),
    ),
    "samples of a number": (lambda: trained().sample(2, y=3), InvalidInputError, (SEEN, "got also 3")),
    "many unknown classes": (
        lambda: trained().log_likelihood(np.resize(shades()[0], (12, 3, 3)), MANY),
        InvalidInputError,
        (SEEN, "'u09', …"),
    ),
    "rows to complete": (
        lambda: trained().complete(shades()[0], 4),
        InvalidParameterError,
        ("'n_rows' of complete", "0 to 3", "got 4"),
    ),
    "a size of nothing": (
        lambda: trained().resized(0),
        InvalidParameterError,
        ("'size' of resized", "got 0"),
    ),
    "a recipe that there is not": (
        lambda: GenerativeBayesClassifier.from_recipe("papre"),
        InvalidParameterError,
        ("'name' of from_recipe", "'papre'", "Did you mean 'paper'?", "'photographs'"),
    ),
    "no members": (
        lambda: MeanJointClassifier([]).fit(*shades()),
        InvalidParameterError,
        ("'members' of MeanJointClassifier", "[]"),
    ),
    "no fitted members": (
        lambda: MeanJointClassifier.from_fitted([]),
        InvalidParameterError,
        ("'members' of MeanJointClassifier", "[]"),
    ),
    "members of different classes": (
        lambda: MeanJointClassifier.from_fitted([trained(), fit()]),
        InvalidParameterError,
        ("'members' of MeanJointClassifier", "'ant'", "[0, 1, 2]"),
    ),
    "weights for images of one size": (
        lambda: fit(stages=[Stage(1, resolution=2), Stage(1)], conditioner="spatial"),
        ConditionerError,
        ("'spatial'", "(3, 4, 2, 2)", "one size"),
    ),
    "checkpoints without a seed": (
        lambda: fit(checkpoint_dir="folder", random_state=None),
        InvalidParameterError,
        ("'random_state' of GenerativeBayesClassifier", "an int", "checkpoint_dir", "None"),
    ),
}

# Weights of samples, and images to hold out.
WEIGHTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "too few": ([1, 2], ("(3,)", "got (2,)")),
    "two axes": ([[1, 2, 3]], ("(3,)", "got (1, 3)")),
    "negative": ([1, -1, 2], ("non-negative", "from -1 to 2")),
    "NaN": ([1, np.nan, 2], ("finite", "from nan to nan")),
    "infinite": ([1, np.inf, 2], ("finite", "from 1 to inf")),
    "zeros": ([0, 0, 0], ("above 0", "only zeros")),
    "too large": ([1e308, 0, 1e308], ("1e-200 to 1e+200", "from 1e+308 to 1e+308")),
    "too small": ([5e-324, 1, 1], ("1e-200 to 1e+200", "from 4.94066e-324 to 1")),
    "strings": (["1", "2", "3"], ("numbers", "['1', '2', '3']")),
    "None": ([1, None, 2], ("numbers", "[1, None, 2]")),
    "by class": ({0: 1.0, 1: 2.0}, ("numbers", "{0: 1.0, 1: 2.0}", "compute_sample_weight")),
    "complex": ([1, 2j, 3], ("numbers", "[1, 2j, 3]")),
}
HELD_OUT = {
    "too few to hold out": ([0, 0, 1, 1], 0.1, ("1 would be held out", "2 classes ('cat', 'zebra')")),
    "too few to train on": ([0, 0, 1, 1], 0.9, ("0 would be left for training", "('cat', 'zebra')")),
    "one of a class": ([0] * 9 + [1], 0.5, ("only one", "'zebra'")),
}

# Probabilities and likelihoods of metrics.
EVEN = [[0.5, 0.5], [0.5, 0.5]]
CALIBRATION: dict[str, tuple[Any, Any, dict[str, Any], tuple[str, ...]]] = {
    "one axis": ([0, 1], [0.5, 0.5], {}, ("y_prob ", "got the shape (2,)")),
    "log-probabilities": (
        [0, 1],
        [[-0.5, -1.0], [-0.25, -1.5]],
        {},
        ("y_prob ", "sum to 1", "from -1.5 to -0.25", "predict_proba"),
    ),
    "another sum": ([0, 1], [[0.5, 0.4], [0.5, 0.5]], {}, ("y_prob ", "sum to 1", "from 0.9 to 1")),
    "too many classes": ([0, 1, 1], EVEN, {}, ("y_true ", "(2,)", "got (3,)")),
    "too few classes": ([1, 1], EVEN, {}, ("y_prob ", "2 columns", "y_true", "1 classes", "clf.classes_")),
    "too many labels": ([0, 1], EVEN, {"labels": [0, 1, 2]}, ("2 columns", "labels", "3 classes")),
    "unknown classes": (["a", "d"], EVEN, {"labels": ["a", "b"]}, ("y_true ", "labels", "got also 'd'")),
}
N_BINS: tuple[Any, ...] = (0, 2.0, True, None)


def _weighed(labels, fraction):
    n = len(labels)
    samples = Samples(np.zeros((n, 1, 1, 1), np.uint8), np.array(labels), np.ones(n))
    return hold_out(samples, fraction, seed=0, classes=np.array(["cat", "zebra"]))


def _parameter(name, value, words):
    owner = f"{name!r} of GenerativeBayesClassifier"
    return Mistake(partial(fit, **{name: value}), InvalidParameterError, (owner, words, f"got {value!r}"))


def _component(name, value, owner, shown):
    return Mistake(partial(fit, **{name: value}), InvalidParameterError, (owner, f"{shown}"))


OURS: dict[str, Mistake] = {}
OURS |= {
    f"{name}={value!r}": _parameter(name, value, words)
    for name, (words, values) in PARAMETERS.items()
    for value in values
}
OURS |= {
    f"{name}={wrong[0]!r}": _component(name, *wrong) for name, many in COMPONENTS.items() for wrong in many
}
OURS |= {
    f"{name}={value!r}": Mistake(partial(fit, **{name: value}), error, words)
    for name, value, error, words in NAMES_OF_PLUGINS
}
OURS |= {name: Mistake(partial(fit, data), InvalidInputError, words) for name, (data, words) in DATA.items()}
OURS |= {
    name: Mistake(partial(fit, data, **parameters), InvalidInputError, words)
    for name, (parameters, data, words) in SHAPES.items()
}
OURS |= {
    f"classes of {method}: {name}": Mistake(
        partial(lambda method, y: getattr(trained(), method)(shades()[0][:2], y), method, y),
        InvalidInputError,
        ("y ", *words),
    )
    for name, (y, words) in CLASSES.items()
    for method in ("log_likelihood", "bits_per_dim", "calibrate")
}
OURS |= {name: Mistake(*mistake) for name, mistake in METHODS.items()}
OURS |= {
    f"weights: {name}": Mistake(
        partial(check_sample_weight, weights, 3), InvalidInputError, ("sample_weight", *words)
    )
    for name, (weights, words) in WEIGHTS.items()
}
OURS |= {
    name: Mistake(
        partial(_weighed, labels, fraction),
        InvalidInputError,
        (f"validation_fraction={fraction:g}", *words, "X_val and y_val"),
    )
    for name, (labels, fraction, words) in HELD_OUT.items()
}
OURS |= {
    f"calibration error: {name}": Mistake(
        partial(expected_calibration_error, y_true, y_prob, **options), InvalidInputError, words
    )
    for name, (y_true, y_prob, options, words) in CALIBRATION.items()
}
OURS |= {
    f"n_bins={value!r}": Mistake(
        partial(expected_calibration_error, [0, 1], EVEN, value),
        InvalidParameterError,
        ("'n_bins' of expected_calibration_error", f"got {value!r}"),
    )
    for value in N_BINS
}
OURS |= {
    "likelihoods that are text": Mistake(
        partial(bits_per_dim, "a", 4), InvalidInputError, ("log_likelihood", "'a'")
    ),
    "a label that is missing": Mistake(
        lambda: fit({"y": pd.Series([None, *NAMES[shades()[1]][1:]])}), InvalidInputError, ("y ", "missing")
    ),
}
