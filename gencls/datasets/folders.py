"""Folders of images: one sub-folder for each class, with the images anywhere below it."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .._common.ordering import NaturalKey, natural_key
from .._common.validation import shortened
from ..errors import DataSetError, SkippedFilesWarning
from ..images.decoding import FORMATS, some_of

__all__ = ["EXTENSIONS", "ClassFolder", "find_classes"]

ENDINGS = {
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"),
    "JPEG2000": (".j2c", ".j2k", ".jp2", ".jpc", ".jpf", ".jpx"),
    "PNG": (".apng", ".png"),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
EXTENSIONS = tuple(sorted(ending for name in FORMATS for ending in ENDINGS.get(name, ())))

# What systems put into folders, besides files whose names begin with a dot; in small letters.
OF_SYSTEMS = {"$recycle.bin", "@eadir", "__macosx", "desktop.ini", "ehthumbs.db", "lost+found", "thumbs.db"}
# What the parts of data sets are called, but hardly classes.
PARTS = {"dev", "eval", "evaluation", "test", "testing", "train", "training", "val", "valid", "validation"}
DATA = {"data", "dataset", "image", "images", "img", "imgs", "set"}  # as in train_images
MOST_ENDINGS = 10  # that a message lists


class ClassFolder(NamedTuple):
    """A class and its image files, in natural order."""

    name: str
    files: list[Path]


def find_classes(
    folder: Path, classes: Sequence[str] | None, extensions: Sequence[str] | None
) -> list[ClassFolder]:
    """Find the classes of a folder, and all of their image files.

    Files are sought in all folders below that of a class. Symbolic links are followed, but each folder is
    read once, and none that the class itself lies in. Hidden files and those of systems are left out.

    Parameters
    ----------
    folder : Path
    classes : sequence of str or None
        The sub-folders to read; None takes all.
    extensions : sequence of str or None
        What the names of images end with; None stands for `EXTENSIONS`, and for a warning that counts the
        other files.

    Returns
    -------
    list of ClassFolder
        In natural order, or in that of ``classes``.

    Raises
    ------
    DataSetError
        The folder or a class is missing, cannot be read or has no images, or the classes seem to lie on
        another level.
    """
    there, beside = _look_into(folder)
    names = _chosen(folder, there, beside, classes)
    endings = tuple(ending.lower() for ending in (EXTENSIONS if extensions is None else extensions))
    below = {name: _files_below(folder / name) for name in names}
    found = [ClassFolder(name, [file for file in below[name] if _ends(file, endings)]) for name in names]
    others = [file for files in below.values() for file in files if not _ends(file, endings)]
    if classes is None:
        _check_level(folder, found)
    _check_not_empty(folder, found, endings, others)
    strays = [file for file in beside if _ends(file, endings)]
    _tell(folder, others if extensions is None else [], strays)
    return found


def _ends(file: Path, endings: tuple[str, ...]) -> bool:
    return file.name.lower().endswith(endings)


# What lies where


def _look_into(folder: Path) -> tuple[list[str], list[Path]]:
    """Return the names of the sub-folders, in natural order, and the files beside them."""
    entries, circle = _entries(folder), _circle(folder)
    folders = [entry.name for entry in entries if _is_folder(entry) and _identity(entry.path) not in circle]
    files = [Path(entry.path) for entry in entries if not _is_folder(entry)]
    return sorted(folders, key=natural_key), files


def _files_below(folder: Path) -> list[Path]:
    """Return all files below a folder, in natural order."""
    seen, waiting, files = _circle(folder), [str(folder)], []
    while waiting:
        for entry in _entries(waiting.pop()):
            if not _is_folder(entry):
                files.append(Path(entry.path))
            elif (identity := _identity(entry.path)) not in seen:
                seen |= {identity} - {None}
                waiting.append(entry.path)
    return sorted(files, key=lambda file: _place(file.relative_to(folder)))


def _place(file: Path) -> tuple[list[NaturalKey], str]:
    """What files are sorted by: folders and name, each in natural order, and then the ending."""
    stem, ending = os.path.splitext(file)
    return [natural_key(part) for part in Path(stem).parts], ending


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds, links last, without hidden things and those of systems."""
    try:
        with os.scandir(folder) as listed:
            entries = [entry for entry in listed if not _is_hidden(entry.name)]
    except (OSError, ValueError) as error:
        raise _no_folder(folder, error) from error
    return sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in OF_SYSTEMS


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Return what two paths to one folder have in common; None if it cannot be reached."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _circle(folder: Path) -> set[tuple[int, int] | None]:
    """Return the identities of a folder and of all that it lies in, to which a link would make a circle."""
    real = Path(os.path.realpath(folder))
    return {_identity(each) for each in (real, *real.parents)} - {None}


# What is wrong


