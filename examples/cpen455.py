r"""Classify the CPEN455 images (hamburger, giant panda, koala, pizza) by Bayes' theorem.

In minutes on a CPU, at 16 × 16:

    python examples/cpen455.py --path <folder with train.csv>

The sizes of the paper (Biswas), for a GPU and for hours:

    python examples/cpen455.py --path <folder> --size 32 --n-layers 5 --n-filters 120 --n-mixtures 10 \
        --max-epochs 125

Without --path the images are downloaded once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import log_loss

from gencls import GenerativeBayesClassifier
from gencls.datasets import fetch_cpen455


def run(options: argparse.Namespace) -> dict[str, float]:
    """Fit on the training images and their mirror images, and print the figures on the validation images."""
    train, validation = (
        fetch_cpen455(subset=subset, size=options.size, path=options.path)
        for subset in ("train", "validation")
    )
    X = np.concatenate([train.data, train.data[:, :, ::-1]])
    y = np.array(train.target_names)[np.tile(train.target, 2)]
    y_validation = np.array(train.target_names)[validation.target]
    clf = _classifier(options)
    print(
        f"{len(X)} training images of {options.size} × {options.size}, {torch.get_num_threads()} threads",
        flush=True,
    )
    start = time.perf_counter()
    watched = (validation.data, y_validation) if options.watch else (None, None)
    clf.fit(X, y, X_val=watched[0], y_val=watched[1])
    fit_seconds = time.perf_counter() - start
    probabilities = clf.predict_proba(validation.data)
    figures = {
        "accuracy": float((clf.classes_[probabilities.argmax(axis=1)] == y_validation).mean()),
        "log_loss": log_loss(y_validation, probabilities),
        "bits_per_dim": clf.bits_per_dim(validation.data, y_validation),
        "fit_seconds": fit_seconds,
    }
    print(
        f"{options.conditioner}: trained in {fit_seconds:.0f} s; on {len(y_validation)} validation images "
        f"accuracy {figures['accuracy']:.3f}, log-loss {figures['log_loss']:.3f}, "
        f"{figures['bits_per_dim']:.3f} bits/dim"
    )
    return figures


def _classifier(options: argparse.Namespace) -> Any:
    names = "conditioner n_layers n_filters n_mixtures dropout max_epochs batch_size lr device random_state"
    chosen = {name: getattr(options, name) for name in names.split()}
    return GenerativeBayesClassifier(**chosen, verbose=1)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", help="folder with train.csv, validation.csv and the images")
    parser.add_argument("--size", type=int, default=16, help="rows and columns of the images")
    parser.add_argument("--conditioner", default="mild")
    parser.add_argument("--n-layers", type=int, default=1)
    parser.add_argument("--n-filters", type=int, default=40)
    parser.add_argument("--n-mixtures", type=int, default=5)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument(
        "--max-epochs", type=int, default=12, help="each shows every image and its mirror image"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--watch", action="store_true", help="record validation figures after every epoch")
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    main()
