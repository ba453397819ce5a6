"""The training and validation images of CPEN455; the test images are left alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gencls.datasets import fetch_cpen455


class Split(NamedTuple):
    """Images (N, H, W, 3), uint8, and classes (N,), to train on and to validate with."""

    X: NDArray[np.uint8]
    y: NDArray[Any]
    X_val: NDArray[np.uint8]
    y_val: NDArray[Any]


@cache
def load_split(size: int, path: Path | None = None, n_images: int | None = None) -> Split:
    """Load the images.

    Parameters
    ----------
    size : int
        Rows and columns.
    path : Path, optional
        Where they are; without it what GENCLS_CPEN455 names, else they are downloaded.
    n_images : int, optional
        Train on as many, chosen at random; without it on all.
    """
    X, y = fetch_cpen455(subset="train", size=size, path=path, return_X_y=True)
    chosen = np.random.RandomState(0).permutation(len(X))[:n_images]
    return Split(
        X[chosen],
        y[chosen],
        *fetch_cpen455(subset="validation", size=size, path=path, return_X_y=True),
    )


def load_named(size: int, path: Path | None = None) -> Split:
    """The images with the names of their classes."""
    names = np.array(fetch_cpen455(subset="validation", size=size, path=path).target_names)
    X, y, X_val, y_val = load_split(size, path)
    return Split(X, names[y], X_val, names[y_val])
