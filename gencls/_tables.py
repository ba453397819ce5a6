"""Tables of images and their labels: CSV files with a row ``path,label`` for each image."""

from __future__ import annotations

import csv
import os
from pathlib import Path, PureWindowsPath
from typing import Literal

from ._decoding import some_of
from .errors import DataSetError

__all__ = ["read_table"]

HEADERS = {
    "file",
    "file_name",
    "file_path",
    "filename",
    "filepath",
    "image",
    "image_path",
    "img",
    "name",
    "path",
}


def read_table(
    table: Path, root: Path, *, header: bool | Literal["auto"], advice: str
) -> tuple[list[Path], list[str]]:
    """Read a table of images and labels, and check that every image is there.

    Parameters
    ----------
    table : Path
        A CSV file in UTF-8 with two columns, path and label. Empty lines are passed over.
    root : Path
        The folder from which the paths start, and which they may not leave. Symbolic links are followed.
    header : bool or "auto"
        Whether the first row is a header; "auto" finds out by the first word, such as "path" or "filename".
    advice : str
        What to do about a mistake, for the error message.

    Returns
    -------
    files : list of Path
    labels : list of str

    Raises
    ------
    DataSetError
        The table or an image is missing, or a row is wrong. The message has the numbers of the rows.
    """
    rows = _rows(table, advice)
    if rows and (header is True or (header == "auto" and _is_header(rows[0][1], root))):
        del rows[0]
    if not rows:
        raise DataSetError(f"{str(table)!r} must have a row 'path,label' for each image. Got none. {advice}")
    mistakes = [f"row {number}: {mistake}" for number, row in rows if (mistake := _mistake(row, root))]
    if mistakes:
        summary = f"{len(mistakes)} of the {len(rows)} rows of {str(table)!r} cannot be used:"
        raise DataSetError(f"{summary}\n{some_of(mistakes)}\n{advice}")
    return [root / path for _, (path, _) in rows], [label.strip() for _, (_, label) in rows]


def _rows(table: Path, advice: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with its number in the file."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            return [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError as error:
        raise DataSetError(f"There is no file {str(table)!r}. {advice}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{str(table)!r} cannot be read as CSV in UTF-8 ({error}). {advice}") from error


def _is_header(row: list[str], root: Path) -> bool:
    return row[0].strip().lower() in HEADERS and not os.path.isfile(root / row[0])


def _mistake(row: list[str], root: Path) -> str | None:
    """Return what is wrong with a row."""
    if len(row) != 2:
        return f"it must have two fields, path and label. Got {len(row)}"
    path, label = row
    if not path or not label.strip():
        return "its path or its label is empty"
    either_system = PureWindowsPath(path)  # it knows / and \ and drives
    if either_system.anchor or ".." in either_system.parts:
        return f"the path {path!r} must stay within {str(root)!r}"
    if not os.path.isfile(root / path):
        return f"there is no file {path!r} in {str(root)!r}"
    return None
