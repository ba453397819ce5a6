"""The time saved by the early exit, and the predictions that it changes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import torch

import splits
from experiments import Run
from gencls import GenerativeBayesClassifier, list_pretrained, load_pretrained
from gencls.inference import Scorer
from records import Row


def early_exit(
    run: Run, *, data: str, model: str, margins: Sequence[float], repeats: int, images: int | None = None
) -> Row:
    """Predict held-out images at each margin in turn, round after round; the best round counts.

    Parameters
    ----------
    run : Run
    data : str
    model : str
        One of the pretrained models, which has not seen the held-out images, or a model file.
    margins : sequence of float
        In nats.
    repeats : int
        Rounds.
    images : int, optional
        At most as many.
    """
    load = load_pretrained if model in list_pretrained() else GenerativeBayesClassifier.load
    clf = load(model, device=run.device)
    split = splits.load(data, clf.image_shape_[0])
    X, y = as_learned(clf, split.X_val[:images]), split.y_val[:images]
    return {
        "margins": compare(clf, X, y, margins, repeats),
        "droppable": droppable(clf, X),
        "n_held_out": len(X),
        "n_classes": len(clf.classes_),
        "conditioner": str(clf.conditioner),
    }


def as_learned(clf: GenerativeBayesClassifier, X: np.ndarray) -> np.ndarray:
    """Flat images if the model was trained on flat ones."""
    return X.reshape(len(X), -1) if clf.n_features_in_ == X[0].size else X


def compare(
    clf: GenerativeBayesClassifier, X: np.ndarray, y: np.ndarray, margins: Sequence[float], repeats: int
) -> list[Row]:
    """A row for exact predictions, and for each margin."""
    best: dict[float | None, float] = {}
    predicted = {}
    for _ in range(repeats):
        for margin in (None, *margins):
            clf.set_params(compute__early_exit=margin)
            start = time.process_time()
            predicted[margin] = clf.predict(X)
            best[margin] = min(time.process_time() - start, best.get(margin, math.inf))
    clf.set_params(compute__early_exit=None)
    return [
        {
            "margin": "none: exact" if margin is None else f"{margin:g}",
            "changed": float((found != predicted[None]).mean()),
            "accuracy": float((found == y).mean()),
            "milliseconds": 1000 * best[margin] / len(X),
            "times_faster": best[None] / best[margin],
        }
        for margin, found in predicted.items()
    ]


def droppable(clf: GenerativeBayesClassifier, X: np.ndarray) -> Row:
    """Share of the pairs of an image and a class that cannot win given the upper rows."""
    scorer = Scorer(clf.net_.averaged_model, clf.class_prior_)
    levels = torch.from_numpy(clf.codec_.encode(X.reshape(len(X), -1)))
    best = clf.predict_joint_log_proba(X).max(axis=1, keepdims=True)
    height = levels.shape[2]
    n_rows = {"half": height // 2, "three_quarters": 3 * height // 4, "all_but_one": height - 1}
    return {name: float(np.mean(scorer.joint(levels, n) < best)) for name, n in n_rows.items()}
