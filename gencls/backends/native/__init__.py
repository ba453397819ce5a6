"""Native CPU kernels in C++, compiled at their first use, within seconds, and cached.

`compiler` finds and runs a C++ compiler, `cache` stores the compiled library.
"""

from __future__ import annotations

import ctypes
import functools
import tempfile
from contextlib import suppress
from pathlib import Path

from . import cache
from .compiler import CHOICES, Compiler, CompilerError, CompilerHangsError, compilers

__all__ = ["build", "library", "why_unavailable"]

NAMES = (
    "activate",
    "activate_gradient",
    "block",
    "block_gradient",
    "concat_elu",
    "concat_elu_gradient",
    "convolve",
    "convolve_gradient",
    "gate",
    "gate_gradient",
    "linear",
    "linear_gradient",
    "mix",
    "mix_gradient",
    "normalise",
    "normalise_gradient",
)


@functools.cache
def why_unavailable() -> str | None:
    """Return why the kernels are unavailable; None if they are available."""
    try:
        library()
    except (CompilerError, OSError) as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    return None


@functools.cache
def library() -> ctypes.CDLL:
    """Return the kernels, compiled by the first combination of compiler and options that works.

    Raises
    ------
    CompilerError, OSError
        If they cannot be compiled or loaded.
    """
    problem: Exception = CompilerError("no compiler was found")
    for compiler in compilers():
        for options in CHOICES:
            try:
                return build(compiler, options)
            except CompilerHangsError as error:
                problem = error
                break
            except (CompilerError, OSError) as error:
                problem = error
    raise problem


def build(compiler: Compiler, options: tuple[str, ...]) -> ctypes.CDLL:
    """Return the kernels of one compiler with additional options, from the cache if possible.

    Raises
    ------
    CompilerError, OSError
        If they cannot be compiled or loaded.
    """
    if (reason := cache.failure(compiler.fingerprint)) is not None:
        raise CompilerHangsError(reason)
    try:
        key = compiler.key(options)
        return _cached(key) or _compiled(compiler, options, key)
    except CompilerHangsError as error:
        cache.remember_failure(compiler.fingerprint, str(error))
        raise


def _cached(key: str) -> ctypes.CDLL | None:
    """Return the kernels from the cache, or None if they are missing or cannot be loaded."""
    path = cache.find(key)
    if path is not None:
        with suppress(OSError):
            return _loaded(path)
    return None


def _compiled(compiler: Compiler, options: tuple[str, ...], key: str) -> ctypes.CDLL:
    """Compile the kernels in the temporary folder, or in the cache folder if the former fails to load."""
    try:
        return _compiled_in(None, compiler, options, key)
    except OSError:
        if (home := cache.folder()) is None:
            raise
        return _compiled_in(home, compiler, options, key)


def _compiled_in(place: Path | None, compiler: Compiler, options: tuple[str, ...], key: str) -> ctypes.CDLL:
    """Compile the kernels in a folder that is removed after loading, and cache them if possible."""
    with tempfile.TemporaryDirectory(prefix="gencls-", dir=place, ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "kernels.so"
        compiler.compile(options, path)
        loaded = _loaded(path)
        cache.keep(key, path.read_bytes())
        return loaded


def _loaded(path: Path) -> ctypes.CDLL:
    try:
        found = ctypes.CDLL(str(path))
    except OSError as error:
        said = str(error).replace(str(path), "the compiled library")
        raise OSError(f"{said} (the folder TMPDIR must allow executable files)") from error
    missing = [name for name in NAMES if not hasattr(found, f"gencls_{name}")]
    if missing:
        raise OSError(f"the compiled library lacks gencls_{missing[0]}")
    return found
