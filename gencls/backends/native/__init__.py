"""Kernels of our own for a CPU, in C++: compiled when they are first needed, in seconds, and kept.

`compiler` finds and runs what compiles them, `cache` keeps the library.
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
    "concat_elu",
    "concat_elu_gradient",
    "convolve",
    "filter_gradient",
    "gate",
    "gate_gradient",
    "lanes",
    "linear",
    "linear_gradient",
    "mix",
    "mix_gradient",
    "transform_filters",
)


@functools.cache
def why_unavailable() -> str | None:
    """Why the kernels are unavailable; None if they are available."""
    try:
        library()
    except (CompilerError, OSError) as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    return None


@functools.cache
def library() -> ctypes.CDLL:
    """The compiled kernels, by the first compiler and choice of options that make them.

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
    """The kernels by one compiler with these options beside its own; from the cache if they are there.

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
    """The kernels from the cache, if they are there and can be loaded from there."""
    path = cache.find(key)
    if path is not None:
        with suppress(OSError):
            return _loaded(path)
    return None


def _compiled(compiler: Compiler, options: tuple[str, ...], key: str) -> ctypes.CDLL:
    """The kernels, compiled among temporary files, or in the cache where none is loaded from there."""
    try:
        return _compiled_in(None, compiler, options, key)
    except OSError:
        if (home := cache.folder()) is None:
            raise
        return _compiled_in(home, compiler, options, key)


def _compiled_in(place: Path | None, compiler: Compiler, options: tuple[str, ...], key: str) -> ctypes.CDLL:
    """The kernels, compiled in a folder that is removed when they are loaded, and kept if they can be."""
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
        raise OSError(f"{said} (files must be executable in the folder that TMPDIR names)") from error
    missing = [name for name in NAMES if not hasattr(found, f"gencls_{name}")]
    if missing:
        raise OSError(f"the compiled library lacks gencls_{missing[0]}")
    return found
