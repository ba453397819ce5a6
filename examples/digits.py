"""Learn scikit-learn's digits, classify held-out ones by Bayes' theorem, and draw what was learned.

python examples/digits.py --output demo
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay, log_loss
from sklearn.model_selection import train_test_split

from gencls import GenerativeBayesClassifier
from gencls.plotting import SampleGridDisplay, TrainingHistoryDisplay


def run(output: Path, max_epochs: int = 15, n_filters: int = 24, verbose: int = 1) -> dict[str, float]:
    """Fit, print the figures, and write the pictures into `output`."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    clf = GenerativeBayesClassifier(
        n_filters=n_filters, max_epochs=max_epochs, lr=3e-3, random_state=0, verbose=verbose
    )
    print(f"Learning p(image | digit) from {len(X_train)} images of 8 × 8 pixels ...", flush=True)
    fit_seconds = _timed(lambda: clf.fit(X_train, y_train))
    figures = _figures(clf, X_test, y_test) | {"fit_seconds": fit_seconds}
    print(
        f"Trained in {fit_seconds:.0f} s. On {len(X_test)} held-out images: "
        f"accuracy {figures['accuracy']:.3f}, log-loss {figures['log_loss']:.3f}, "
        f"{figures['bits_per_dim']:.3f} bits/dim (scored in {figures['score_seconds']:.1f} s)."
    )
    output.mkdir(parents=True, exist_ok=True)
    _draw(clf, X_test, y_test, output)
    return figures


def _figures(clf: Any, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    start = time.perf_counter()
    probabilities = clf.predict_proba(X)
    seconds = time.perf_counter() - start
    return {
        "accuracy": float((clf.classes_[probabilities.argmax(axis=1)] == y).mean()),
        "log_loss": log_loss(y, probabilities),
        "bits_per_dim": clf.bits_per_dim(X, y),
        "score_seconds": seconds,
    }


def _draw(clf: Any, X: np.ndarray, y: np.ndarray, output: Path) -> None:
    print("Drawing new digits ...", flush=True)
    SampleGridDisplay.from_estimator(clf, n_per_class=10, random_state=0)
    _save(output / "samples.png")
    ConfusionMatrixDisplay.from_predictions(y, clf.predict(X), colorbar=False)
    _save(output / "confusion_matrix.png")
    TrainingHistoryDisplay.from_estimator(clf)
    _save(output / "learning_curve.png")


def _save(path: Path) -> None:
    plt.savefig(path, dpi=120, bbox_inches="tight")
    plt.close("all")
    print(f"wrote {path}")


def _timed(action: Any) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder for the pictures")
    parser.add_argument("--max-epochs", type=int, default=15)
    parser.add_argument("--n-filters", type=int, default=24)
    options = parser.parse_args(arguments)
    run(options.output, options.max_epochs, options.n_filters)


if __name__ == "__main__":
    main()
