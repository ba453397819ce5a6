"""Download one folder of an archive, verify it, and install it atomically."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tarfile
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO
from urllib.error import HTTPError

from tqdm import tqdm

from ..errors import DataSetError

__all__ = ["RemoteFolder", "checksum", "fetch"]

CHUNK = 1 << 16
TAR_BLOCK = 512
OLD = 24 * 3600  # seconds after which a download is considered abandoned


@dataclass(frozen=True)
class RemoteFolder:
    """A folder on the web, with its checksum.

    Parameters
    ----------
    url : str
        The URL of a .tar.gz archive with one top-level folder, as served by code hosts.
    folder : str
        The folder to extract, below the top-level folder.
    sha256 : str
        The `checksum` of the folder. The archive itself has no fixed checksum, because code hosts may pack
        the same files differently.
    max_bytes : int
        The maximum size of the archive, packed and unpacked.
    """

    url: str
    folder: str
    sha256: str
    max_bytes: int


def checksum(folder: Path) -> str:
    """Return the SHA-256 of the list of all files in a folder with their SHA-256.

    In that folder, ``find * -type f | LC_ALL=C sort | xargs sha256sum | sha256sum`` prints the same.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    manifest = hashlib.sha256()
    for name in sorted(files):
        with files[name].open("rb") as file:
            manifest.update(os.fsencode(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n"))
    return manifest.hexdigest()


def fetch(remote: RemoteFolder, destination: Path, *, verbose: int = 0, timeout: float = 60.0) -> None:
    """Download and verify a folder, and move it to ``destination``.

    The download uses a temporary folder next to the destination, which is always removed; if the process is
    killed, a download on a later day removes it.

    Parameters
    ----------
    remote : RemoteFolder
        The folder to fetch.
    destination : Path
        The folder to create. If another process creates it in the meantime, that folder is kept.
    verbose : int, default=0
        If not 0, show a progress bar.
    timeout : float, default=60.0
        Seconds to wait for a response of the server.

    Raises
    ------
    DataSetError
        If the archive cannot be downloaded or unpacked, if its content differs from the expected content, or
        if the folder cannot be created.
    """
    prefix = f".{destination.name}-"
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        _remove_old(destination.parent, prefix)
        with TemporaryDirectory(prefix=prefix, dir=destination.parent) as temporary:
            archive, unpacked = Path(temporary, "archive.tar.gz"), Path(temporary, "unpacked")
            _download(remote, archive, verbose=verbose, timeout=timeout)
            _unpack(remote, archive, unpacked)
            _verify(remote, unpacked)
            _put(unpacked, destination)
    except DataSetError:
        raise
    except OSError as error:
        raise DataSetError(
            f"The folder {str(destination)!r} cannot be created ({error.strerror or error}). Nothing was "
            "kept. Free disk space, or use a different folder for data sets."
        ) from error


def _remove_old(folder: Path, prefix: str) -> None:
    """Remove temporary folders of killed downloads."""
    for left in folder.glob(f"{prefix}*"):
        if left.stat().st_mtime < time.time() - OLD:
            shutil.rmtree(left, ignore_errors=True)


def _download(remote: RemoteFolder, archive: Path, *, verbose: int, timeout: float) -> None:
    """Download the archive in chunks, up to its maximum size."""
    with _connection(remote):
        response = urllib.request.urlopen(remote.url, timeout=timeout)
    with (
        response,
        archive.open("wb") as file,
        tqdm(desc="Downloading", unit="B", unit_scale=True, disable=not verbose) as bar,
    ):
        while chunk := _next_chunk(remote, response):
            file.write(chunk)
            bar.update(len(chunk))
            _check_limit(remote, file.tell())


def _next_chunk(remote: RemoteFolder, response: IO[bytes]) -> bytes:
    with _connection(remote):
        return response.read(CHUNK)


@contextmanager
def _connection(remote: RemoteFolder) -> Iterator[None]:
    """Report any error as a failure of the connection."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise DataSetError(
            f"{remote.url} cannot be downloaded ({error}). Check the connection and try again, or download "
            "and unpack it manually and pass its folder."
        ) from error


def _check_limit(remote: RemoteFolder, n_bytes: int) -> None:
    if n_bytes > remote.max_bytes:
        raise DataSetError(
            f"{remote.url} has more than {remote.max_bytes:,} bytes, so it is not the expected data set. "
            "Nothing was kept. Report it to the developers of gencls."
        )


def _unpack(remote: RemoteFolder, archive: Path, destination: Path) -> None:
    """Unpack the regular files of the folder; links, devices and all other members are skipped."""
    within = PurePosixPath(remote.folder).parts
    n_bytes = 0
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                n_bytes += TAR_BLOCK + member.size
                _check_limit(remote, n_bytes)
                parts = PurePosixPath(member.name).parts[1:]
                if member.isfile() and parts[: len(within)] == within:
                    inner = member.replace(name="/".join(parts[len(within) :]), deep=False)
                    members.extract(inner, destination, filter="data")
    except DataSetError:
        raise
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise DataSetError(
            f"{remote.url} cannot be unpacked safely ({type(error).__name__}: {error}). Nothing was kept. "
            "Try again, or download and unpack it manually and pass its folder."
        ) from error


def _verify(remote: RemoteFolder, folder: Path) -> None:
    found = checksum(folder)
    if found != remote.sha256:
        raise DataSetError(
            f"The folder {remote.folder!r} of {remote.url} must have the checksum {remote.sha256}. Got "
            f"{found}. Nothing was kept. Try again; if the error persists, report it to the developers of "
            "gencls."
        )


def _put(folder: Path, destination: Path) -> None:
    try:
        folder.rename(destination)
    except OSError:
        if not destination.is_dir():  # otherwise another process has created the same folder
            raise
