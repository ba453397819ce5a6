"""Fit an estimator, and score images that were held out."""

from __future__ import annotations

import warnings
from typing import Any

import splits
from budget import FOREVER, TimeBudget, clock
from experiments import Run
from gencls import GenerativeBayesClassifier, TrainingInterruptedWarning
from records import Row
from scores import all_scores, parameter_counts


def fit(run: Run, *, data: str, size: int = 8, flipped_copies: bool = False, **params: Any) -> Row:
    """Fit for `max_epochs`."""
    split = load(data, size, flipped_copies)
    clf = GenerativeBayesClassifier(**params, device=run.device, random_state=run.seed)
    return timed_fit(clf, split, run.device)


def fit_for_a_time(
    run: Run, *, data: str, seconds: float, size: int = 8, flipped_copies: bool = False, **params: Any
) -> Row:
    """Fit for a number of core-seconds, or on a GPU of seconds that pass."""
    split, budget = load(data, size, flipped_copies), TimeBudget(seconds, run.device)
    callbacks = {"callbacks": [("budget", budget)]}
    clf = GenerativeBayesClassifier(
        **params, max_epochs=FOREVER, device=run.device, random_state=run.seed, net_params=callbacks
    )
    row = timed_fit(clf, split, run.device)
    return row | {"epochs_trained": budget.steps_ * clf.batch_size / len(split.X)}


def load(data: str, size: int, flipped_copies: bool) -> splits.Split:
    """The images."""
    split = splits.load(data, size)
    return splits.with_flipped_copies(split) if flipped_copies else split


def timed_fit(clf: GenerativeBayesClassifier, split: splits.Split, device: str) -> Row:
    """Fit and score."""
    start = clock(device)
    fit_to_the_end(clf, split)
    fitted = clock(device)
    joint = clf.predict_joint_log_proba(split.X_val)
    scored = clock(device)
    return {
        **all_scores(joint, clf, split),
        **parameter_counts(clf),
        "epochs_trained": clf.n_iter_,
        "fit_core_seconds": fitted - start,
        "score_core_seconds": scored - fitted,
    }


def fit_to_the_end(clf: GenerativeBayesClassifier, split: splits.Split) -> None:
    """Fit; Ctrl-C ends everything instead of this training only, but for that of the time."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TrainingInterruptedWarning)
        clf.fit(split.X, split.y)
    interrupted = any(issubclass(warning.category, TrainingInterruptedWarning) for warning in caught)
    if interrupted and not time_is_up(clf):
        raise KeyboardInterrupt


def time_is_up(clf: GenerativeBayesClassifier) -> bool:
    """Whether the training ended because its time was used up."""
    callbacks = dict((clf.net_params or {}).get("callbacks", []))
    return bool(callbacks) and callbacks["budget"].used_up_
