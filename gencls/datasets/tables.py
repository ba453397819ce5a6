"""Read tables of images and labels: CSV files with a row ``path,label`` for each image."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path, PureWindowsPath
from typing import Literal, NamedTuple
from unicodedata import normalize

from .._common.validation import shortened
from ..errors import DataSetError
from ..images.decoding import some_of
from .delimited import DELIMITERS, QuotesError, Row, no_table, read_text, split_rows

__all__ = ["Table", "read_table"]

ROWS_TO_TRY = 1000  # with other delimiters, for advice

# Column names in headers; if a header has several of them, the first name in this order applies.
PATHS = (
    "path",
    "file_path",
    "filepath",
    "image_path",
    "img_path",
    "file",
    "file_name",
    "filename",
    "image_name",
    "image",
    "img",
    "name",
)
LABELS = ("label", "labels", "class", "class_name", "category", "target", "y")

QUOTES = re.compile(r"['`‘’‚“”„«»‹›].*['`‘’‚“”„«»‹›]", re.DOTALL)  # all except the double quote of tables

COLUMNS = (
    "A row is path,label: put a label that contains the delimiter into double quotes. A table with more "
    "columns needs a header with the names path and label."
)
OTHER_QUOTES = "Use '\"' instead, or put '\"' around the field if the quotes belong to the text."
ELSEWHERE = "Correct the path, or set root if the paths are relative to a different folder."
MAY_BE_HEADER = f"{ELSEWHERE[:-1]}, or set header=True if row 1 is a header."
SWAPPED = "Put the path first, or name the columns in the first row: label,path."
LEAVES_BY_DOTS = (
    "Use paths relative to a folder that contains all images, without '..', and set root to that folder."
)


class Table(NamedTuple):
    """The content of a table, with one row per image.

    Attributes
    ----------
    rows : list of int
        The numbers of the rows, from 1.
    files : list of Path
    labels : list of str
    """

    rows: list[int]
    files: list[Path]
    labels: list[str]


class Mistake(NamedTuple):
    """A mistake in a row, and its remedy."""

    row: int
    words: str
    remedy: str
    unsplit: bool = False  # the row has one field


def read_table(
    table: Path,
    root: Path,
    *,
    header: bool | Literal["auto"],
    delimiter: str = ",",
    missing: Literal["raise", "keep"] = "raise",
    advice: str | None = None,
) -> Table:
    """Read a table of images and labels, and check that all images exist.

    Spaces around fields are removed. Empty rows, and comments, which begin with "#", are skipped.

    Parameters
    ----------
    table : Path
        A text file in UTF-8, or in UTF-16 with a byte order mark.
    root : Path
        The folder to which paths are relative, and which they must not leave. Symbolic links are followed.
    header : bool or "auto"
        Whether the first row is a header; "auto" decides by its column names.
    delimiter : str, default=","
        One of `DELIMITERS`.
    missing : {"raise", "keep"}, default="raise"
        Whether missing files are mistakes.
    advice : str or None, default=None
        Advice for error messages; None selects advice that matches the mistake.

    Returns
    -------
    Table

    Raises
    ------
    DataSetError
        If the table or an image is missing, or a row is invalid. The message has the numbers of the first
        invalid rows, and the attributes of the error list all.
    """
    text = read_text(table, advice)
    if not os.path.isdir(root):
        advice = advice or "Correct root."
        raise DataSetError(f"{shortened(str(root))} is not a readable folder. {advice}")
    reading = _Reading(root, header, missing)
    try:
        found, mistakes = reading.read(text, delimiter)
    except QuotesError as error:
        number = error.args[0]
        words = f"in row {number}, a double quote is not closed, or is followed by text"
        remedy = "Put quotes only around whole fields, and double quotes inside them."
        remedy = _other_delimiter(reading, text, delimiter, None) or remedy
        raise no_table(table, words, advice or remedy, [number]) from None
    if mistakes:
        remedy = _other_delimiter(reading, text, delimiter, mistakes) or _remedies(mistakes)
        raise _mistaken(table, len(found.rows) + len(mistakes), mistakes, advice or remedy)
    if not found.rows:
        raise DataSetError(
            f"{shortened(str(table))} must have a row 'path,label' for each image. Got no rows. "
            f"{advice or 'Check the path.'}"
        )
    return found


class _Reading(NamedTuple):
    """Parameters of reading rows."""

    root: Path
    header: bool | Literal["auto"]
    missing: Literal["raise", "keep"]

    def read(self, text: str, delimiter: str) -> tuple[Table, list[Mistake]]:
        """Return the content of the valid rows, and the mistakes in the others."""
        found, mistakes = Table([], [], []), []
        columns, width = (0, 1), None
        for index, row in enumerate(split_rows(text, delimiter, self._is_file)):
            if index == 0 and self._is_header(row):
                columns, width = _columns(_words(row))
                continue
            read = self._read_row(row, columns, width)
            if isinstance(read, Mistake):
                may_be_header = index == 0 and self.header == "auto" and read.remedy == ELSEWHERE
                mistakes.append(read._replace(remedy=MAY_BE_HEADER) if may_be_header else read)
                continue
            found.rows.append(row.number)
            found.files.append(read[0])
            found.labels.append(read[1])
        return found, mistakes

    def _is_header(self, row: Row) -> bool:
        """Return whether the first row is a header."""
        if self.header != "auto":
            return bool(self.header)
        words = _words(row)
        names_both = not set(words).isdisjoint(PATHS) and not set(words).isdisjoint(LABELS)
        return (names_both or words[0] in PATHS) and not any(self._is_file(each.text) for each in row.fields)

    def _read_row(self, row: Row, columns: tuple[int, int], width: int | None) -> tuple[Path, str] | Mistake:
        """Return the file and the label of a row, or the mistake in it."""
        fields = row.fields
        if len(fields) <= max(columns) or any(each.text for each in fields[width or 2 :]):
            must = "two: path and label" if width is None else f"the {width} of the header"
            got = shortened([each.text for each in fields])
            words = f"it must have {must}, got {len(fields)} field{'s' * (len(fields) > 1)}, {got}"
            return Mistake(row.number, words, COLUMNS, unsplit=len(fields) == 1)
        path, label = (fields[column] for column in columns)
        if not path.text.strip() or not label.text.strip():
            return Mistake(row.number, "its path or its label is empty", "Add it, or remove the row.")
        file = self._find(path.text)
        for field in (label,) if file else (path, label):
            if not field.quoted and QUOTES.fullmatch(field.text):
                words = f"the quotes around {shortened(field.text)} are not double quotes"
                return Mistake(row.number, words, OTHER_QUOTES)
        if file is None and self._is_file(label.text):
            return Mistake(
                row.number, f"not {shortened(path.text)}, but {shortened(label.text)} is a file", SWAPPED
            )
        if file is None:
            missing = _missing(path.text, self.root)
            if missing.target is None or self.missing == "raise":
                return Mistake(row.number, missing.words, missing.remedy)
            file = Path(missing.target)
        return file, label.text.strip()

    def _is_file(self, path: str) -> bool:
        return self._find(path) is not None

    def _find(self, path: str) -> Path | None:
        """Return the file of a path, in its literal form or in the notation of other systems."""
        stripped = path.strip()
        slashes, home = stripped.replace("\\", "/"), os.path.expanduser(stripped)
        accents = [normalize(form, stripped) for form in ("NFC", "NFD")]
        for written in (path, stripped, slashes, home, *accents):
            file = _within(written, self.root)
            if file is not None and os.path.isfile(file):
                return Path(file)
        return None


def _words(row: Row) -> list[str]:
    """Return the fields in normalised form, for comparison with column names."""
    return [re.sub(r"[\s-]+", "_", field.text.strip().lower()) for field in row.fields]


def _columns(words: list[str]) -> tuple[tuple[int, int], int | None]:
    """Return the columns of paths and labels, and the number of columns if the header names both."""
    path, label = (next((words.index(n) for n in names if n in words), None) for names in (PATHS, LABELS))
    return ((0, 1), None) if path is None or label is None else ((path, label), len(words))


def _within(path: str, root: Path) -> str | None:
    """Return a path joined to the root; None if the path leads outside the root, before following links."""
    if ".." not in path and not _is_anchored(path):
        return os.path.join(root, path) if path else None
    base = os.path.abspath(root)
    target = os.path.normpath(os.path.join(base, path.replace("\\", "/")))
    return target if any(map(Path(target).is_relative_to, (base, os.path.realpath(base)))) else None


def _is_anchored(path: str) -> bool:
    return path.startswith(("/", os.sep)) or os.path.splitdrive(path)[0] != ""


# Mistakes


class _Missing(NamedTuple):
    """Reason and remedy for a path without a readable file, and its target if inside the root."""

    words: str
    remedy: str
    target: str | None = None


def _missing(path: str, root: Path) -> _Missing:
    name, folder = shortened(path), shortened(str(root))
    path = os.path.expanduser(path.strip())
    written, target = PureWindowsPath(path), _within(path, root)  # the former parses / and \ and drives
    if "://" in path:
        remedy = "Use paths of files; download images on the web first."
        return _Missing(f"{name} is a URL", remedy)
    if target is None and ".." in written.parts:
        return _Missing(f"the path {name} leads out of {folder}", LEAVES_BY_DOTS)
    if target is None:
        remedy = f"Set root to a common parent folder of all images, such as root={Path(path).anchor!r}."
        return _Missing(f"the path {name} is not in {folder}", remedy)
    if written.anchor and not _is_anchored(path):
        remedy = "Use paths relative to a folder that contains all images, and set root to that folder."
        return _Missing(f"the path {name} begins with {written.anchor!r}, as on Windows", remedy)
    return _Missing(*_why_not(target, f"{name} in {folder}"), target)


def _why_not(target: str, name: str) -> tuple[str, str]:
    """Return the reason why a path is not a file, and a remedy."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        return f"there is no file {name}{_similar(target)}", ELSEWHERE
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"{name} cannot be opened ({reason})", "Check paths and permissions."
    kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
    return f"{name} is {kind}", ELSEWHERE


