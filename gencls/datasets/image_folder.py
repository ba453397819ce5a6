"""The loader of images in folders, one sub-folder for each class."""

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
    "a list of endings such as '.png'", lambda value: _is_names(value) and all(map(_is_ending, value))
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
