"""Trainings that go on where they were: after every epoch a line of results, and the whole classifier."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from records import Row, append
from tqdm import tqdm

from gencls import GenerativeBayesClassifier

SHOWN = ("train_bits_per_dim", "bits_per_dim", "accuracy")  # beside the progress bar


def follow(
    epochs: Sequence[Any],
    begin: Callable[[], GenerativeBayesClassifier],
    advance: Callable[[GenerativeBayesClassifier, Any], Row],
    *,
    checkpoint: Path,
    results: Path,
    done: Collection[Any] = (),
    before: int = 0,
    name: str = "",
) -> None:
    """Train a classifier to its end, on from where it is.

    Parameters
    ----------
    epochs : sequence of dataclass
        What is trained, an epoch after another; each is the beginning of its line.
    begin : callable
        Gives the classifier to train.
    advance : callable
        Trains it for one of the epochs, and gives the rest of the line.
    checkpoint, results : Path
        Files.
    done : collection
        The epochs that have a line already.
    before : int
        Epochs that the classifier to train has behind it.
    name : str
        What the progress bar says.
    """
    clf = _resume(epochs, checkpoint, done, before) or begin()
    n_done = getattr(clf, "n_iter_", 0) - before
    with tqdm(total=len(epochs), initial=n_done, desc=name, unit="epoch") as progress:
        for epoch in epochs[n_done:]:
            row = asdict(epoch) | advance(clf, epoch)
            append(row, results)
            replace(checkpoint, pickle.dumps(clf))
            progress.update()
            progress.set_postfix({name: row[name] for name in SHOWN if name in row})


def train_one_epoch(clf: GenerativeBayesClassifier, X: ArrayLike, y: ArrayLike) -> None:
    """One more epoch; if it is interrupted, the whole training ends, and the epoch does not count."""
    clf.partial_fit(X, y, classes=np.unique(y))


def replace(path: Path, content: bytes) -> None:
    """Write a file such that an interruption leaves the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_bytes(content)
    os.replace(beside, path)


def _resume(
    epochs: Sequence[Any], checkpoint: Path, done: Collection[Any], before: int
) -> GenerativeBayesClassifier | None:
    """The classifier as it was kept, if the lines of all its epochs are there."""
    clf = pickle.loads(checkpoint.read_bytes()) if checkpoint.exists() else None
    if clf is None or any(epoch not in done for epoch in epochs[: clf.n_iter_ - before]):
        return None
    return clf
