"""An extension of griffe: docstrings in numpydoc's reStructuredText become what the pages need."""

from __future__ import annotations

import re
from typing import Any

import griffe

INLINE = re.compile(r":math:`([^`]+)`")
BLOCK = re.compile(r"^( *)\.\. math::[ ]*\n((?:\1 +\S.*\n?|\n(?=\1 +\S))+)", re.MULTILINE)
ROLE = re.compile(r":(?:class|func|meth|mod|attr|exc):`~?([^`]+)`")
CHOICES = re.compile(r"^( *(?:\w+, )*\w+ : )\{([^{}]+)\}(?=,|$)", re.MULTILINE)
SHARED = re.compile(r"^( *)(\w+(?:, \w+)+)(?:( : .*)\n?|\n(?=\1 +\S))((?:\1 +\S.*\n?)*)", re.MULTILINE)


def to_markdown(text: str) -> str:
    """Rewrite formulas for MathJax, and roles such as ``:class:`` as code."""
    text = BLOCK.sub(lambda match: f"{match[1]}\\[\n{match[2].rstrip()}\n{match[1]}\\]\n", text)
    return ROLE.sub(r"`\1`", INLINE.sub(r"\\(\1\\)", text)).replace("``", "`")


def one_by_one(text: str) -> str:
    """Give each parameter an entry of its own; keep griffe from taking the first choice for the default."""

    def split(match: re.Match[str]) -> str:
        description = match[4].rstrip("\n")
        return "".join(f"{match[1]}{name}{match[3] or ''}\n{description}\n" for name in match[2].split(", "))

    return SHARED.sub(split, CHOICES.sub(r"\1one of \2", text))


class Numpydoc(griffe.Extension):
    """Rewrite every docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called by griffe for every object that it has read."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(one_by_one(obj.docstring.value))
