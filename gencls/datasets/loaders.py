"""Loaders of labelled images, in the style of `sklearn.datasets`.

Each returns a ``Bunch``: the images in ``data``, integer codes in ``target``, what the codes mean in
``target_names``, where each image came from in ``filenames``, and a description in ``DESCR``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .._common.ordering import natural_key
from .._common.validation import Rule, check_parameters, choice, either, flag, optional, shortened
from ..errors import SkippedFilesWarning
from ..images.reading import (
    MAX_PIXELS,
    READING_RULES,
    ImageMistake,
    ReadImages,
    read_images,
    summary_of,
    unreadable,
)
from . import cpen455 as _cpen455
from .delimited import DELIMITERS
from .folders import find_classes
from .tables import read_table

__all__ = ["fetch_cpen455", "load_image_csv", "load_image_folder"]

PATH = Rule("a path", lambda value: _is_path(value))
ENDINGS = Rule(
    "a list of endings such as '.png'", lambda value: _is_names(value) and all(map(_is_ending, value))
)
NAMES = Rule("a list of different names", lambda value: _is_names(value) and len(set(value)) == len(value))


def _is_names(value: Any) -> bool:
    listed = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return listed and len(value) > 0 and all(isinstance(name, str) for name in value)


def _is_ending(name: str) -> bool:
    return name.startswith(".") and len(name) > 1


def _is_path(value: Any) -> bool:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    return isinstance(text, str) and text != ""


def _path(value: str | os.PathLike[str]) -> Path:
    """Return a path with the home of the user in the place of "~"."""
    return Path(os.path.expanduser(value))


def load_image_folder(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = 32,
    mode: str = "RGB",
    resample: str = "bilinear",
    max_pixels: int = MAX_PIXELS,
    value_range: tuple[float, float] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    classes: Sequence[str] | None = None,
    extensions: Sequence[str] | None = None,
    return_X_y: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Any:
    """Load images from a folder that has one sub-folder for each class.

    The names of the sub-folders are those of the classes. The images lie in them, or in folders within them;
    links are followed, and no folder is read twice for a class. Hidden files, and what systems put into
    folders, such as Thumbs.db and __MACOSX, are left out. Everything is in natural order, in which numbers
    count by their value: class 2 is before class 10, and img2.png before img10.png.

    Parameters
    ----------
    path : str or path-like
        The folder; "~" is your home.
    size, mode, resample, max_pixels, value_range
        How each image is read: see `gencls.images.read_image`. With ``size=None`` all must have one size.
    on_error : {"raise", "skip"}, default="raise"
        What to do about images that cannot be read: raise an error that has them all in its attributes
        ``sources`` and ``messages``, or leave them out with a warning.
    classes : sequence of str or None, default=None
        The sub-folders to read, in the order of their codes; None takes all, unless they seem to lie on
        another level: "train" and "test" are no classes, nor are folders that only hold folders. When you
        load further images for the same classifier, give the ``target_names`` of the first, so that the codes
        agree.
    extensions : sequence of str or None, default=None
        What the names of images end with, such as ".png"; capitals make no difference. All other files are
        left out. None takes the endings of all formats that `gencls.images.read_image` reads, and warns of
        other files.
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
        str, (N,). ``skipped``: dict of str to str, the files that were left out as they cannot be read, and
        why. ``DESCR``: str.

    Raises
    ------
    DataSetError
        The folder or a class is missing, cannot be read or has no images, or the classes seem to lie on
        another level.
    ImageFileError
        Images cannot be read.
    InvalidParameterError
        A parameter is wrong; all that are wrong are reported.

    Warns
    -----
    SkippedFilesWarning
        Files were left out for their endings or as they cannot be read, or images lie beside the sub-folders.
    """
    reader = ReadImages(size, mode, resample, max_pixels, n_jobs, verbose, value_range)
    values: dict[str, Any] = {
        "path": path,
        "classes": classes,
        "extensions": extensions,
        "on_error": on_error,
        "return_X_y": return_X_y,
    }
    rules = {
        "path": PATH,
        "classes": optional(NAMES),
        "extensions": optional(ENDINGS),
        "on_error": choice("raise", "skip"),
        "return_X_y": flag(),
    }
    check_parameters("load_image_folder", values | reader.get_params(), rules | READING_RULES)
    found = find_classes(_path(path), classes, extensions)
    target = np.repeat(np.arange(len(found), dtype=np.int64), [len(each.files) for each in found])
    description = f"{len(target)} images of {len(found)} classes, from the sub-folders of {str(path)!r}."
    files = list(chain.from_iterable(each.files for each in found))
    return _loaded(reader, files, target, [each.name for each in found], description, return_X_y, on_error)


def load_image_csv(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    header: bool | Literal["auto"] = "auto",
    delimiter: Literal[",", ";", "\t", "|", " "] = ",",
    size: int | tuple[int, int] | None = 32,
    mode: str = "RGB",
    resample: str = "bilinear",
    max_pixels: int = MAX_PIXELS,
    value_range: tuple[float, float] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    return_X_y: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Any:
    r"""Load the images that a CSV file lists, with a row ``path,label`` for each.

    Spaces around path and label are dropped, and so are double quotes, which a label needs only if it holds
    a comma, a quote or a line break. Empty rows are passed over, and comments, which begin with "#".

    Parameters
    ----------
    path : str or path-like
        The CSV file; "~" is your home. Its text is in UTF-8, or in UTF-16 with a byte-order mark, as some
        programs write it. A label is any text. A path has slashes, or backslashes as on Windows.
    root : str, path-like or None, default=None
        The folder from which the paths in the file start; None is the folder of the file itself. Paths that
        leave it, being absolute or with "..", are refused.
    header : bool or "auto", default="auto"
        Whether the first row is a header. With "auto" it is one if it has the name of a column of paths, such
        as "path", "file", "filename" or "image", in its first place or together with that of a column of
        labels, such as "label", "class" or "target", and if there is no file of such a name. Of a table of
        more than two columns, the header must name both; the others are not read.
    delimiter : {",", ";", "\t", "|", " "}, default=","
        What stands between the fields; several spaces count as one.
    size, mode, resample, max_pixels, value_range
        How each image is read: see `gencls.images.read_image`. With ``size=None`` all must have one size.
    on_error : {"raise", "skip"}, default="raise"
        As in `load_image_folder`; files that are not there can be left out, too.
    return_X_y, n_jobs, verbose
        As in `load_image_folder`.

    Returns
    -------
    Bunch, or (data, target) with ``return_X_y=True``
        As `load_image_folder` returns it, in the order of the rows. ``target_names`` are the labels that
        occur, in natural order.

    Raises
    ------
    DataSetError
        The file or an image is missing, or a row is wrong. The message has the numbers of the first rows, and
        the attribute ``rows`` has all.
    ImageFileError
        Images cannot be read.
    InvalidParameterError
        A parameter is wrong; all that are wrong are reported.
    """
    reader = ReadImages(size, mode, resample, max_pixels, n_jobs, verbose, value_range)
    values: dict[str, Any] = {
        "path": path,
        "root": root,
        "header": header,
        "delimiter": delimiter,
        "on_error": on_error,
        "return_X_y": return_X_y,
    }
    rules = {
        "path": PATH,
        "root": optional(PATH),
        "header": either(choice("auto"), flag()),
        "delimiter": choice(*DELIMITERS),
        "on_error": choice("raise", "skip"),
        "return_X_y": flag(),
    }
    check_parameters("load_image_csv", values | reader.get_params(), rules | READING_RULES)
    table = _path(path)
    folder = table.parent if root is None else _path(root)
    missing: Literal["keep", "raise"] = "keep" if on_error == "skip" else "raise"
    _, files, labels = read_table(table, folder, header=header, delimiter=delimiter, missing=missing)
    names = sorted(set(labels), key=natural_key)
    codes = {name: code for code, name in enumerate(names)}
    target = np.array([codes[label] for label in labels], dtype=np.int64)
    description = f"{len(target)} images of {len(names)} classes, from the table {str(path)!r}."
    return _loaded(reader, files, target, names, description, return_X_y, on_error)


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
    _, files, labels = read_table(table, folder, header=False, advice=advice)
    target = _cpen455.codes_of(labels, table, advice)
    return _loaded(reader, files, target, list(_cpen455.CLASSES), _cpen455.DESCRIPTION, return_X_y)


def _loaded(
    reader: ReadImages,
    files: Sequence[Path],
    target: NDArray[np.int64],
    names: Sequence[str],
    description: str,
    return_X_y: bool,
    on_error: str = "raise",
) -> Any:
    """Read the files, and return what a loader returns."""
    data, skipped = read_images(files, **reader.get_params())
    if skipped and on_error == "raise":
        raise unreadable(skipped, len(files))
    positions = [mistake.position for mistake in skipped]
    target = np.delete(target, positions)
    if skipped:
        left = set(target.tolist())
        _warn_of_skipped(skipped, len(files), [name for code, name in enumerate(names) if code not in left])
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=names,
        filenames=np.delete(np.array([str(file) for file in files]), positions),
        skipped={str(mistake.source): mistake.message for mistake in skipped},
        DESCR=description,
    )


def _warn_of_skipped(skipped: Sequence[ImageMistake], n_files: int, empty: Sequence[str]) -> None:
    words = f"{summary_of(skipped, n_files)}\nThey are left out."
    if empty:
        words += f" No image is left of {shortened(empty)}."
    warnings.warn(words, SkippedFilesWarning, stacklevel=4)
