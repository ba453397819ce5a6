"""Find and run the compiler of the kernels, GCC or Clang."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO

__all__ = ["CHOICES", "Compiler", "CompilerError", "CompilerHangsError", "compilers"]

SOURCE = Path(__file__).with_name("kernels.cpp")
# Without -ffast-math: non-finite values must be detected, and denormals of other libraries must be kept.
FLAGS = [
    "-std=c++17",
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-shared",
    "-fPIC",
]
# The first options that the compiler accepts are used; without OpenMP, the kernels use one thread.
CHOICES = (("-march=native", "-fopenmp"), ("-march=native", "-fopenmp-simd"), ())
NAMES = ("c++", "g++", "clang++")
PROBE_SECONDS = 10  # limit for printing predefined macros, which usually takes 10 ms
COMPILE_SECONDS = 120  # limit for compilation, which usually takes 5 to 10 s
LONGEST_REASON = 200  # characters of compiler output in messages
MOST_READ = 2**20  # bytes of compiler output
COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")


class CompilerError(RuntimeError):
    """The kernels cannot be compiled."""


class CompilerHangsError(CompilerError):
    """The compiler takes too long."""


class Compiler:
    """A compiler with its flags.

    Parameters
    ----------
    command : list of str
        The path of a program, and arguments, such as the compiler that ``ccache`` runs.
    """

    def __init__(self, command: list[str]):
        self.command = [*command, *FLAGS]

    @property
    def fingerprint(self) -> str:
        """A hash of the command, the source and the program file."""
        program = os.stat(self.command[0])
        return _digest(
            SOURCE.read_bytes(), repr((self.command, program.st_mtime_ns, program.st_size)).encode()
        )

    def key(self, options: tuple[str, ...]) -> str:
        """Return a hash of the source, the command, the compiler version and the processor type."""
        # With -march=native, the predefined macros name every extension of this processor.
        predefined = self._run([*options, "-dM", "-E", "-x", "c++", os.devnull], PROBE_SECONDS)
        return _digest(SOURCE.read_bytes(), predefined, repr((self.command, options)).encode())

    def compile(self, options: tuple[str, ...], path: Path) -> None:
        """Compile the kernels to a library in this file."""
        self._run([*options, str(SOURCE), "-o", str(path)], COMPILE_SECONDS)
        if not path.exists():
            raise CompilerError(f"{self.command[0]} made no library")

    def _run(self, arguments: list[str], seconds: float) -> bytes:
        name = self.command[0]
        try:
            status, out, errors = run([*self.command, *arguments], seconds)
        except subprocess.TimeoutExpired as error:
            raise CompilerHangsError(f"{name} did not end within {seconds:g} seconds") from error
        if status != 0:
            raise CompilerError(f"{name} said: {last_error(errors)}")
        return out


def compilers() -> list[Compiler]:
    """Return the compiler in the environment variable CXX, or else all installed compilers.

    Raises
    ------
    CompilerError
        If no compiler is found.
    """
    named = os.environ.get("CXX", "").strip()
    commands = [_parts(named)] if named else [[name] for name in NAMES]
    found = [[path, *rest] for name, *rest in commands if (path := shutil.which(name)) is not None]
    if not found:
        wanted = commands[0][0] if named else "c++, g++ or clang++"
        raise CompilerError(f"{wanted[:LONGEST_REASON]} was not found")
    different: dict[str, list[str]] = {}
    for command in found:
        different.setdefault(os.path.realpath(command[0]), command)
    return [Compiler(command) for command in different.values()]


def _parts(named: str) -> list[str]:
    """Split the value of CXX: a program, possibly with spaces in its name, or a command line."""
    if shutil.which(named) is not None:
        return [named]
    try:
        return shlex.split(named, posix=os.name == "posix")
    except ValueError:  # an unbalanced quotation mark
        return [named]


def run(command: list[str], seconds: float) -> tuple[int, bytes, bytes]:
    """Run a program, and return its exit status and the beginnings of its output and errors.

    A program that exceeds the time limit is killed, together with its children. Background processes are not
    awaited.

    Raises
    ------
    OSError
        If the program cannot be started.
    subprocess.TimeoutExpired
        If the program exceeds the time limit.
    """
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, bufsize=0, start_new_session=True)  # type: ignore[call-overload]
    out, errors = _Reader(process.stdout), _Reader(process.stderr)
    try:
        status = process.wait(seconds)
    except BaseException:
        _end(process)
        process.wait()
        raise
    return status, out.beginning(), errors.beginning()


class _Reader(Thread):
    """Read a pipe to its end, and keep only the beginning."""

    def __init__(self, pipe: IO[bytes]):
        super().__init__(daemon=True)
        self.pipe, self.kept = pipe, b""
        self.start()

    def run(self) -> None:
        with self.pipe:
            while part := self.pipe.read(2**16):
                self.kept += part[: MOST_READ - len(self.kept)]

    def beginning(self) -> bytes:
        """Return the beginning of the output after the program has ended."""
        self.join(1)  # seconds; a background process may keep the pipe open
        return self.kept


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(OSError):  # the processes may have ended
            os.killpg(process.pid, signal.SIGKILL)  # children are in the same group
    else:
        process.kill()


def last_error(said: bytes) -> str:
    """Return the last line of compiler output that contains "error", or the last line."""
    plain = COLOUR.sub("", said.decode(errors="replace"))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    named = [line for line in lines if "error" in line.lower()]
    last = (named or lines or ["nothing"])[-1][:LONGEST_REASON]
    return "".join(each if each.isprintable() else "?" for each in last)


def _digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()[:16]
