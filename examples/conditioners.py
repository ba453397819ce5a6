"""Compare conditioners: the accuracy and the samples of each.

python examples/conditioners.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gencls import GenerativeBayesClassifier
from gencls.plotting import SampleGridDisplay


def main(
    names: Sequence[str] = ("head", "late", "mild", "low-rank"), max_epochs: int = 6, n_filters: int = 16
) -> Figure:
    """Fit one classifier with each conditioner, and draw its samples below its figures."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    figure, axes = plt.subplots(1, len(names), figsize=(3 * len(names), 6), layout="constrained")
    for name, axis in zip(names, axes, strict=True):
        clf = GenerativeBayesClassifier(
            name, n_filters=n_filters, max_epochs=max_epochs, lr=5e-3, random_state=0
        )
        clf.fit(X_train, y_train)
        accuracy, bits = clf.score(X_test, y_test), clf.bits_per_dim(X_test, y_test)
        SampleGridDisplay.from_estimator(clf, n_per_class=5, random_state=0, ax=axis)
        axis.set_title(f"{name}\naccuracy {accuracy:.3f}, {bits:.3f} bits/dim")
    return figure


if __name__ == "__main__":
    main().savefig("conditioners.png", dpi=120)
    print(f"wrote {Path('conditioners.png').resolve()}")
