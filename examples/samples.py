"""Draw new digits, and complete digits from their upper half, with the pretrained model.

python examples/samples.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gencls import load_pretrained
from gencls.plotting import SampleGridDisplay


def main(n_per_class: int = 6, n_rows: int = 4) -> Figure:
    """Draw three grids: samples, held-out digits, and their completions below the first rows."""
    clf = load_pretrained("digits")
    X, y = load_digits(return_X_y=True)
    X, y = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)[1::2]  # not in its training set
    chosen = np.concatenate([np.flatnonzero(y == digit)[:n_per_class] for digit in range(10)])
    completed, predicted = clf.complete(X[chosen], n_rows=n_rows, random_state=0)

    figure, axes = plt.subplots(1, 3, figsize=(9, 5), layout="constrained")
    SampleGridDisplay.from_estimator(clf, n_per_class=n_per_class, random_state=0, ax=axes[0])
    for axis, images in zip(axes[1:], (X[chosen], completed), strict=True):
        SampleGridDisplay.from_images(images, y[chosen], n_per_class=n_per_class, ax=axis)
    for axis, title in zip(axes, ("drawn", "real", f"upper {n_rows} rows kept"), strict=True):
        axis.set_title(title)
    accuracy = (predicted == y[chosen]).mean()
    figure.suptitle(f"From {n_rows} rows the class is predicted with an accuracy of {accuracy:.2f}")
    return figure


if __name__ == "__main__":
    main().savefig("samples.png", dpi=120)
    print(f"wrote {Path('samples.png').resolve()}")
