"""The loader of images listed in a table."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np

from .._common.ordering import natural_key
from .._common.validation import check_parameters, choice, either, flag, optional
from ..images.reading import MAX_PIXELS, READING_RULES, ReadImages
from .delimited import DELIMITERS
from .loading import PATH, home_expanded, loaded
from .tables import read_table

__all__ = ["load_image_csv"]


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
    r"""Load the images of a CSV file that has a row ``path,label`` for each image.

    Spaces and double quotes around fields are removed; quotes are needed only for a label with a comma, a
    quote or a line break. Empty rows, and comments, which begin with "#", are skipped.

    Parameters
    ----------
    path : str or path-like
        The CSV file; "~" is the home folder. The encoding is UTF-8, or UTF-16 with a byte order mark. Labels
        are arbitrary text. Paths may contain slashes, or backslashes as on Windows.
    root : str, path-like or None, default=None
        The folder to which paths are relative; None is the folder of the CSV file. Paths outside this folder,
        absolute or with "..", are refused.
    header : bool or "auto", default="auto"
        Whether the first row is a header. With "auto", a first row is a header if it contains a column name
        for paths, such as "path", "file", "filename" or "image", either as its first field or together with a
        column name for labels, such as "label", "class" or "target", and if no file has such a name. In a
        table of more than two columns, the header must name both columns; other columns are ignored.
    delimiter : {",", ";", "\t", "|", " "}, default=","
        The delimiter of fields; consecutive spaces count as one.
    size, mode, resample, max_pixels, value_range
        Parameters of reading, see `gencls.images.read_image`. With ``size=None``, all images must have the
        same size.
    on_error : {"raise", "skip"}, default="raise"
        See `load_image_folder`; "skip" also skips missing files.
    return_X_y, n_jobs, verbose
        See `load_image_folder`.

    Returns
    -------
    Bunch, or (data, target) with ``return_X_y=True``
        See `load_image_folder`. The images are in the order of the rows; ``target_names`` are the labels of
        the table, in natural order.

    Raises
    ------
    DataSetError
        If the file or an image is missing, or a row is invalid. The message has the numbers of the first
        invalid rows, and the attribute ``rows`` lists all.
    ImageFileError
        If images cannot be read.
    InvalidParameterError
        If parameters are invalid; all of them are reported together.
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
    table = home_expanded(path)
    folder = table.parent if root is None else home_expanded(root)
    missing: Literal["keep", "raise"] = "keep" if on_error == "skip" else "raise"
    _, files, labels = read_table(table, folder, header=header, delimiter=delimiter, missing=missing)
    names = sorted(set(labels), key=natural_key)
    codes = {name: code for code, name in enumerate(names)}
    target = np.array([codes[label] for label in labels], dtype=np.int64)
    description = f"{len(target)} images of {len(names)} classes, from the table {str(path)!r}."
    return loaded(reader, files, target, names, description, return_X_y, on_error)
