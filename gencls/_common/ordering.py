"""The natural order of names, in which numbers count by their value: 2 before 10, and img2 before img10."""

from __future__ import annotations

import re
from decimal import Decimal
from unicodedata import normalize

__all__ = ["natural_key"]

NUMBER = re.compile(r"[-−+]?(\d+(\.\d*)?|\.\d+)")  # hyphen or minus sign, and the digits of any script
DIGITS = re.compile(r"(\d+)")

NaturalKey = tuple[int, Decimal | tuple[str | Decimal, ...], str]


def natural_key(name: str) -> NaturalKey:
    """Return the key that sorts names of classes and files, from folders and from tables.

    Names that are numbers stand first, in the order of their values. The others follow as texts in which
    every run of digits is a number; letters have the order of `sorted`, with capitals first. Names of one
    value, such as "1" and "01", have that order, too: different names never have the same key.

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
    text = normalize("NFC", name)  # as file systems differ in how they write accents
    if NUMBER.fullmatch(text):
        return 0, Decimal(text.replace("−", "-")), name
    parts = DIGITS.split(text)
    return 1, tuple(Decimal(part) if index % 2 else part for index, part in enumerate(parts)), name
