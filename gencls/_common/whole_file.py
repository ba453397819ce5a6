"""Atomic file writing: a new file replaces the old one and keeps its permissions."""

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
except ImportError:  # Windows, where open files cannot be removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["whole_file"]

UNFINISHED = re.compile(r"\.gencls-[0-9a-f]{32}\.unfinished")  # names of files in progress


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file in the same folder, which replaces `path` once it is complete and on disk.

    A symbolic link is kept, and its target is replaced. The new file inherits the mode of an existing file,
    and its owner and group where permissions allow; otherwise it has the default mode of new files.
    Unfinished files of killed processes of the same user in this folder are removed.

    Parameters
    ----------
    path : str or path-like

    Yields
    ------
    file : binary file

    Raises
    ------
    OSError
        If the file cannot be written; an existing file is then unchanged. A read-only file raises, even in a
        writable folder.
    """
    target = Path(os.path.realpath(path))
    before = _status(path, target)
    _remove_abandoned(target.parent)
    try:
        with _unfinished_file(target.parent, 0o666 if before is None else 0o600) as (file, unfinished):
            yield file
            file.flush()
            if before is not None:
                _copy_permissions(file.fileno(), before)
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()
            unfinished.replace(target)
    except OSError as error:
        if error.errno is None or not (error.filename is None or UNFINISHED.search(str(error.filename))):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error  # name the requested file
    _flush_folder(target.parent)


def _status(path: str | os.PathLike[str], target: Path) -> os.stat_result | None:
    """Return the status of the file to replace, or None; raise if the file must not be replaced."""
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"The folder {target.parent} does not exist, so {target.name} cannot be written. Create it first."
        )
    try:
        before = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(before.st_mode):
        raise IsADirectoryError(errno.EISDIR, "The path is a folder. Pass a file name", os.fspath(path))
    if not stat.S_ISREG(before.st_mode):
        raise OSError(errno.EINVAL, "The path is not a regular file. Pass a different name", os.fspath(path))
    if not os.access(path, os.W_OK):
        reason = "The file is read-only. Change its permissions, or pass a different name"
        raise PermissionError(errno.EACCES, reason, os.fspath(path))
    return before


@contextmanager
def _unfinished_file(folder: Path, mode: int) -> Iterator[tuple[BinaryIO, Path]]:
    """Create a file that is locked while open, so that no process considers it abandoned; then remove it."""
    while True:
        path = folder / f".gencls-{uuid4().hex}.unfinished"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags, mode), "wb")
        try:
            if _lock(file.fileno(), wait=True) and not os.fstat(file.fileno()).st_nlink:
                continue  # another process removed the file before it was locked
            yield file, path
            return
        finally:
            file.close()
            path.unlink(missing_ok=True)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file; return False if another process holds the lock, or locks are not supported."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _copy_permissions(descriptor: int, before: os.stat_result) -> None:
    """Copy owner, group and mode of the replaced file; drop group permissions if the group differs."""
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
    """Remove unfinished files of killed processes of this user."""
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
    """Flush the folder entry to disk where the system supports it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
