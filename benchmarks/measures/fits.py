"""Fit an estimator, and score images that were held out."""

from __future__ import annotations

import warnings
from typing import Any

import splits
from budget import FOREVER, TimeBudget, clock
from experiments import Run
from gencls import GenerativeBayesClassifier, TrainingInterruptedWarning
from measures import PLAIN
from records import Row
from scores import all_scores, parameter_counts


def fit(run: Run, *, data: str, size: int | None = None, **params: Any) -> Row:
    """Fit for `max_epochs`."""
    clf = GenerativeBayesClassifier(**(PLAIN | params), device=run.device, random_state=run.seed)
    return timed_fit(clf, splits.load(data, size), run.device)


def fit_for_a_time(
    run: Run,
    *,
    data: str,
    seconds: float,
    size: int | None = None,
    flipped_copies: bool = False,
    **params: Any,
) -> Row:
    """Fit for a number of core-seconds, or on a GPU for wall-clock seconds."""
    split, budget = splits.load(data, size), TimeBudget(seconds, run.device)
    split = splits.with_flipped_copies(split) if flipped_copies else split
    clf = GenerativeBayesClassifier(
        **(PLAIN | params),
        max_epochs=FOREVER,
        device=run.device,
        random_state=run.seed,
        net_params=budget.net_params,
    )
    row = timed_fit(clf, split, run.device, budget)
    return row | {"epochs_trained": budget.steps_ * clf.get_params()["batch_size"] / len(split.X)}


def timed_fit(
    clf: GenerativeBayesClassifier, split: splits.Split, device: str, budget: TimeBudget | None = None
) -> Row:
    """Fit and score."""
    start = clock(device)
    fit_to_the_end(clf, split, budget)
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


def fit_to_the_end(
    clf: GenerativeBayesClassifier,
    split: splits.Split,
    budget: TimeBudget | None = None,
    **fit_params: Any,
) -> None:
    """Fit; an interruption by the user ends everything, not only this training."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TrainingInterruptedWarning)
        clf.fit(split.X, split.y, **fit_params)
    time_is_up = budget is not None and budget.share_ >= 1
    if any(issubclass(warning.category, TrainingInterruptedWarning) for warning in caught) and not time_is_up:
        raise KeyboardInterrupt
