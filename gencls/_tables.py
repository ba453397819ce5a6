"""Tables of images and their labels: CSV files with a row ``path,label`` for each image."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import Literal, NamedTuple

from ._decoding import some_of
from .errors import DataSetError
from .validation import shortened

__all__ = ["DELIMITERS", "Table", "read_table"]

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
MOST_BYTES = 1 << 28  # 268 million, more than the paths of a million images take
ROWS_TO_TRY = 1000  # before another delimiter is advised

# What headers call the two columns; where a header has several of these names, the first one counts.
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

COMMENT = re.compile(r"[ \t]*#|sep=.$", re.MULTILINE)  # Excel writes the latter
QUOTES = re.compile(r"['`‘’‚“”„«»‹›].*['`‘’‚“”„«»‹›]", re.DOTALL)  # all but the one that tables have

COLUMNS = (
    "A row is path,label: put a label that holds the delimiter into double quotes. Of a table with more "
    "columns, the header must name the two, as path and label."
)
OTHER_QUOTES = "Write '\"' for them, or put '\"' around them if they belong to the text."
ELSEWHERE = "Correct the path, or give root= if the paths start elsewhere."
MAY_BE_HEADER = f"{ELSEWHERE[:-1]}, or header=True if row 1 is a header."
LEAVES_BY_DOTS = (
    "Write the paths as they are from a folder that holds all images, without '..', and give it as root=."
)


class Table(NamedTuple):
    """What a table says, a row for each image.

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


class Field(NamedTuple):
    """One field of a row, without its quotes."""

    text: str
    quoted: bool


class Row(NamedTuple):
    """The number of the line on which a row begins, from 1, and its fields."""

    number: int
    fields: list[Field]


class Mistake(NamedTuple):
    """What is wrong with a row, and what to do about it."""

    row: int
    words: str
    remedy: str
    unsplit: bool = False  # the row has one field


class _QuotesError(Exception):
    """A quote in this row is not closed, or something stands behind it."""


def read_table(
    table: Path,
    root: Path,
    *,
    header: bool | Literal["auto"],
    delimiter: str = ",",
    missing: Literal["raise", "keep"] = "raise",
    advice: str | None = None,
) -> Table:
    """Read a table of images and labels, and check that every image is there.

    Spaces around fields are dropped. Empty rows, and comments, which begin with "#", are passed over.

    Parameters
    ----------
    table : Path
        A text file in UTF-8, or in UTF-16 with a byte-order mark.
    root : Path
        The folder from which the paths start, and which they may not leave. Symbolic links are followed.
    header : bool or "auto"
        Whether the first row is a header; "auto" finds out by the names of columns that it holds.
    delimiter : str, default=","
        One of `DELIMITERS`.
    missing : {"raise", "keep"}, default="raise"
        Whether files that are not there are mistakes, too.
    advice : str or None, default=None
        What to do about a mistake, for the error message; None stands for advice that fits the mistake.

    Returns
    -------
    Table

    Raises
    ------
    DataSetError
        The table or an image is missing, or a row is wrong. The message has the numbers of the first rows,
        and the attributes of the error have all.
    """
    text = _read_text(table, advice)
    if not os.path.isdir(root):
        advice = advice or "Correct root=."
        raise DataSetError(f"{shortened(str(root))} is no folder that can be read. {advice}")
    reading = _Reading(root, header, missing)
    try:
        found, mistakes = reading.read(text, delimiter)
    except _QuotesError as error:
        number = error.args[0]
        words = f"in row {number} a double quote is not closed, or more than a delimiter follows it"
        remedy = "Put quotes around whole fields only, and double those within."
        remedy = _other_delimiter(reading, text, delimiter, None) or remedy
        raise _no_table(table, words, advice or remedy, [number]) from None
    if mistakes:
        remedy = _other_delimiter(reading, text, delimiter, mistakes) or _remedies(mistakes)
        raise _mistaken(table, len(found.rows) + len(mistakes), mistakes, advice or remedy)
    if not found.rows:
        raise DataSetError(
            f"{shortened(str(table))} must have a row 'path,label' for each image. Got none. "
            f"{advice or 'Check which file it is.'}"
        )
    return found


# From the file to its text


