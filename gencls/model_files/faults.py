"""Whose fault an error is: of a file that is read, or of a model that is to be saved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._common.validation import printable
from .._version import __version__
from ..errors import GenclsError, ModelFileError, PluginError
from .container import StrPath

__all__ = ["file_at_fault", "not_to_be_saved"]

LONGEST_REASON = 2_000  # characters that a message repeats of another


@contextmanager
def file_at_fault(path: StrPath, content: str = "model") -> Iterator[None]:
    """Whatever goes wrong in here is the file's fault, unless a plug-in is not installed."""
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        raise ModelFileError(
            f"{printable(os.fsdecode(path))} holds no {content} that gencls {__version__} can build. "
            f"{_reason(error)}. If it comes from another version of gencls, load it there."
        ) from error


@contextmanager
def not_to_be_saved() -> Iterator[None]:
    """Whatever goes wrong in here, the file could not be loaded."""
    try:
        yield
    except Exception as error:
        raise ModelFileError(f"This model cannot be saved. {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """What an error says, in characters that can be printed, and not too many of them."""
    kind = "" if isinstance(error, GenclsError) else f"{type(error).__name__}: "
    return kind + printable(str(error).rstrip(".")[:LONGEST_REASON])
