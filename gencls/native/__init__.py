"""Kernels of our own for a CPU, in C++: compiled when they are first needed, in seconds, and kept.

A compiler is needed, GCC or Clang: the one that the environment variable CXX names, else c++, g++ or clang++.
What it made is kept in a folder of the user's cache, under a name that depends on source, compiler and
processor.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["library", "obstacle"]

SOURCE = Path(__file__).with_name("kernels.cpp")
# Not -ffast-math: what is not finite has to be seen, and other libraries' small numbers are left alone.
FLAGS = [
    "-std=c++17",
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-shared",
    "-fPIC",
]
# The first that the compiler takes; without OpenMP there is one thread.
CHOICES = (("-march=native", "-fopenmp"), ("-march=native", "-fopenmp-simd"), ())
LONGEST = 300  # seconds that a compiler may take


class CompilerError(RuntimeError):
    """The kernels cannot be compiled."""


@cache
def obstacle() -> str | None:
    """Why there are no kernels; None if there are."""
    try:
        library()
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    return None


@cache
def library() -> ctypes.CDLL:
    """The compiled kernels.

    Raises
    ------
    OSError, RuntimeError, subprocess.SubprocessError
        If they cannot be compiled or loaded, or the user has no folder to keep them in.
    """
    compiler = _find_compiler()
    problems = []
    for choice in CHOICES:
        try:
            return ctypes.CDLL(str(_compiled([compiler, *FLAGS, *choice])))
        except CompilerError as error:
            problems.append(str(error))
    raise CompilerError(problems[-1])


def _find_compiler() -> str:
    named = os.environ.get("CXX")
    for name in (named,) if named else ("c++", "g++", "clang++"):
        if (path := shutil.which(name)) is not None:
            return path
    raise CompilerError(f"{named or 'c++, g++ or clang++'} was not found")


def _compiled(command: list[str]) -> Path:
    """The file of compiled kernels, from the cache if it is there."""
    predefined = _run(
        [*command, "-dM", "-E", "-x", "c++", os.devnull]
    )  # names compiler, version and processor
    key = hashlib.sha256(SOURCE.read_bytes() + predefined + " ".join(command).encode()).hexdigest()[:16]
    folder = _cache_folder()
    path = folder / f"kernels-{key}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            made = Path(beside) / path.name
            _run([*command, str(SOURCE), "-o", str(made)])
            made.replace(path)  # whole, also if several processes do it at once
    return path


def _cache_folder() -> Path:
    """A folder of the user's own."""
    default = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or default) / "gencls"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _run(command: list[str]) -> bytes:
    done = subprocess.run(command, capture_output=True, timeout=LONGEST, check=False)
    if done.returncode != 0:
        raise CompilerError(f"{command[0]} said: {done.stderr.decode(errors='replace').strip()[:300]}")
    return done.stdout
