"""Training and validation images."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gencls.datasets import fetch_cpen455


class Split(NamedTuple):
    """Images (N, H, W) or (N, H, W, 3) and classes (N,), to train on and to validate with."""

    X: NDArray[Any]
    y: NDArray[Any]
    X_val: NDArray[Any]
    y_val: NDArray[Any]


def load(data: str, size: int = 8) -> Split:
    """Load one of the data sets.

    Parameters
    ----------
    data : {"digits", "cpen455"}
    size : int
        Rows and columns; the digits have 8.
    """
    return cpen455(size) if data == "cpen455" else digits(size)


def digits(size: int = 8) -> Split:
    """Digits of scikit-learn, 8×8, whole numbers from 0 to 16; a quarter is held out."""
    if size != 8:
        raise ValueError(f"The digits are images of 8×8 pixels, not of {size}×{size}.")
    images, classes = load_digits().images, load_digits().target
    X, X_val, y, y_val = train_test_split(images, classes, test_size=0.25, stratify=classes, random_state=0)
    return Split(X, y, X_val, y_val)


@cache
def cpen455(size: int) -> Split:
    """CPEN455, with the names of its classes; the test images are not used.

    The images come from the folder that the environment variable GENCLS_CPEN455 names, or are downloaded.
    """
    train, validation = (fetch_cpen455(subset=subset, size=size) for subset in ("train", "validation"))
    names = np.array(validation.target_names)
    order = np.random.RandomState(0).permutation(len(train.data))
    return Split(train.data[order], names[train.target[order]], validation.data, names[validation.target])


def with_flipped_copies(split: Split) -> Split:
    """The training images, and the same flipped left to right."""
    flipped = np.concatenate([split.X, split.X[:, :, ::-1]])
    return split._replace(X=flipped, y=np.concatenate([split.y, split.y]))
