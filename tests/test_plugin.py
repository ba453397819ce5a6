"""The example of a plugin package: installed, found by its entry point, trained with, and tested."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/plugin"

FIND_AND_TRAIN = """
import sys
from gencls import GenerativeBayesClassifier, list_conditioners
from sklearn.datasets import load_digits

assert "tilt" in list_conditioners()
assert "gencls_example_plugin" not in sys.modules, "listing must not import plugins"
X, y = load_digits(n_class=3, return_X_y=True)
clf = GenerativeBayesClassifier("tilt", n_filters=8, n_mixtures=2, lr=0.01, max_epochs=4, random_state=0)
clf.fit(X[:200], y[:200])
assert type(clf.conditioner_).__module__ == "gencls_example_plugin"
print(clf.score(X[200:300], y[200:300]))
"""


def run(*command, path=()):
    """What a command prints, with some folders on Python's path."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([*map(str, path), str(ROOT)])}
    result = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, env=env)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the example as pip installs it, without the network."""
    pytest.importorskip("setuptools", minversion="70.1", reason="the example is built with setuptools")
    source, target = tmp_path_factory.mktemp("source") / "plugin", tmp_path_factory.mktemp("target")
    shutil.copytree(EXAMPLE, source)  # building leaves files behind
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    run("-m", "pip", "install", *options, "--target", target, source)
    return target


def test_it_is_found_by_its_entry_point_and_trained_with(installed):
    assert float(run("-W", "error", "-c", FIND_AND_TRAIN, path=[installed])) > 0.6


def test_its_own_tests_pass(installed, tmp_path):
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    output = run("-m", "pytest", "-q", tmp_path / "tests", path=[installed])
    assert "3 passed" in output


def test_it_is_about_twenty_lines():
    text = (EXAMPLE / "gencls_example_plugin.py").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 25
