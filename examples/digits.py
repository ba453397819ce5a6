"""Learn scikit-learn's digits, classify held-out ones by Bayes' theorem, and draw new ones.

python examples/digits.py --output demo
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay, log_loss
from sklearn.model_selection import train_test_split

from gencls import GenerativeBayesClassifier
from gencls.plotting import SampleGridDisplay, TrainingHistoryDisplay


def main(output: Path = Path("demo"), max_epochs: int = 15, n_filters: int = 24) -> dict[str, float]:
    """Fit, print the figures, and write pictures into `output`."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

    print(f"Learning p(image | digit) from {len(X_train)} images of 8 × 8 pixels ...", flush=True)
    clf = GenerativeBayesClassifier(
        n_filters=n_filters, max_epochs=max_epochs, lr=3e-3, random_state=0, verbose=1
    )
    start = time.perf_counter()
    clf.fit(X_train, y_train)
    print(f"Trained in {time.perf_counter() - start:.0f} s.")

    figures = {
        "accuracy": clf.score(X_test, y_test),
        "log-loss": log_loss(y_test, clf.predict_proba(X_test)),
        "bits/dim": clf.bits_per_dim(X_test, y_test),
    }
    words = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"On {len(X_test)} held-out images: {words}")

    print("Drawing new digits ...", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    SampleGridDisplay.from_estimator(clf, n_per_class=10, random_state=0)
    save(output / "samples.png")
    ConfusionMatrixDisplay.from_predictions(y_test, clf.predict(X_test), colorbar=False)
    save(output / "confusion_matrix.png")
    TrainingHistoryDisplay.from_estimator(clf)
    save(output / "learning_curve.png")
    return figures


def save(path: Path) -> None:
    """Write the current picture."""
    plt.savefig(path, dpi=120, bbox_inches="tight")
    plt.close("all")
    print(f"wrote {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Learn scikit-learn's digits.")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder for the pictures")
    parser.add_argument("--max-epochs", type=int, default=15)
    parser.add_argument("--n-filters", type=int, default=24)
    main(**vars(parser.parse_args()))
