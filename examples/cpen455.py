"""Classify the CPEN455 photographs (hamburger, giant panda, koala, pizza) by Bayes' theorem.

In minutes on a CPU, at 16 × 16; without --path the photographs are downloaded once:

    python examples/cpen455.py --path <folder with train.csv>

The sizes of the paper (Biswas), for a GPU and for hours:

    python examples/cpen455.py --size 32 --n-layers 5 --n-filters 120 --n-mixtures 10 --max-epochs 125
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.metrics import classification_report, log_loss

from gencls import GenerativeBayesClassifier
from gencls.datasets import fetch_cpen455

PARAMS: dict[str, Any] = {
    "conditioner": "mild",
    "n_layers": 1,
    "n_filters": 40,
    "n_mixtures": 5,
    "dropout": 0.0,
    "max_epochs": 12,  # each shows every photograph, and the same flipped
    "batch_size": 16,
    "lr": 2e-3,
    "device": "auto",
    "random_state": 0,
}


def main(path: str | None = None, size: int = 16, **params: Any) -> dict[str, float]:
    """Fit on the training photographs, and print the figures of the validation photographs."""
    train, validation = (
        fetch_cpen455(subset=subset, size=size, path=path) for subset in ("train", "validation")
    )
    names = np.array(train.target_names)
    X = np.concatenate([train.data, train.data[:, :, ::-1]])
    y, y_validation = names[np.tile(train.target, 2)], names[validation.target]

    clf = GenerativeBayesClassifier(**PARAMS | params, verbose=1)
    clf.fit(X, y)

    probabilities = clf.predict_proba(validation.data)
    print(classification_report(y_validation, clf.classes_[probabilities.argmax(axis=1)], zero_division=0))
    figures = {
        "accuracy": clf.score(validation.data, y_validation),
        "log-loss": float(log_loss(y_validation, probabilities)),
        "bits/dim": clf.bits_per_dim(validation.data, y_validation),
    }
    print(", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", help="folder with train.csv, validation.csv and the photographs")
    parser.add_argument("--size", type=int, default=16, help="rows and columns of the images")
    for name, value in PARAMS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    main(**vars(parser.parse_args()))
