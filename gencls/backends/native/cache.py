"""The cache of compiled kernels, in a folder that only the user can write to.

The name of a library is ``kernels-KEY-CHECKSUM.so``. A truncated or modified file does not match its name and
is removed instead of loaded. The functions never raise OSError: without a folder, nothing is cached.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["failure", "find", "folder", "keep", "remember_failure"]

REMEMBERED = 6 * 3600  # seconds before a compiler that hung is tried again


def folder() -> Path | None:
    """Return the cache folder, created if necessary; None if no safe folder is available."""
    try:
        above = _caches()
        found = above / "gencls"
        if not above.is_absolute():
            return None
        above.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _can_be_swapped(above):
            return None
        found.mkdir(exist_ok=True, mode=0o700)
        return found if _is_own(found, stat.S_ISDIR) else None
    except (OSError, RuntimeError):  # no home folder, a file of that name, missing permissions
        return None


def _caches() -> Path:
    """Return the folder of all caches of the user; relative paths are ignored, as XDG specifies."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def find(key: str) -> Path | None:
    """Return the path of the intact library with this key, or None."""
    home = folder()
    for path in () if home is None else sorted(home.glob(f"kernels-{key}-*.so")):
        try:
            if _is_own(path, stat.S_ISREG) and path.name == _name(key, path.read_bytes()):
                return path
            path.unlink()
        except OSError:
            continue
    return None


def keep(key: str, library: bytes) -> None:
    """Cache a library, if the folder and the disk permit."""
    _write(_name(key, library), library)


def failure(key: str) -> str | None:
    """Return the reason of a recent failure of a compiler, or None."""
    home = folder()
    if home is None:
        return None
    path = _failed(home, key)
    try:
        recent = _is_own(path, stat.S_ISREG) and 0 <= time.time() - path.stat().st_mtime < REMEMBERED
        reason = path.read_text(encoding="utf-8")[:1000] if recent else None
    except (OSError, ValueError):
        return None
    return (
        reason
        and f"{reason}; it is not tried again for {REMEMBERED // 3600} hours, or until {path} is removed"
    )


def remember_failure(key: str, reason: str) -> None:
    """Record a failure, so that the compiler is not tried again for some hours."""
    home = folder()
    if home is not None:
        _write(_failed(home, key).name, reason.encode())


def _name(key: str, library: bytes) -> str:
    return f"kernels-{key}-{hashlib.sha256(library).hexdigest()[:32]}.so"


def _failed(home: Path, key: str) -> Path:
    return home / f"failed-{key}.txt"


def _is_own(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Return whether a path is not a link, belongs to the user, and is not writable by others."""
    found = os.lstat(path)
    return is_kind(found.st_mode) and _is_users(found, trusted=()) and not _others_may_write(found)


def _can_be_swapped(above: Path) -> bool:
    """Return whether other users could replace a folder inside this one."""
    found = os.stat(above)
    sticky = bool(found.st_mode & stat.S_ISVTX)
    return not _is_users(found, trusted=(0,)) or (_others_may_write(found) and not sticky)


def _is_users(found: os.stat_result, trusted: tuple[int, ...]) -> bool:
    return not hasattr(os, "geteuid") or found.st_uid in (os.geteuid(), *trusted)


def _others_may_write(found: os.stat_result) -> bool:
    return hasattr(os, "geteuid") and bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _write(name: str, content: bytes) -> None:
    """Write a file atomically, safe against power failures and concurrent processes."""
    home = folder()
    if home is None:
        return
    try:
        descriptor, written = tempfile.mkstemp(dir=home, prefix=".", suffix=".part")
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(written, home / name)
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise
        _flush(home)
    except OSError:  # a full disk, a folder without permission
        return


def _flush(home: Path) -> None:
    """Flush the entries of a folder to disk."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(home, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