def _read_text(table: Path, advice: str | None) -> str:
    """Return the text of a file, with a newline at the end of every line."""
    content = _read_bytes(table, advice)
    of_two_bytes = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if (b"\0" in content and not of_two_bytes) or content.startswith(codecs.BOM_UTF32_LE):
        words = "it holds zero bytes, as workbooks, images and UTF-16 without a byte-order mark do"
        raise _no_table(table, words, advice or "Save it as CSV in UTF-8.")
    try:
        text = content.decode("utf-16" if of_two_bytes else "utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        number = before.count(b"\n") + 1
        words = f"row {number} is not in {error.encoding} (byte {error.object[error.start]:#x})"
        remedy = "Save it in UTF-8; Excel calls that 'CSV UTF-8'."
        raise _no_table(table, words, advice or remedy, [number]) from error
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"


def _read_bytes(table: Path, advice: str | None) -> bytes:
    """Read a regular file of no more than the largest size; a pipe could block, and a device never end."""
    try:
        status = os.stat(table)
        _check_kind(table, status, advice)
        with open(table, "rb") as file:
            return file.read(MOST_BYTES)
    except FileNotFoundError as error:
        raise DataSetError(
            f"There is no file {shortened(str(table))}. {advice or 'Check the path.'}"
        ) from error
    except DataSetError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        remedy = advice or "Check the path and its permissions."
        raise _no_table(table, f"it cannot be opened ({reason})", remedy) from error


def _check_kind(table: Path, status: os.stat_result, advice: str | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        remedy = "Give the path of a file, or use load_image_folder if its sub-folders are the classes."
        raise _no_table(table, "it is a folder", advice or remedy)
    if not stat.S_ISREG(status.st_mode):
        raise _no_table(table, "it is no regular file", advice or "Copy its content to a file.")
    if status.st_size > MOST_BYTES:
        words = f"it has {status.st_size:,} bytes, and tables up to {MOST_BYTES:,} are read"
        raise _no_table(table, words, advice or "Check which file it is, or divide it.")


def _no_table(table: Path, reason: str, advice: str, rows: list[int] | None = None) -> DataSetError:
    words = f"{shortened(str(table))} cannot be read as a table: {reason}. {advice}"
    return DataSetError(words, rows=rows or (), messages=[reason] if rows else ())


# From the text to rows


def _split(text: str, delimiter: str, is_file: Callable[[str], bool]) -> Iterator[Row]:
    """Split a text into rows that are not empty."""
    field, position, number = _pattern(delimiter), 0, 1
    while position < len(text):
        start, line = position, text[position : text.index("\n", position)]
        if COMMENT.match(line) and not is_file(line.split(delimiter)[0].strip()):
            position += len(line) + 1
        else:
            position, fields = _fields(text, position, field, number)
            if any(each.text or each.quoted for each in fields):
                yield Row(number, fields)
        number += text.count("\n", start, position)


def _fields(text: str, position: int, field: re.Pattern[str], number: int) -> tuple[int, list[Field]]:
    """Return where the next row begins, and the fields of this one."""
    fields = []
    while True:
        match = field.match(text, position)
        if match is None:
            raise _QuotesError(number)
        quoted = match[1] is not None
        fields.append(Field(match[1].replace('""', '"') if quoted else match[2].strip(), quoted))
        position = match.end() + 1
        if text[match.end()] == "\n":
            return position, fields


def _pattern(delimiter: str) -> re.Pattern[str]:
    """Return the pattern of one field: in double quotes, with spaces around them, or without quotes."""
    end = re.escape(delimiter)
    space = "[ \t]".replace(delimiter, "")
    return re.compile(
        rf'{space}*+(?:"([^"]*+(?:""[^"]*+)*+)"{space}*+(?=[{end}\n])|(?!")([^{end}\n]*+))', re.DOTALL
    )


# From rows to images and labels


class _Reading(NamedTuple):
    """How the rows are read."""

    root: Path
    header: bool | Literal["auto"]
    missing: Literal["raise", "keep"]

    def read(self, text: str, delimiter: str) -> tuple[Table, list[Mistake]]:
        """Return what the good rows say, and what is wrong with the others."""
        found, mistakes = Table([], [], []), []
        columns, width = (0, 1), None
        for index, row in enumerate(_split(text, delimiter, self._is_file)):
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
        """Say whether the first row is a header."""
        if self.header != "auto":
            return bool(self.header)
        words = _words(row)
        names_both = not set(words).isdisjoint(PATHS) and not set(words).isdisjoint(LABELS)
        return (names_both or words[0] in PATHS) and not any(self._is_file(each.text) for each in row.fields)

    def _read_row(self, row: Row, columns: tuple[int, int], width: int | None) -> tuple[Path, str] | Mistake:
        """Return the file and the label of a row, or what is wrong with it."""
        fields = row.fields
        if len(fields) <= max(columns) or any(each.text for each in fields[width or 2 :]):
            must = "two: path and label" if width is None else f"the {width} of the header"
            got = shortened([each.text for each in fields])
            words = f"it has {len(fields)} field{'s' * (len(fields) > 1)}, {got}, and must have {must}"
            return Mistake(row.number, words, COLUMNS, unsplit=len(fields) == 1)
        path, label = (fields[column] for column in columns)
        if not path.text.strip() or not label.text.strip():
            return Mistake(row.number, "its path or its label is empty", "Write both, or remove the row.")
        file = self._find(path.text)
        for field in (label,) if file else (path, label):
            if not field.quoted and QUOTES.fullmatch(field.text):
                words = f"the quotes around {shortened(field.text)} are not double quotes"
                return Mistake(row.number, words, OTHER_QUOTES)
        if file is None:
            missing = _missing(path.text, self.root)
            if missing.is_outside or self.missing == "raise":
                return Mistake(row.number, missing.words, missing.remedy)
        return file or self.root / path.text, label.text.strip()

    def _is_file(self, path: str) -> bool:
        return self._find(path) is not None

    def _find(self, path: str) -> Path | None:
        """Return the file that a path means, as it stands there, without spaces, or as Windows writes it."""
        stripped = path.strip()
        for written in (path, stripped, stripped.replace("\\", "/"), os.path.expanduser(stripped)):
            file = _within(written, self.root)
            if file is not None and os.path.isfile(file):
                return Path(file)
        return None


def _words(row: Row) -> list[str]:
    """Return the fields as names of columns are compared."""
    return [re.sub(r"[\s-]+", "_", field.text.strip().lower()) for field in row.fields]


def _columns(words: list[str]) -> tuple[tuple[int, int], int | None]:
    """Return the two columns, and the number of columns if the header names these two."""
    path, label = (next((words.index(n) for n in names if n in words), None) for names in (PATHS, LABELS))
    return ((0, 1), None) if path is None or label is None else ((path, label), len(words))


def _within(path: str, root: Path) -> str | None:
    """Return where a path leads from a root; None if it leaves the root, by what is written."""
    if ".." not in path and not os.path.isabs(path):
        return os.path.join(root, path) if path else None
    base = os.path.abspath(root)
    target = os.path.normpath(os.path.join(base, path.replace("\\", "/")))
    return target if any(map(Path(target).is_relative_to, (base, os.path.realpath(base)))) else None


# What is wrong


class _Missing(NamedTuple):
    """Why a path means no file that may be read."""

    words: str
    remedy: str
    is_outside: bool = False


def _missing(path: str, root: Path) -> _Missing:
    name, folder = shortened(path), shortened(str(root))
    path = os.path.expanduser(path.strip())
    written = PureWindowsPath(path)  # it knows / and \ and drives
    if "://" in path:
        remedy = "Write the paths of files; download them first if they are on the web."
        return _Missing(f"{name} is an address", remedy)
    if ".." in written.parts and _within(path, root) is None:
        return _Missing(f"the path {name} leads out of {folder}", LEAVES_BY_DOTS, is_outside=True)
    if os.path.isabs(path) and _within(path, root) is None:
        remedy = f"Give a folder above all images as root=, such as root={Path(path).anchor!r}."
        return _Missing(f"the path {name} is not in {folder}", remedy, is_outside=True)
    if written.anchor and not os.path.isabs(path):
        remedy = "Write the paths without it, from a folder that holds all images, and give it as root=."
        words = f"the path {name} begins with {written.anchor!r}, as on Windows"
        return _Missing(words, remedy, is_outside=True)
    try:
        status = os.stat(os.path.join(root, path))
    except FileNotFoundError:
        return _Missing(f"there is no file {name} in {folder}{_similar(root, path)}", ELSEWHERE)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return _Missing(f"{name} in {folder} cannot be opened ({reason})", "Check paths and permissions.")
    kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
    return _Missing(f"{name} in {folder} is {kind}", ELSEWHERE)


def _similar(root: Path, path: str) -> str:
    """Name a file that differs by the ending, which was forgotten or is in capitals."""
    stem, ending = os.path.splitext(os.path.join(root, path))
    others = (stem + each for each in (ending.lower(), ending.upper(), ".jpg", ".jpeg", ".png"))
    found = next((other for other in others if os.path.isfile(other)), None)
    return f", but {shortened(os.path.basename(found))}" if found else ""


def _mistaken(table: Path, n_rows: int, mistakes: list[Mistake], advice: str) -> DataSetError:
    listed = [f"row {mistake.row}: {mistake.words}" for mistake in mistakes]
    summary = f"{len(mistakes)} of the {n_rows} rows of {shortened(str(table))} cannot be used:"
    return DataSetError(
        f"{summary}\n{some_of(listed)}\n{advice}",
        rows=[mistake.row for mistake in mistakes],
        messages=[mistake.words for mistake in mistakes],
    )


def _remedies(mistakes: list[Mistake]) -> str:
    """Return each remedy once; the longer one for missing files holds the shorter."""
    remedies = dict.fromkeys(mistake.remedy for mistake in mistakes)
    if MAY_BE_HEADER in remedies:
        remedies.pop(ELSEWHERE, None)
    return " ".join(remedies)


def _other_delimiter(
    reading: _Reading, text: str, delimiter: str, mistakes: list[Mistake] | None
) -> str | None:
    """Return the advice to give another delimiter, if one of them fits better to the first rows."""
    beginning = "\n".join(text.split("\n", ROWS_TO_TRY)[:ROWS_TO_TRY]) + "\n"
    unsplit = mistakes is None or all(mistake.unsplit for mistake in mistakes)
    for other in [each for each in DELIMITERS if each != delimiter]:
        try:
            found, left = reading.read(beginning, other)
        except _QuotesError:
            continue
        is_split = not any(COLUMNS in mistake.remedy for mistake in left)
        if (found.rows and not left) or (unsplit and is_split):
            return (
                f"The fields have {DELIMITERS[other]} between them, not {DELIMITERS[delimiter]}: give "
                f"delimiter={other!r}."
            )
    return None
