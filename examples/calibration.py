"""Reliability of the probabilities of a classifier, before and after learning a temperature.

python examples/calibration.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from gencls import GenerativeBayesClassifier


def main(n_train: int = 300, max_epochs: int = 12, n_filters: int = 16) -> Figure:
    """Draw the reliability of the predicted class for few training images."""
    X, y = load_digits(return_X_y=True)
    X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=n_train, stratify=y, random_state=0)
    X_learn, X_test, y_learn, y_test = train_test_split(
        X_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=0
    )
    clf = GenerativeBayesClassifier(
        n_filters=n_filters, max_epochs=max_epochs, batch_size=16, lr=5e-3, random_state=0
    )
    clf.fit(X_train, y_train)

    figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
    for name in ("Bayes' theorem", "with a temperature"):
        if name == "with a temperature":
            clf.calibrate(X_learn, y_learn)
        probabilities = clf.predict_proba(X_test)
        label = f"{name}: T = {clf.temperature_:.2f}, log-loss {log_loss(y_test, probabilities):.3f}"
        correct, confidence = clf.predict(X_test) == y_test, probabilities.max(axis=1)
        CalibrationDisplay.from_predictions(
            correct, confidence, n_bins=8, strategy="quantile", name=label, ax=axis
        )
    axis.set(xlabel="probability of the predicted class", ylabel="accuracy")
    return figure


if __name__ == "__main__":
    main().savefig("calibration.png", dpi=120)
    print(f"wrote {Path('calibration.png').resolve()}")
