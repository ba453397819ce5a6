"""Classify the CPEN455 photographs (hamburger, giant panda, koala, pizza) by Bayes' theorem, with a recipe.

In minutes on a CPU; without --path the photographs are downloaded once. The best results take hours:

    python examples/cpen455.py --path <folder with train.csv>
    python examples/cpen455.py --recipe photographs-best
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.metrics import classification_report, log_loss

from gencls import GenerativeBayesClassifier, list_recipes
from gencls.datasets import fetch_cpen455


def main(path: str | None = None, recipe: str = "photographs-fast", **overrides: Any) -> dict[str, float]:
    """Fit on the training photographs, and print the figures of the validation photographs."""
    train, validation = (
        fetch_cpen455(subset=subset, size=64, path=path) for subset in ("train", "validation")
    )
    names = np.array(train.target_names)
    X, y = train.data, names[train.target]
    X_test, y_test = validation.data, names[validation.target]

    clf = GenerativeBayesClassifier.from_recipe(recipe, random_state=0, verbose=1, **overrides)
    clf.fit(X, y)
    clf.calibrate(X_test, y_test)

    print(classification_report(y_test, clf.predict(X_test), zero_division=0))
    figures = {
        "accuracy": clf.score(X_test, y_test),
        "log-loss": float(log_loss(y_test, clf.predict_proba(X_test))),
        "bits/dim": clf.bits_per_dim(X_test, y_test),
    }
    print(", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", help="folder with train.csv, validation.csv and the photographs")
    parser.add_argument("--recipe", default="photographs-fast", choices=list_recipes())
    main(**vars(parser.parse_args()))