def _no_folder(folder: str | Path, error: OSError | ValueError) -> DataSetError:
    path = shortened(str(folder))
    if isinstance(error, FileNotFoundError):
        return DataSetError(f"There is no folder {path}. Check the path.")
    if isinstance(error, NotADirectoryError):
        return DataSetError(
            f"{path} must be a folder, and is a file. Use load_image_csv if it is a table; unpack an archive."
        )
    reason = getattr(error, "strerror", None) or error
    return DataSetError(f"The folder {path} cannot be read ({reason}). Check the path and its permissions.")


def _chosen(folder: Path, there: list[str], beside: list[Path], classes: Sequence[str] | None) -> list[str]:
    """Return the names of the sub-folders to read, all of which exist."""
    if not there:
        raise DataSetError(_no_classes(folder, [file for file in beside if _ends(file, EXTENSIONS)]))
    asked = there if classes is None else [str(name) for name in classes]
    unknown = [shortened(name) for name in asked if name not in there]
    if unknown:
        raise DataSetError(
            f"{shortened(str(folder))} has no sub-folder for these classes:\n{some_of(unknown)}\n"
            f"It has {shortened(there)}. Correct classes= or the path."
        )
    return asked


def _no_classes(folder: Path, images: list[Path]) -> str:
    must = f"{shortened(str(folder))} must have a sub-folder for each class, with the images in it."
    table = "use load_image_csv if a table holds the labels"
    if not images:
        return f"{must} Got none. Check the path, or {table}."
    above = os.path.dirname(os.path.abspath(folder))
    return (
        f"{must} Got {len(images)} images and no sub-folder. If it is the folder of one class, give the "
        f"folder above it, {shortened(above)}, or {table}."
    )


def _check_level(folder: Path, found: list[ClassFolder]) -> None:
    """Refuse to take the parts of a data set, or folders above the classes, for classes."""
    nested = [(each.name, file) for each in found for file in each.files if file.parent != folder / each.name]
    direct = sum(len(each.files) for each in found) - len(nested)
    names = [each.name for each in found]
    are_parts = all(map(_is_part, names))
    if (nested and not direct) or (are_parts and (nested or direct)):
        name, file = nested[0] if nested else (names[0], None)
        raise DataSetError(_too_high(folder, names, name, file))


def _is_part(name: str) -> bool:
    """Say whether a name is that of a part of a data set, such as "test1", "val2017" and "train_images"."""
    words = set(re.findall("[^\\W\\d_]+", name.lower())) - DATA
    return bool(words) and words <= PARTS


def _too_high(folder: Path, names: list[str], name: str, file: Path | None) -> str:
    listed = f"The sub-folders of {shortened(str(folder))} are {shortened(names)}"
    classes = f"If these are the classes, give their names as classes={shortened(names)}."
    if file is None:
        return (
            f"{listed}, which seem to be parts of a data set, not classes. {classes} Use load_image_csv if a "
            "table holds the labels."
        )
    inner = shortened(file.parent.name)
    return (
        f"{listed}, but {shortened(name)} has folders of images itself, such as {inner}. If {inner} is a "
        f"class, give the folder {shortened(str(file.parent.parent))}. {classes}"
    )


def _check_not_empty(
    folder: Path, found: list[ClassFolder], endings: tuple[str, ...], others: list[Path]
) -> None:
    empty = [shortened(each.name) for each in found if not each.files]
    if empty:
        instead = f" All sub-folders have other files: {_counted(others)}." if others else ""
        raise DataSetError(
            f"These sub-folders of {shortened(str(folder))} hold no files whose names end with "
            f"{shortened(', '.join(endings))}:\n{some_of(empty)}\n"
            f"Remove them, choose others with classes=, or give other extensions.{instead}"
        )


# What is left out


def _tell(folder: Path, others: list[Path], strays: list[Path]) -> None:
    """Warn once of all that was left out."""
    parts = []
    if others:
        parts.append(
            f"{len(others)} files were passed over, as images that can be read have other endings: "
            f"{_counted(others)}. Convert those that are images, or choose the endings with extensions=."
        )
    if strays:
        parts.append(
            f"{len(strays)} images lie beside the sub-folders, in no class: {_counted(strays)}. Move them "
            "into the folder of their class, or away."
        )
    if parts:
        words = f"In {shortened(str(folder))}: {' '.join(parts)}"
        warnings.warn(words, SkippedFilesWarning, stacklevel=4)


def _counted(files: list[Path]) -> str:
    """Count the endings, the most frequent first."""
    counts = Counter(os.path.splitext(file)[1].lower() for file in files)
    listed = [f"{number} {_printable(ending)}" for ending, number in counts.most_common(MOST_ENDINGS)]
    more = [f"{len(counts) - MOST_ENDINGS} more endings"] if len(counts) > MOST_ENDINGS else []
    return ", ".join(listed + more)


def _printable(ending: str) -> str:
    return shortened(ending)[1:-1] if ending else "without an ending"
