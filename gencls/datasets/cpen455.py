"""The CPEN455 images: what they are, and where to find them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import get_data_home

from .._common.validation import shortened
from ..errors import DataSetError
from .remote import RemoteFolder, fetch

__all__ = ["CLASSES", "DESCRIPTION", "REMOTE", "VARIABLE", "codes_of", "find_folder"]

REMOTE = RemoteFolder(
    url="https://github.com/shovon-b/conditional_pixelCNN/archive/82ec66fc4181d49aa60298789c710577786aa363.tar.gz",
    folder="data",
    sha256="a0388f55e603f50e365db444fee10293429b215b954082b69b8f760f8b477db8",
    max_bytes=100_000_000,
)
VARIABLE = "GENCLS_CPEN455"
CLASSES = ("hamburger", "giant panda", "koala", "pizza")
CONTENT = "train.csv, validation.csv and test.csv, and the images that they list"
DESCRIPTION = """\
CPEN455: hamburgers, giant pandas, koalas and pizzas
----------------------------------------------------

The images of Shovon Biswas, "Image Classification with Conditional PixelCNN++", as the public repository
https://github.com/shovon-b/conditional_pixelCNN ships them in its folder "data".

    ==========  ======  =============================================
    subset      images  target
    ==========  ======  =============================================
    train        4,159  0 to 3, with 1,039 or 1,040 images each
    validation     519  0 to 3, with 129 or 130 images each
    test           519  -1, as the labels of this part are not public
    ==========  ======  =============================================

The classes are 0 hamburger, 1 giant panda, 2 koala and 3 pizza. The files are JPEG of 64 × 64 pixels. Twelve
of them are grey, and are converted to colour. The paper reports on the validation images at 32 × 32 pixels,
scaled as floats; here they are scaled and then rounded to 8 bits, so that a likelihood over 256 levels is
exact.
"""


def find_folder(
    path: str | os.PathLike[str] | None,
    data_home: str | os.PathLike[str] | None,
    *,
    download_if_missing: bool,
    verbose: int,
) -> tuple[Path, str]:
    """Find the folder of the images, and download it if it is nowhere.

    Returns
    -------
    folder : Path
        ``path``, or what the environment variable names, or the copy in ``data_home``.
    advice : str
        What to do if the folder turns out to be incomplete, for error messages.

    Raises
    ------
    DataSetError
        There is no such folder, and none can or may be downloaded.
    """
    if path is not None:
        return _given(path, f"Give the folder that holds {CONTENT} as path=.")
    if os.environ.get(VARIABLE):
        advice = f"Let the environment variable {VARIABLE} name the folder that holds {CONTENT}, or unset it."
        return _given(os.environ[VARIABLE], advice)
    copy = _home(data_home) / "cpen455"
    if os.path.lexists(copy) and not os.path.isdir(copy):
        raise DataSetError(f"{str(copy)!r} must be a folder, and is a file. Remove it, or give data_home=.")
    if not os.path.isdir(copy):
        if not download_if_missing:
            raise DataSetError(
                f"The CPEN455 images are not in {str(copy)!r}, and download_if_missing is False. Allow the "
                f"download, or give the folder that holds {CONTENT} as path=."
            )
        fetch(REMOTE, copy, verbose=verbose)
    return copy, f"Delete the folder {str(copy)!r}, so that it is downloaded again."


def _given(path: str | os.PathLike[str], advice: str) -> tuple[Path, str]:
    folder = Path(os.path.expanduser(path))
    if not os.path.isdir(folder):
        raise DataSetError(f"{shortened(str(folder))} is no folder that can be read. {advice}")
    return folder, advice


def _home(data_home: str | os.PathLike[str] | None) -> Path:
    """Return the folder of data sets, which is made if it is not there."""
    try:
        return Path(get_data_home(data_home))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        place = getattr(error, "filename", None) or data_home
        raise DataSetError(
            f"The folder for data sets cannot be made ({reason}: {shortened(str(place))}). Give another as "
            "data_home=, or the folder of the images as path=."
        ) from error


def codes_of(labels: list[str], table: Path, advice: str) -> NDArray[np.int64]:
    """Turn the labels of a table into codes, from 0 to 3, or -1 where they are not public."""
    codes = {str(code): code for code in range(-1, len(CLASSES))}
    unknown = sorted(set(labels) - set(codes))
    if unknown:
        raise DataSetError(
            f"The labels in {shortened(str(table))} must be {', '.join(codes)}. Got {shortened(unknown)}. "
            f"{advice}"
        )
    return np.array([codes[label] for label in labels], dtype=np.int64)
