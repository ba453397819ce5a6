"""Loaders of labelled images, in the style of `sklearn.datasets`.

Each returns a ``Bunch``: the images in ``data``, integer codes in ``target``, what the codes mean in
``target_names``, where each image came from in ``filenames``, and a description in ``DESCR``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from . import _cpen455
from ._decoding import some_of
from ._tables import read_table
from .errors import DataSetError
from .images import MAX_PIXELS, READING_RULES, ReadImages
from .validation import Rule, check_parameters, choice, either, flag, optional

__all__ = ["fetch_cpen455", "load_image_csv", "load_image_folder"]

EXTENSIONS = (".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

PATH = Rule("a path", lambda value: isinstance(value, str | os.PathLike))
ENDINGS = Rule(
    "a list of endings such as '.png'", lambda value: _is_names(value) and all(map(_is_ending, value))
)
NAMES = Rule("a list of different names", lambda value: _is_names(value) and len(set(value)) == len(value))


def _is_names(value: Any) -> bool:
    listed = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return listed and len(value) > 0 and all(isinstance(name, str) for name in value)


def _is_ending(name: str) -> bool:
    return name.startswith(".") and len(name) > 1


def load_image_folder(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = 32,
    mode: str = "RGB",
    resample: str = "bilinear",
    max_pixels: int = MAX_PIXELS,
    classes: Sequence[str] | None = None,
    extensions: Sequence[str] = EXTENSIONS,
    return_X_y: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Any:
    """Load images from a folder that has one sub-folder for each class.

    The images lie directly in the sub-folders, whose names are those of the classes. Hidden files, files with
    other extensions, and folders within the sub-folders are passed over. The order is alphabetical.

    Parameters
    ----------
    path : str or path-like
        The folder.
    size, mode, resample, max_pixels
        How each image is read: see `gencls.images.read_image`. With ``size=None`` all must have one size.
    classes : sequence of str or None, default=None
        The sub-folders to read, in the order of their codes; None takes all. When you load further images for
        the same classifier, give the ``target_names`` of the first, so that the codes agree.
    extensions : sequence of str
        What the names of images end with, such as ".png"; capitals make no difference.
    return_X_y : bool, default=False
        Return ``(data, target)`` rather than a Bunch.
    n_jobs : int or None, default=None
        How many images are read at a time, in threads.
    verbose : int, default=0
        Show a progress bar where it is not 0.

    Returns
    -------
    Bunch, or (data, target) with ``return_X_y=True``
        ``data``: ndarray of uint8, (N, H, W, C), or (N, H, W) with ``mode="L"``. ``target``: ndarray of
        int64, (N,), indices into ``target_names``. ``target_names``: list of str. ``filenames``: ndarray of
        str, (N,). ``DESCR``: str.

    Raises
    ------
    DataSetError
        The folder or a class is missing, or has no images.
    ImageFileError
        Images cannot be read.
    InvalidParameterError
        A parameter is wrong; all that are wrong are reported.
    """
    reader = ReadImages(size, mode, resample, max_pixels, n_jobs, verbose)
    values = {"path": path, "classes": classes, "extensions": extensions, "return_X_y": return_X_y}
    rules = {"path": PATH, "classes": optional(NAMES), "extensions": ENDINGS, "return_X_y": flag()}
    check_parameters("load_image_folder", values | reader.get_params(), rules | READING_RULES)
    names = _class_folders(Path(path), classes)
    endings = tuple(ending.lower() for ending in extensions)
    files = [_images_in(Path(path, name), endings) for name in names]
    empty = [repr(name) for name, found in zip(names, files, strict=True) if not found]
    if empty:
        raise DataSetError(
            f"These sub-folders of {str(path)!r} hold no files whose names end with {', '.join(endings)}:\n"
            f"{some_of(empty)}\nRemove them, choose others with classes=, or give other extensions."
        )
    target = np.repeat(np.arange(len(names), dtype=np.int64), [len(found) for found in files])
    description = f"{len(target)} images of {len(names)} classes, from the sub-folders of {str(path)!r}."
    return _loaded(reader, list(chain(*files)), target, names, description, return_X_y)


def load_image_csv(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    header: bool | Literal["auto"] = "auto",
    size: int | tuple[int, int] | None = 32,
    mode: str = "RGB",
    resample: str = "bilinear",
    max_pixels: int = MAX_PIXELS,
    return_X_y: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Any:
    """Load the images that a CSV file lists, with a row ``path,label`` for each.

    Parameters
    ----------
    path : str or path-like
        The CSV file, in UTF-8, with a comma between path and label. A label is any text.
    root : str, path-like or None, default=None
        The folder from which the paths in the file start; None is the folder of the file itself. Paths that
        could leave it, being absolute or with "..", are refused.
    header : bool or "auto", default="auto"
        Whether the first row is a header. With "auto" it is one if it starts with a word such as "path",
        "file", "filename" or "image" and there is no file of that name.
    size, mode, resample, max_pixels
        How each image is read: see `gencls.images.read_image`. With ``size=None`` all must have one size.
    return_X_y, n_jobs, verbose
        As in `load_image_folder`.

    Returns
    -------
    Bunch, or (data, target) with ``return_X_y=True``
        As `load_image_folder` returns it, in the order of the rows. ``target_names`` are the labels that
        occur, in the order of numbers if all are whole numbers, else in that of the alphabet.

    Raises
    ------
    DataSetError
        The file or an image is missing, or a row is wrong; the message has the numbers of the rows.
    ImageFileError
        Images cannot be read.
    InvalidParameterError
        A parameter is wrong; all that are wrong are reported.
    """
    reader = ReadImages(size, mode, resample, max_pixels, n_jobs, verbose)
    values = {"path": path, "root": root, "header": header, "return_X_y": return_X_y}
    named = either(choice("auto"), flag())
    rules = {"path": PATH, "root": optional(PATH), "header": named, "return_X_y": flag()}
    check_parameters("load_image_csv", values | reader.get_params(), rules | READING_RULES)
    advice = (
        "Correct the file, or give root= if the paths start elsewhere, or header=True if row 1 is a header."
    )
    folder = Path(path).parent if root is None else Path(root)
    files, labels = read_table(Path(path), folder, header=header, advice=advice)
    names = _in_order(set(labels))
    codes = {name: code for code, name in enumerate(names)}
    target = np.array([codes[label] for label in labels], dtype=np.int64)
    description = f"{len(target)} images of {len(names)} classes, from the table {str(path)!r}."
    return _loaded(reader, files, target, names, description, return_X_y)


def fetch_cpen455(
    *,
    subset: Literal["train", "validation", "test"] = "train",
    size: int | tuple[int, int] | None = 32,
    mode: str = "RGB",
    resample: str = "bilinear",
    path: str | os.PathLike[str] | None = None,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Any:
    """Load the CPEN455 images of the paper: hamburger, giant panda, koala and pizza.

    They are taken from the first of these that there is: the folder ``path``; the folder that the environment
    variable ``GENCLS_CPEN455`` names; the copy in ``data_home``; the web. What is downloaded, about 14 MB, is
    verified by its checksum before it becomes that copy.

    Parameters
    ----------
    subset : {"train", "validation", "test"}, default="train"
        Which part to load. The labels of "test" are not public: its targets are all -1.
    size, mode, resample
        How each image is read: see `gencls.images.read_image`. The files have 64 × 64 pixels.
    path : str, path-like or None, default=None
        A folder with train.csv, validation.csv, test.csv and the images that they list.
    data_home : str, path-like or None, default=None
        Where data sets are kept, in a folder cpen455; None is scikit-learn's own ``~/scikit_learn_data``.
    download_if_missing : bool, default=True
        Download what is not there; otherwise raise an error.
    return_X_y, n_jobs, verbose
        As in `load_image_folder`; the download shows a progress bar, too.

    Returns
    -------
    Bunch, or (data, target) with ``return_X_y=True``
        As `load_image_folder` returns it. ``target_names`` is ["hamburger", "giant panda", "koala", "pizza"].

    Raises
    ------
    DataSetError
        The images are not there, incomplete, or cannot be downloaded.
    ImageFileError
        Images cannot be read.
    InvalidParameterError
        A parameter is wrong; all that are wrong are reported.
    """
    reader = ReadImages(size, mode, resample, n_jobs=n_jobs, verbose=verbose)
    values: dict[str, Any] = {"subset": subset, "path": path, "data_home": data_home}
    values |= {"download_if_missing": download_if_missing, "return_X_y": return_X_y}
    rules = {
        "subset": choice("train", "validation", "test"),
        "path": optional(PATH),
        "data_home": optional(PATH),
    }
    rules |= {"download_if_missing": flag(), "return_X_y": flag()}
    check_parameters("fetch_cpen455", values | reader.get_params(), rules | READING_RULES)
    folder, advice = _cpen455.find_folder(
        path, data_home, download_if_missing=download_if_missing, verbose=verbose
    )
    table = folder / f"{subset}.csv"
    files, labels = read_table(table, folder, header=False, advice=advice)
    target = _cpen455.codes_of(labels, table, advice)
    return _loaded(reader, files, target, list(_cpen455.CLASSES), _cpen455.DESCRIPTION, return_X_y)


def _class_folders(folder: Path, classes: Sequence[str] | None) -> list[str]:
    """Return the names of the sub-folders to read, all of which exist."""
    if not folder.is_dir():
        raise DataSetError(f"There is no folder {str(folder)!r}. Check the path.")
    there = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    if not there:
        raise DataSetError(
            f"{str(folder)!r} must have a sub-folder for each class, with the images in it. Got none. Check "
            "the path, or use load_image_csv if a table holds the labels."
        )
    unknown = [repr(name) for name in classes or () if name not in there]
    if unknown:
        raise DataSetError(
            f"{str(folder)!r} has no sub-folder for these classes:\n{some_of(unknown)}\n"
            f"It has {', '.join(map(repr, there))}. Correct classes= or the path."
        )
    return there if classes is None else list(classes)


def _images_in(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return sorted(
        each
        for each in folder.iterdir()
        if each.name.lower().endswith(endings) and not each.name.startswith(".") and each.is_file()
    )


def _in_order(labels: set[str]) -> list[str]:
    """Sort as numbers if all are whole numbers, so that the codes of labels 0, 1, 2, ... are these labels."""
    try:
        return sorted(labels, key=lambda label: (int(label), label))
    except ValueError:
        return sorted(labels)


def _loaded(
    reader: ReadImages,
    files: Sequence[Path],
    target: NDArray[np.int64],
    names: Sequence[str],
    description: str,
    return_X_y: bool,
) -> Any:
    """Read the files, and return what a loader returns."""
    data = reader.transform(files)
    if return_X_y:
        return data, target
    filenames = np.array([str(file) for file in files])
    return Bunch(data=data, target=target, target_names=names, filenames=filenames, DESCR=description)
