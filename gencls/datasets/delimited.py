"""Read delimited text files and split them into rows."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .._common.validation import shortened
from ..errors import DataSetError

__all__ = ["DELIMITERS", "Field", "QuotesError", "Row", "no_table", "read_text", "split_rows"]

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
MOST_BYTES = 1 << 28  # 268 million, enough for the paths of a million images
COMMENT = re.compile(r'[ \t]*#|"?sep=."?$', re.MULTILINE | re.IGNORECASE)  # the latter is from Excel
MARKUP = re.compile(r'\s*(\[\s*)?\{\s*"|\s*<[!?a-z]', re.IGNORECASE)  # JSON; HTML or XML


class Field(NamedTuple):
    """A field of a row, without quotes."""

    text: str
    quoted: bool


class Row(NamedTuple):
    """A row: the number of its first line, from 1, and its fields."""

    number: int
    fields: list[Field]


class QuotesError(Exception):
    """A quote in this row is not closed, or is followed by text."""


# Reading


def read_text(table: Path, advice: str | None) -> str:
    """Return the text of a file, with a newline at the end of every line."""
    content = _read_bytes(table, advice)
    of_two_bytes = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if (b"\0" in content and not of_two_bytes) or content.startswith(codecs.BOM_UTF32_LE):
        words = "it has zero bytes, like workbooks, images and UTF-16 without a byte order mark"
        raise no_table(table, words, advice or "Save it as CSV in UTF-8.")
    try:
        text = content.decode("utf-16" if of_two_bytes else "utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        number = before.count(b"\n") + 1
        words = f"row {number} is not in {error.encoding} (byte {error.object[error.start]:#x})"
        remedy = "Save it in UTF-8, in Excel as 'CSV UTF-8'."
        raise no_table(table, words, advice or remedy, [number]) from error
    if MARKUP.match(text):
        remedy = "Use a CSV file with a row path,label for each image."
        raise no_table(table, "it looks like JSON, HTML or XML", advice or remedy)
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"


def _read_bytes(table: Path, advice: str | None) -> bytes:
    """Read a regular file up to the maximum size; pipes could block, and devices could be endless."""
    try:
        status = os.stat(table)
        _check_kind(table, status, advice)
        with open(table, "rb") as file:
            return file.read(MOST_BYTES)
    except FileNotFoundError as error:
        raise DataSetError(
            f"The file {shortened(str(table))} does not exist. {advice or 'Check the path.'}"
        ) from error
    except DataSetError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        remedy = advice or "Check the path and its permissions."
        raise no_table(table, f"it cannot be opened ({reason})", remedy) from error


def _check_kind(table: Path, status: os.stat_result, advice: str | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        remedy = "Pass the path of a file, or use load_image_folder if its sub-folders are the classes."
        raise no_table(table, "it is a folder", advice or remedy)
    if not stat.S_ISREG(status.st_mode):
        raise no_table(table, "it is not a regular file", advice or "Copy its content to a file.")
    if status.st_size > MOST_BYTES:
        words = f"it has {status.st_size:,} bytes, more than the maximum of {MOST_BYTES:,}"
        raise no_table(table, words, advice or "Check the path, or split the file.")


def no_table(table: Path, reason: str, advice: str, rows: list[int] | None = None) -> DataSetError:
    """Return the error for a file that is not a valid table."""
    words = f"{shortened(str(table))} cannot be read as a table: {reason}. {advice}"
    return DataSetError(words, rows=rows or (), messages=[reason] if rows else ())


# Splitting


def split_rows(text: str, delimiter: str, is_file: Callable[[str], bool]) -> Iterator[Row]:
    """Split a text into rows; empty rows and comments are skipped."""
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
    """Return the start of the next row, and the fields of this row."""
    fields = []
    while True:
        match = field.match(text, position)
        if match is None:
            raise QuotesError(number)
        quoted = match[1] is not None
        fields.append(Field(match[1].replace('""', '"') if quoted else match[2].strip(), quoted))
        position = match.end() + 1
        if text[match.end()] == "\n":
            return position, fields


def _pattern(delimiter: str) -> re.Pattern[str]:
    """Return the pattern of one field: in double quotes, with spaces around them, or without quotes."""
    end = re.escape(delimiter)
    space = "[ \t]".replace(delimiter, "")
    before = "[ \t]" if delimiter == " " else space  # consecutive spaces are one delimiter
    return re.compile(
        rf'{before}*+(?:"([^"]*+(?:""[^"]*+)*+)"{space}*+(?=[{end}\n])|(?!")([^{end}\n]*+))', re.DOTALL
    )
