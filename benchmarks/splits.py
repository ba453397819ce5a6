"""Training and validation images."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gencls.datasets import fetch_cpen455
from gencls.images.resizing import resize_images


class Split(NamedTuple):
    """Images (N, H, W) or (N, H, W, 3) and classes (N,), to train on and to validate with."""

    X: NDArray[Any]
    y: NDArray[Any]
    X_val: NDArray[Any]
    y_val: NDArray[Any]


def load(data: str, size: int | None = None, n_train: int | None = None, seed: int = 0) -> Split:
    """Load one of the data sets.

    Parameters
    ----------
    data : {"digits", "cpen455", "mnist", "cifar10"}
    size : int, optional
        Rows and columns to which larger images are reduced, antialiased. None keeps their size.
    n_train : int, optional
        The number of training images to draw, each class in proportion. None keeps all.
    seed : int
        Of the draw. The validation images do not depend on it.
    """
    split = LOADERS[data]()
    if n_train is not None:
        drawn = stratified(split.y, n_train, seed)[0]
        split = split._replace(X=split.X[drawn], y=split.y[drawn])
    return split._replace(X=images(split.X, size), X_val=images(split.X_val, size))


def stratified(y: NDArray[Any], n: int, seed: int) -> list[NDArray[np.int64]]:
    """The indices of n samples with all classes in proportion, and those of the rest."""
    indices: list[NDArray[np.int64]] = train_test_split(
        np.arange(len(y)), train_size=n, stratify=y, random_state=seed
    )
    return indices


def images(X: NDArray[Any], size: int | None) -> NDArray[Any]:
    """Images of a size, from images or from JPEG files."""
    if X.dtype == object:
        X = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in X])
    if size is None or X.shape[1:3] == (size, size):
        return X
    if size > min(X.shape[1:3]):
        raise ValueError(f"These are images of {X.shape[1]}×{X.shape[2]} pixels: too few for {size}×{size}.")
    return resize_images(X.reshape(*X.shape[:3], -1), (size, size)).reshape(len(X), size, size, *X.shape[3:])


def digits() -> Split:
    """Digits of scikit-learn, 8×8, whole numbers from 0 to 16; a quarter is held out."""
    X, y = load_digits().images, load_digits().target
    X, X_val, y, y_val = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    return Split(X, y, X_val, y_val)


@cache
def cpen455() -> Split:
    """CPEN455, 64×64, with the names of its classes; the test images are not used.

    The images come from the folder that the environment variable GENCLS_CPEN455 names, or are downloaded.
    """
    train, validation = (fetch_cpen455(subset=subset, size=None) for subset in ("train", "validation"))
    names = np.array(validation.target_names)
    order = np.random.RandomState(0).permutation(len(train.data))
    return Split(train.data[order], names[train.target[order]], validation.data, names[validation.target])


@cache
def mnist() -> Split:
    """MNIST, 28×28, bytes; every fifth test image is used."""
    X, y, X_test, y_test = arrays("GENCLS_MNIST", "mnist.npz", "X_train", "y_train", "X_test", "y_test")
    return Split(X, y, X_test[::5], y_test[::5])


@cache
def cifar10() -> Split:
    """CIFAR-10 as JPEG files of 32×32 pixels, with the names of its classes.

    A stratified 2,000 of the 50,000 training images are held out; the official test images are not used.
    """
    jpeg, offsets, labels, names = arrays("GENCLS_CIFAR10", "train.npz", "jpeg", "offsets", "labels", "names")
    files = np.array([jpeg[start:end].tobytes() for start, end in pairwise(offsets)], dtype=object)
    y = names[labels]
    held_out, rest = stratified(y, len(y) // 25, seed=0)
    return Split(files[rest], y[rest], files[held_out], y[held_out])


def arrays(variable: str, file: str, *keys: str) -> list[NDArray[Any]]:
    """Arrays of a file in the folder that an environment variable names.

    Raises
    ------
    FileNotFoundError
        If the variable is not set, or if its folder has no such file.
    KeyError
        If the file lacks an array.
    """
    wanted = f"the environment variable {variable} to a folder with {file} (arrays {', '.join(keys)})"
    if not os.environ.get(variable):
        raise FileNotFoundError(f"Set {wanted}.")
    path = Path(os.environ[variable]).expanduser() / file
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Set {wanted}.")
    with np.load(path) as found:
        if absent := set(keys).difference(found):
            raise KeyError(f"{path} has no array {absent.pop()!r}. Set {wanted}.")
        return [found[key] for key in keys]


LOADERS: dict[str, Callable[[], Split]] = {
    "digits": digits,
    "cpen455": cpen455,
    "mnist": mnist,
    "cifar10": cifar10,
}


def with_flipped_copies(split: Split) -> Split:
    """The training images, and the same flipped left to right."""
    flipped = np.concatenate([split.X, split.X[:, :, ::-1]])
    return split._replace(X=flipped, y=np.concatenate([split.y, split.y]))
