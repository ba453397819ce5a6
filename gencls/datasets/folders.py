"""Find the images of folders with one sub-folder per class."""

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

# Files and folders created by operating systems, in lower case; names that begin with a dot are also skipped.
OF_SYSTEMS = {"$recycle.bin", "@eadir", "__macosx", "desktop.ini", "ehthumbs.db", "lost+found", "thumbs.db"}
# Names of subsets of data sets, which are improbable names of classes.
PARTS = {"dev", "eval", "evaluation", "test", "testing", "train", "training", "val", "valid", "validation"}
DATA = {"data", "dataset", "image", "images", "img", "imgs", "set"}  # as in train_images
MOST_ENDINGS = 10  # listed in a message


class ClassFolder(NamedTuple):
    """A class and its image files, in natural order."""

    name: str
    files: list[Path]


def find_classes(
    folder: Path, classes: Sequence[str] | None, extensions: Sequence[str] | None
) -> list[ClassFolder]:
    """Find the classes of a folder, and all of their image files.

    Files are searched recursively. Symbolic links are followed, but each folder is read only once, and parent
    folders of the class are not read. Hidden files and files of operating systems are skipped.

    Parameters
    ----------
    folder : Path
    classes : sequence of str or None
        The sub-folders to read; None reads all.
    extensions : sequence of str or None
        The extensions of image files. None uses `EXTENSIONS`, and warns about other files.

    Returns
    -------
    list of ClassFolder
        In natural order, or in the order of ``classes``.

    Raises
    ------
    DataSetError
        If the folder or a class is missing, unreadable or without images, or if the classes seem to be on a
        different level.
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
    _warn_of_skipped(folder, others if extensions is None else [], strays)
    return found


def _ends(file: Path, endings: tuple[str, ...]) -> bool:
    return file.name.lower().endswith(endings)


# Entries of folders


def _look_into(folder: Path) -> tuple[list[str], list[Path]]:
    """Return the names of the sub-folders, in natural order, and the files next to them."""
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
    """Return the sort key of a file: folders and name in natural order, then the extension."""
    stem, ending = os.path.splitext(file)
    return [natural_key(part) for part in Path(stem).parts], ending


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, links last, without hidden entries and those of operating systems."""
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
    """Return the device and inode of a folder, which all paths to it share; None if it is inaccessible."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _circle(folder: Path) -> set[tuple[int, int] | None]:
    """Return the identities of a folder and its parents, to which a link would be circular."""
    real = Path(os.path.realpath(folder))
    return {_identity(each) for each in (real, *real.parents)} - {None}


# Errors


def _no_folder(folder: str | Path, error: OSError | ValueError) -> DataSetError:
    path = shortened(str(folder))
    if isinstance(error, FileNotFoundError):
        return DataSetError(f"The folder {path} does not exist. Check the path.")
    if isinstance(error, NotADirectoryError):
        return DataSetError(
            f"{path} must be a folder, but is a file. Use load_image_csv for a table; unpack an archive."
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
            f"Its sub-folders are {shortened(there)}. Correct classes or the path."
        )
    return asked


def _no_classes(folder: Path, images: list[Path]) -> str:
    must = f"{shortened(str(folder))} must have a sub-folder with images for each class."
    table = "use load_image_csv if the labels are in a table"
    if not images:
        return f"{must} Got none. Check the path, or {table}."
    above = os.path.dirname(os.path.abspath(folder))
    return (
        f"{must} Got {len(images)} images and no sub-folder. If it is the folder of one class, pass its "
        f"parent folder, {shortened(above)}; or {table}."
    )


def _check_level(folder: Path, found: list[ClassFolder]) -> None:
    """Raise if the sub-folders seem to be subsets of a data set, or parents of the class folders."""
    nested = [(each.name, file) for each in found for file in each.files if file.parent != folder / each.name]
    direct = sum(len(each.files) for each in found) - len(nested)
    names = [each.name for each in found]
    are_parts = all(map(_is_part, names))
    if (nested and not direct) or (are_parts and (nested or direct)):
        name, file = nested[0] if nested else (names[0], None)
        raise DataSetError(_too_high(folder, names, name, file))


def _is_part(name: str) -> bool:
    """Return whether a name seems to be a subset of a data set, such as "test1" or "train_images"."""
    words = set(re.findall("[^\\W\\d_]+", name.lower())) - DATA
    return bool(words) and words <= PARTS


def _too_high(folder: Path, names: list[str], name: str, file: Path | None) -> str:
    listed = f"The sub-folders of {shortened(str(folder))} are {shortened(names)}"
    classes = f"If these are the classes, set classes={shortened(names)}."
    if file is None:
        return (
            f"{listed}, which seem to be subsets of a data set, not classes. {classes} Use load_image_csv if "
            "the labels are in a table."
        )
    inner = shortened(file.parent.name)
    return (
        f"{listed}, but {shortened(name)} has sub-folders with images, such as {inner}. If {inner} is a "
        f"class, pass the folder {shortened(str(file.parent.parent))}. {classes}"
    )


def _check_not_empty(
    folder: Path, found: list[ClassFolder], endings: tuple[str, ...], others: list[Path]
) -> None:
    empty = [shortened(each.name) for each in found if not each.files]
    if empty:
        instead = f" Other files in all sub-folders: {_counted(others)}." if others else ""
        raise DataSetError(
            f"These sub-folders of {shortened(str(folder))} have no files with the extensions "
            f"{shortened(', '.join(endings))}:\n{some_of(empty)}\n"
            f"Remove them, select sub-folders by classes, or set extensions.{instead}"
        )


# Skipped files


def _warn_of_skipped(folder: Path, others: list[Path], strays: list[Path]) -> None:
    """Issue one warning about all skipped files."""
    parts = []
    if others:
        parts.append(
            f"{len(others)} files were skipped, because their extensions are not those of images: "
            f"{_counted(others)}. Convert images among them, or set extensions."
        )
    if strays:
        parts.append(
            f"{len(strays)} images outside the sub-folders were skipped: {_counted(strays)}. Move them to "
            "the folders of their classes, or remove them."
        )
    if parts:
        words = f"In {shortened(str(folder))}: {' '.join(parts)}"
        warnings.warn(words, SkippedFilesWarning, stacklevel=4)


def _counted(files: list[Path]) -> str:
    """Count the extensions, the most frequent first."""
    counts = Counter(os.path.splitext(file)[1].lower() for file in files)
    listed = [f"{number} {_printable(ending)}" for ending, number in counts.most_common(MOST_ENDINGS)]
    more = [f"{len(counts) - MOST_ENDINGS} more extensions"] if len(counts) > MOST_ENDINGS else []
    return ", ".join(listed + more)


def _printable(ending: str) -> str:
    return shortened(ending)[1:-1] if ending else "without an extension"
