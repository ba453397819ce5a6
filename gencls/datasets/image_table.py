"""The loader of images that a table lists."""

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
    table = home_expanded(path)
    folder = table.parent if root is None else home_expanded(root)
    missing: Literal["keep", "raise"] = "keep" if on_error == "skip" else "raise"
    _, files, labels = read_table(table, folder, header=header, delimiter=delimiter, missing=missing)
    names = sorted(set(labels), key=natural_key)
    codes = {name: code for code, name in enumerate(names)}
    target = np.array([codes[label] for label in labels], dtype=np.int64)
    description = f"{len(target)} images of {len(names)} classes, from the table {str(path)!r}."
    return loaded(reader, files, target, names, description, return_X_y, on_error)
