from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest

import gencls

ROOT = Path(__file__).parent.parent


def run(code, *options):
    """Run code in a fresh interpreter; what it prints."""
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def test_the_version_is_that_of_the_installed_package():
    try:
        installed = metadata.version("gencls")
    except metadata.PackageNotFoundError:
        pytest.skip("gencls is not installed here")
    assert gencls.__version__ == installed


def test_the_version_is_that_of_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert gencls.__version__ == project["version"]


def test_all_public_names_exist_and_are_sorted():
    assert [name for name in gencls.__all__ if not hasattr(gencls, name)] == []
    assert sorted(gencls.__all__) == gencls.__all__
    assert len(set(gencls.__all__)) == len(gencls.__all__)


def test_types_are_shipped():
    assert resources.files("gencls").joinpath("py.typed").is_file()


def test_importing_leaves_optional_modules_alone():
    optional = {"matplotlib", "torchmetrics", "gencls.plotting"}
    assert run(f"import sys, gencls; print({optional!r} & set(sys.modules))") == "set()"


def test_importing_reads_no_entry_points_of_plugins():
    code = """
from importlib import metadata
groups, original = [], metadata.entry_points

def entry_points(**selection):
    groups.append(selection.get("group"))
    return original(**selection)

metadata.entry_points = entry_points
import gencls
print("gencls.conditioners" in groups)
gencls.list_conditioners()
print("gencls.conditioners" in groups)
"""
    assert run(code).split() == ["False", "True"]


def test_importing_changes_no_global_state():
    # torch 2.6 imports sympy with its checkpoints, and sympy adds a filter for its own warnings.
    code = """
import random, warnings
import numpy, sklearn, skorch, torch.utils.checkpoint

def state():
    return (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.initial_seed(),
        torch.get_rng_state().tolist(),
        numpy.random.get_state()[1].tolist(),
        random.getstate(),
        list(warnings.filters),
        sklearn.get_config(),
    )

before = state()
import gencls
print(state() == before)
"""
    assert run(code) == "True"


def test_importing_warns_of_nothing_and_prints_nothing():
    assert run("import gencls", "-W", "error") == ""
