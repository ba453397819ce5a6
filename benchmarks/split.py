"""The training and validation images of CPEN455; the test images are left alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gencls.datasets import fetch_cpen455


class Split(NamedTuple):
    """Images (N, H, W, 3), uint8, and classes (N,), to train on and to validate with."""

    X: NDArray[np.uint8]
    y: NDArray[np.int64]
    X_val: NDArray[np.uint8]
    y_val: NDArray[np.int64]


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
