"""Natural sort order, which compares numbers by value: 2 before 10, and img2 before img10."""

from __future__ import annotations

import re
from decimal import Decimal
from unicodedata import normalize

__all__ = ["natural_key"]

NUMBER = re.compile(r"[-−+]?(\d+(\.\d*)?|\.\d+)")  # hyphen or minus sign, digits of any script
DIGITS = re.compile(r"(\d+)")

NaturalKey = tuple[int, Decimal | tuple[str | Decimal, ...], str]


def natural_key(name: str) -> NaturalKey:
    """Return the sort key of a class name or file name.

    Numeric names are sorted first, by value. All other names are compared as text in which each run of
    digits is a number; letters compare as in `sorted`, capitals first. Ties, such as "1" and "01", are
    resolved by the text: different names never share a key.

    Parameters
    ----------
    name : str

    Returns
    -------
    tuple

    Examples
    --------
    >>> sorted(["img10", "Img2", "img2", "b", "10", "02", "-1", "2.5"], key=natural_key)
    ['-1', '02', '2.5', '10', 'Img2', 'b', 'img2', 'img10']
    """
    text = normalize("NFC", name)  # file systems encode accents differently
    if NUMBER.fullmatch(text):
        return 0, Decimal(text.replace("−", "-")), name
    parts = DIGITS.split(text)
    return 1, tuple(Decimal(part) if index % 2 else part for index, part in enumerate(parts)), name
