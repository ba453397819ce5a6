"""For labels only: classifiers of scikit-learn on pixels, with common settings."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

import splits
from experiments import Run
from records import Row
from scores import class_scores

MODELS = {
    "logistic regression": lambda seed: LogisticRegression(max_iter=1000),
    "linear discriminant analysis": lambda seed: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "Gaussian naive Bayes": lambda seed: GaussianNB(var_smoothing=1e-2),
    "nearest neighbours": lambda seed: KNeighborsClassifier(),
    "random forest": lambda seed: RandomForestClassifier(n_estimators=500, random_state=seed),
    "gradient boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
    "support vectors": lambda seed: CalibratedClassifierCV(SVC(C=10), ensemble=False),
}
SMALLEST = 1e-6  # probability: forests and neighbours return 0 without votes


def scikit_learn(
    run: Run, *, data: str, model: str, size: int | None = None, n_train: int | None = None
) -> Row:
    """Fit and score one classifier.

    All pixels are scaled alike: a standard deviation of its own would inflate the noise of a pixel that is
    black in most images.
    """
    split = splits.load(data, size, n_train, run.seed)
    mean, deviation = split.X.mean(), split.X.std()
    X, X_val = ((flat(images) - mean) / deviation for images in (split.X, split.X_val))
    clf = MODELS[model](run.seed)
    start = time.process_time()
    clf.fit(X, split.y)
    fitted = time.process_time()
    probabilities = clf.predict_proba(X_val)
    scored = time.process_time()
    labels = np.searchsorted(clf.classes_, split.y_val)
    return class_scores(np.log(probabilities.clip(SMALLEST)), labels) | {
        "fit_core_seconds": fitted - start,
        "score_core_seconds": scored - fitted,
        "n_held_out": len(labels),
    }


def flat(images: Any) -> np.ndarray:
    """A row for each image."""
    return images.reshape(len(images), -1).astype(np.float64)
