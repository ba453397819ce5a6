"""An extension of griffe: reStructuredText in docstrings becomes the Markdown of the pages."""

from __future__ import annotations

import re
from typing import Any

import griffe

INLINE = re.compile(r":math:`([^`]+)`")
BLOCK = re.compile(r"^( *)\.\. math::[ ]*\n((?:\1 +\S.*\n?|\n(?=\1 +\S))+)", re.MULTILINE)
ROLE = re.compile(r":(?:class|func|meth|mod|attr|exc):`~?([^`]+)`")


def to_markdown(text: str) -> str:
    """Rewrite formulas for MathJax, and roles such as ``:class:`` as code."""
    text = BLOCK.sub(lambda match: f"{match[1]}\\[\n{match[2].rstrip()}\n{match[1]}\\]\n", text)
    return ROLE.sub(r"`\1`", INLINE.sub(r"\\(\1\\)", text)).replace("``", "`")


class NumpydocMath(griffe.Extension):
    """Apply `to_markdown` to every docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called by griffe for every object that it has read."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
