"""Errors in reading a file and in saving a model, as a `ModelFileError`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._common.validation import printable
from .._version import __version__
from ..errors import GenclsError, ModelFileError, PluginError
from .container import StrPath

__all__ = ["file_at_fault", "not_to_be_saved"]

LONGEST_REASON = 2_000  # characters that a message quotes of a different one


@contextmanager
def file_at_fault(path: StrPath, content: str = "model") -> Iterator[None]:
    """Context manager that raises a `ModelFileError` for any error, except for missing plug-ins."""
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        raise ModelFileError(
            f"{printable(os.fsdecode(path))} holds no {content} that gencls {__version__} can build. "
            f"{_reason(error)}. If a different version of gencls wrote it, load it there."
        ) from error


@contextmanager
def not_to_be_saved() -> Iterator[None]:
    """Context manager for saving: any error means that the file could not be loaded."""
    try:
        yield
    except Exception as error:
        raise ModelFileError(f"This model cannot be saved. {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """The message of an error, shortened, in printable characters."""
    kind = "" if isinstance(error, GenclsError) else f"{type(error).__name__}: "
    return kind + printable(str(error).rstrip(".")[:LONGEST_REASON])