def _similar(target: str) -> str:
    """Name an existing file that differs only in its extension or in upper and lower case."""
    stem, ending = os.path.splitext(target)
    others = [stem + each for each in (ending.lower(), ending.upper(), ".jpg", ".jpeg", ".png")]
    others.append(os.path.join(os.path.dirname(target), os.path.basename(target).lower()))
    found = next((other for other in others if os.path.isfile(other)), None)
    return f", but {shortened(os.path.basename(found))}" if found else ""


def _mistaken(table: Path, n_rows: int, mistakes: list[Mistake], advice: str) -> DataSetError:
    listed = [f"row {mistake.row}: {mistake.words}" for mistake in mistakes]
    summary = f"{len(mistakes)} of the {n_rows} rows of {shortened(str(table))} are invalid:"
    return DataSetError(
        f"{summary}\n{some_of(listed)}\n{advice}",
        rows=[mistake.row for mistake in mistakes],
        messages=[mistake.words for mistake in mistakes],
    )


def _remedies(mistakes: list[Mistake]) -> str:
    """Return each remedy once; the longer remedy for missing files includes the shorter one."""
    remedies = dict.fromkeys(mistake.remedy for mistake in mistakes)
    if MAY_BE_HEADER in remedies:
        remedies.pop(ELSEWHERE, None)
    return " ".join(remedies)


def _other_delimiter(
    reading: _Reading, text: str, delimiter: str, mistakes: list[Mistake] | None
) -> str | None:
    """Return the advice to set a different delimiter, if one matches the first rows better."""
    beginning = "\n".join(text.split("\n", ROWS_TO_TRY)[:ROWS_TO_TRY]) + "\n"
    unsplit = mistakes is None or all(mistake.unsplit for mistake in mistakes)
    for other in [each for each in DELIMITERS if each != delimiter]:
        try:
            found, left = reading.read(beginning, other)
        except QuotesError:
            continue
        is_split = not any(COLUMNS in mistake.remedy for mistake in left)
        if (found.rows and not left) or (unsplit and is_split):
            return (
                f"The fields are separated by {DELIMITERS[other]}, not {DELIMITERS[delimiter]}: set "
                f"delimiter={other!r}."
            )
    return None
