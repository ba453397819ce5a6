"""The first fit of each contestant: the defaults of gencls, and what it is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

import splits
from baselines.residual_network import residual_network
from baselines.scikit_learn import scikit_learn
from budget import clock
from experiments import Run
from gencls import GenerativeBayesClassifier
from measures.fits import fit_to_the_end
from records import Row
from scores import class_scores, parameter_counts


def first_fit(run: Run, *, model: str, **settings: Any) -> Row:
    """Fit and score a contestant: "gencls", "residual network" or a classifier of scikit-learn."""
    if model == "gencls":
        return defaults(run, **settings)
    if model == "residual network":
        return residual_network(run, **settings)
    return scikit_learn(run, model=model, **settings)


def defaults(run: Run, *, data: str, n_train: int | None = None, **params: Any) -> Row:
    """Fit gencls on the images as given, with its defaults unless a test has parameters of its own."""
    split = splits.load(data, n_train=n_train, seed=run.seed)
    clf = GenerativeBayesClassifier(**params, device=run.device, random_state=run.seed)
    return as_a_user(run, clf, split)


def as_a_user(run: Run, clf: GenerativeBayesClassifier, split: splits.Split) -> Row:
    """Fit a classifier, and score its predictions as they are."""
    start = clock(run.device)
    fit_to_the_end(clf, split)
    fitted = clock(run.device)
    log_probabilities = clf.predict_log_proba(split.X_val)
    scored = clock(run.device)
    labels = np.searchsorted(clf.classes_, split.y_val)
    return {
        **class_scores(log_probabilities, labels),
        **parameter_counts(clf),
        "parameters": {name: repr(value) for name, value in clf.get_params(deep=False).items()},
        "bits_per_dim": clf.bits_per_dim(split.X_val, split.y_val),
        "size": clf.codec_.tensor_shape_[1],
        "epochs_trained": clf.n_iter_,
        "fit_core_seconds": fitted - start,
        "score_core_seconds": scored - fitted,
        "n_held_out": len(labels),
    }
