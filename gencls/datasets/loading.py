"""Shared code of the loaders: the rule for paths, and the Bunch that each returns."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .._common.validation import Rule, shortened
from ..errors import SkippedFilesWarning
from ..images.collecting import ImageMistake, summary_of, unreadable
from ..images.reading import ReadImages, read_images

__all__ = ["PATH", "home_expanded", "loaded"]

PATH = Rule("a path", lambda value: _is_path(value))


def home_expanded(value: str | os.PathLike[str]) -> Path:
    """Return a path with "~" replaced by the home folder of the user."""
    return Path(os.path.expanduser(value))


def loaded(
    reader: ReadImages,
    files: Sequence[Path],
    target: NDArray[np.int64],
    names: Sequence[str],
    description: str,
    return_X_y: bool,
    on_error: str = "raise",
) -> Any:
    """Read the files, and return the result of a loader."""
    data, skipped = read_images(files, **reader.get_params())
    if skipped and on_error == "raise":
        raise unreadable(skipped, len(files))
    positions = [mistake.position for mistake in skipped]
    target = np.delete(target, positions)
    if skipped:
        left = set(target.tolist())
        _warn_of_skipped(skipped, len(files), [name for code, name in enumerate(names) if code not in left])
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=names,
        filenames=np.delete(np.array([str(file) for file in files]), positions),
        skipped={str(mistake.source): mistake.message for mistake in skipped},
        DESCR=description,
    )


def _warn_of_skipped(skipped: Sequence[ImageMistake], n_files: int, empty: Sequence[str]) -> None:
    words = f"{summary_of(skipped, n_files)}\nThey were skipped."
    if empty:
        words += f" No images are left of {shortened(empty)}."
    warnings.warn(words, SkippedFilesWarning, stacklevel=4)


def _is_path(value: Any) -> bool:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    return isinstance(text, str) and text != ""
