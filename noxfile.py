"""The test suite on every supported Python, and at both ends of the dependencies' versions.

`make test` is the everyday way, on one Python with the versions of constraints.txt. Before a release::

    nox --list
    nox                                   # every Python that is installed; others are skipped
    nox -s lowest newest                  # the lower bounds of pyproject.toml; whatever is newest
    nox -s tests-3.13 -- -k codec         # part of the suite
"""

from __future__ import annotations

from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)  # the classifiers
TESTED = ("-e", ".[metrics,plot]", "--group", "test")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Test with the versions of constraints.txt."""
    session.install("-c", "constraints.txt", *TESTED)
    run_tests(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Test with the lower bounds of pyproject.toml, on the oldest Python."""
    bounds = Path(session.create_tmp()) / "lowest.txt"
    bounds.write_text("\n".join(lower_bounds()), encoding="utf-8")
    session.install("-c", str(bounds), *TESTED)
    run_tests(session)


@nox.session(python=PYTHONS[-1])
def newest(session: nox.Session) -> None:
    """Test with the newest versions, on the newest Python."""
    session.install("--upgrade", "--upgrade-strategy", "eager", *TESTED)
    run_tests(session)


def lower_bounds() -> list[str]:
    """Every lower bound as a constraint: torch>=2.6 becomes torch==2.6."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    requirements = [
        *project["dependencies"],
        *(requirement for extra in extras for requirement in extra),
        *nox.project.dependency_groups(PROJECT, "test"),
    ]
    return [requirement.replace(">=", "==") for requirement in requirements if ">=" in requirement]


def run_tests(session: nox.Session) -> None:
    """Run the suite as `make test` does."""
    session.run("python", "-m", "pip", "list")
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "worksteal", *session.posargs, env=ONE_THREAD)
