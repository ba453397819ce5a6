"""The loader of the CPEN455 images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import get_data_home

from .._common.validation import check_parameters, choice, flag, optional, shortened
from ..errors import DataSetError
from ..images.reading import READING_RULES, ReadImages
from .loading import PATH, loaded
from .remote import RemoteFolder, fetch
from .tables import read_table

__all__ = ["fetch_cpen455"]

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

The images of Shovon Biswas, "Image Classification with Conditional PixelCNN++", from the folder "data" of the
public repository https://github.com/shovon-b/conditional_pixelCNN.

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


def fetch_cpen455(
    *,
    subset: Literal["train", "validation", "test"] = "train",
    size: int | tuple[int, int] | None = 32,
    mode: str = "RGB",
    resample: str = "bilinear",
    path: str | os.PathLike[str] | None = None,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Any:
    """Load the CPEN455 images of the paper: hamburger, giant panda, koala and pizza.

    The images are loaded from the first available source: the folder ``path``; the folder in the environment
    variable ``GENCLS_CPEN455``; a copy in ``data_home``; or the web. A download, of about 14 MB, is verified
    by its checksum and stored in ``data_home``.

    Parameters
    ----------
    subset : {"train", "validation", "test"}, default="train"
        The subset to load. The labels of "test" are not public: its targets are all -1.
    size, mode, resample
        Parameters of reading, see `gencls.images.read_image`. The files have 64 × 64 pixels.
    path : str, path-like or None, default=None
        A folder with train.csv, validation.csv, test.csv and the images that they list.
    data_home : str, path-like or None, default=None
        The folder of data sets, which contains a folder cpen455. None is the default of scikit-learn,
        ``~/scikit_learn_data``.
    download_if_missing : bool, default=True
        If False, raise an error instead of downloading the images.
    return_X_y, n_jobs, verbose
        See `load_image_folder`; `verbose` also shows the progress of a download.

    Returns
    -------
    Bunch, or (data, target) with ``return_X_y=True``
        See `load_image_folder`. ``target_names`` is ["hamburger", "giant panda", "koala", "pizza"].

    Raises
    ------
    DataSetError
        If the images are missing or incomplete, or cannot be downloaded.
    ImageFileError
        If images cannot be read.
    InvalidParameterError
        If parameters are invalid; all of them are reported together.
    """
    reader = ReadImages(size, mode, resample, n_jobs=n_jobs, verbose=verbose)
    values: dict[str, Any] = {"subset": subset, "path": path, "data_home": data_home}
    values |= {"download_if_missing": download_if_missing, "return_X_y": return_X_y}
    rules = {
        "subset": choice("train", "validation", "test"),
        "path": optional(PATH),
        "data_home": optional(PATH),
    }
    rules |= {"download_if_missing": flag(), "return_X_y": flag()}
    check_parameters("fetch_cpen455", values | reader.get_params(), rules | READING_RULES)
    folder, advice = _find_folder(path, data_home, download_if_missing=download_if_missing, verbose=verbose)
    table = folder / f"{subset}.csv"
    _, files, labels = read_table(table, folder, header=False, advice=advice)
    target = _codes_of(labels, table, advice)
    return loaded(reader, files, target, list(CLASSES), DESCRIPTION, return_X_y)


def _find_folder(
    path: str | os.PathLike[str] | None,
    data_home: str | os.PathLike[str] | None,
    *,
    download_if_missing: bool,
    verbose: int,
) -> tuple[Path, str]:
    """Return the folder of the images, downloaded if necessary.

    Returns
    -------
    folder : Path
        ``path``, or the folder in the environment variable, or the copy in ``data_home``.
    advice : str
        Advice for error messages about an incomplete folder.

    Raises
    ------
    DataSetError
        If there is no such folder, and it cannot or must not be downloaded.
    """
    if path is not None:
        return _given(path, f"Set path to the folder of {CONTENT}.")
    if os.environ.get(VARIABLE):
        advice = f"Set the environment variable {VARIABLE} to the folder of {CONTENT}, or unset it."
        return _given(os.environ[VARIABLE], advice)
    copy = _home(data_home) / "cpen455"
    if os.path.lexists(copy) and not os.path.isdir(copy):
        raise DataSetError(f"{str(copy)!r} must be a folder, but is a file. Remove it, or set data_home.")
    if not os.path.isdir(copy):
        if not download_if_missing:
            raise DataSetError(
                f"The CPEN455 images are not in {str(copy)!r}, and download_if_missing is False. Allow the "
                f"download, or set path to the folder of {CONTENT}."
            )
        fetch(REMOTE, copy, verbose=verbose)
    return copy, f"Delete the folder {str(copy)!r} to download it again."


def _given(path: str | os.PathLike[str], advice: str) -> tuple[Path, str]:
    folder = Path(os.path.expanduser(path))
    if not os.path.isdir(folder):
        raise DataSetError(f"{shortened(str(folder))} is not a readable folder. {advice}")
    return folder, advice


def _home(data_home: str | os.PathLike[str] | None) -> Path:
    """Return the folder of data sets, created if necessary."""
    try:
        return Path(get_data_home(data_home))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        place = getattr(error, "filename", None) or data_home
        raise DataSetError(
            f"The folder of data sets cannot be created ({reason}: {shortened(str(place))}). Set data_home "
            "to a different folder, or path to the folder of the images."
        ) from error


def _codes_of(labels: list[str], table: Path, advice: str) -> NDArray[np.int64]:
    """Convert the labels of a table to codes, from 0 to 3, or -1 for labels that are not public."""
    codes = {str(code): code for code in range(-1, len(CLASSES))}
    unknown = sorted(set(labels) - set(codes))
    if unknown:
        raise DataSetError(
            f"The labels in {shortened(str(table))} must be {', '.join(codes)}. Got {shortened(unknown)}. "
            f"{advice}"
        )
    return np.array([codes[label] for label in labels], dtype=np.int64)
