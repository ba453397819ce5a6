"""A file written whole or not at all, in the place of another and with its rights."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["whole_file"]

UNFINISHED = re.compile(r"\.gencls-[0-9a-f]{32}\.unfinished")  # the names of files that are being written


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file beside this one to write to, which is put in its place once it is whole and on the disk.

    A link stays, and the file that it leads to is replaced. A file that is there gives the new one its mode,
    and owner and group where this process may give them; without it, the mode is that of every new file. What
    a killed process of the same user has left unfinished in this folder is removed.

    Parameters
    ----------
    path : str or path-like

    Yields
    ------
    file : binary file

    Raises
    ------
    OSError
        If the file cannot be written; one that is there then stays as it is. So it does if it may not be
        written to, though its folder may.
    """
    target = Path(os.path.realpath(path))
    before = _status(path, target)
    _remove_abandoned(target.parent)
    try:
        with _unfinished_file(target.parent, 0o666 if before is None else 0o600) as (file, unfinished):
            yield file
            file.flush()
            if before is not None:
                _take_rights(file.fileno(), before)
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()
            unfinished.replace(target)
    except OSError as error:
        if error.errno is None or not (error.filename is None or UNFINISHED.search(str(error.filename))):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error  # the file that was asked for
    _flush_folder(target.parent)


def _status(path: str | os.PathLike[str], target: Path) -> os.stat_result | None:
    """Of the file that is to be replaced, None where there is none; raise if it must not be."""
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {target.parent} to write {target.name} into. Make it first."
        )
    try:
        before = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(before.st_mode):
        raise IsADirectoryError(errno.EISDIR, "A folder is there. Give the name of a file", os.fspath(path))
    if not stat.S_ISREG(before.st_mode):
        raise OSError(errno.EINVAL, "No regular file is there. Give another name", os.fspath(path))
    if not os.access(path, os.W_OK):
        reason = "The file is protected against writing. Permit it, or give another name"
        raise PermissionError(errno.EACCES, reason, os.fspath(path))
    return before


@contextmanager
def _unfinished_file(folder: Path, mode: int) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file that is locked while it is open, so that nobody takes it for abandoned; gone afterwards."""
    while True:
        path = folder / f".gencls-{uuid4().hex}.unfinished"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags, mode), "wb")
        try:
            if _lock(file.fileno(), wait=True) and not os.fstat(file.fileno()).st_nlink:
                continue  # somebody was faster than the lock
            yield file, path
            return
        finally:
            file.close()
            path.unlink(missing_ok=True)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock a file for as long as it is open; False where another process has locked it, or nobody can."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _take_rights(descriptor: int, before: os.stat_result) -> None:
    """Take owner, group and mode of the file that is replaced, and no rights for a group that is lost."""
    if fcntl is None:
        return
    mode = stat.S_IMODE(before.st_mode) & 0o777
    for owner in (before.st_uid, -1):
        with suppress(OSError):
            os.fchown(descriptor, owner, before.st_gid)
            break
    if os.fstat(descriptor).st_gid != before.st_gid:
        mode &= ~0o070
    os.fchmod(descriptor, mode)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes of this user have left in the folder."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if UNFINISHED.fullmatch(name):
                with suppress(OSError):
                    _remove_unlocked(folder / name)


def _remove_unlocked(path: Path) -> None:
    if fcntl is None:
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if ours and _lock(descriptor, wait=False):
            path.unlink()
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Bring the new entry of the folder to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
