"""The loader of images in folders with one sub-folder per class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np

from .._common.validation import Rule, check_parameters, choice, flag, optional
from ..images.reading import MAX_PIXELS, READING_RULES, ReadImages
from .folders import find_classes
from .loading import PATH, home_expanded, loaded

__all__ = ["load_image_folder"]

ENDINGS = Rule(
    "a list of extensions such as '.png'", lambda value: _is_names(value) and all(map(_is_ending, value))
)
NAMES = Rule("a list of different names", lambda value: _is_names(value) and len(set(value)) == len(value))


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
    """Load images from a folder that has one sub-folder per class.

    The names of the sub-folders are the names of the classes. Sub-folders are read recursively; links are
    followed, and no folder is read twice for a class. Hidden files, and files of operating systems, such as
    Thumbs.db and __MACOSX, are skipped. Classes and files are in natural order, which compares numbers by
    value: class 2 precedes class 10, and img2.png precedes img10.png.

    Parameters
    ----------
    path : str or path-like
        The folder; "~" is the home folder.
    size, mode, resample, max_pixels, value_range
        Parameters of reading, see `gencls.images.read_image`. With ``size=None``, all images must have the
        same size.
    on_error : {"raise", "skip"}, default="raise"
        How to handle unreadable images: raise an error, which lists all of them in its attributes ``sources``
        and ``messages``, or skip them with a warning.
    classes : sequence of str or None, default=None
        The sub-folders to read, in the order of their codes. None reads all, and raises if they seem to be on
        a different level: if they are named like "train" and "test", or contain only folders. To load further
        images for the same classifier, pass the ``target_names`` of the first images, so that the codes
        agree.
    extensions : sequence of str or None, default=None
        The extensions of image files, such as ".png"; case is ignored. Other files are skipped. None uses the
        extensions of all formats of `gencls.images.read_image`, and warns about other files.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    n_jobs : int or None, default=None
        Number of threads for reading images.
    verbose : int, default=0
        If not 0, show a progress bar.

    Returns
    -------
    Bunch, or (data, target) with ``return_X_y=True``
        ``data``: ndarray of uint8, (N, H, W, C), or (N, H, W) with ``mode="L"``. ``target``: ndarray of
        int64, (N,), indices into ``target_names``. ``target_names``: list of str. ``filenames``: ndarray of
        str, (N,). ``skipped``: dict of str to str, the error message of each unreadable file. ``DESCR``: str.

    Raises
    ------
    DataSetError
        If the folder or a class is missing, unreadable or without images, or if the classes seem to be on a
        different level.
    ImageFileError
        If images cannot be read.
    InvalidParameterError
        If parameters are invalid; all of them are reported together.

    Warns
    -----
    SkippedFilesWarning
        If files are skipped because of their extensions, because they cannot be read, or because they are
        outside the sub-folders.
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
    found = find_classes(home_expanded(path), classes, extensions)
    target = np.repeat(np.arange(len(found), dtype=np.int64), [len(each.files) for each in found])
    description = f"{len(target)} images of {len(found)} classes, from the sub-folders of {str(path)!r}."
    files = list(chain.from_iterable(each.files for each in found))
    return loaded(reader, files, target, [each.name for each in found], description, return_X_y, on_error)


def _is_names(value: Any) -> bool:
    listed = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return listed and len(value) > 0 and all(isinstance(name, str) for name in value)


def _is_ending(name: str) -> bool:
    return name.startswith(".") and len(name) > 1
