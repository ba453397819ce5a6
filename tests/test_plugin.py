"""The example of a plug-in package: installed, found by its entry points, trained with, and tested."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gencls import GenerativeBayesClassifier

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/plugin"
KINDS = {"conditioners": "tilt", "objectives": "pairwise", "augmentations": "swap-colours"}

FIND_AND_TRAIN = """
import sys
from gencls import GenerativeBayesClassifier, list_conditioners
from gencls.augmentations import list_augmentations
from gencls.objectives import list_objectives
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

assert "tilt" in list_conditioners()
assert "pairwise" in list_objectives()
assert "swap-colours" in list_augmentations()
assert not any(name.startswith("gencls_example_plugin") for name in sys.modules), "listing imports plug-ins"

X, y = load_digits(n_class=3, return_X_y=True)
clf = GenerativeBayesClassifier(
    "tilt",
    objective="pairwise",
    augmentation="swap-colours",
    n_filters=8,
    n_mixtures=2,
    lr=0.01,
    max_epochs=4,
    compute="plain",
    random_state=0,
)
clf.fit(X[:200], y[:200])
assert type(clf.conditioner_).__module__ == "gencls_example_plugin.tilt"
assert clf.history_[-1]["train_pairwise"] > 0
assert [type(part).__name__ for part in clf.net_.module_.symmetry.parts] == ["SwapColours"]
assert clf.score(X[200:300], y[200:300]) > 0.6

clf.set_params(max_epochs=1)
grid = {"objective__weight": [0.1, 2.0]}
search = GridSearchCV(clf, grid, scoring="neg_log_loss", cv=2, error_score="raise")
search.fit(X[:60], y[:60])
assert len(set(search.cv_results_["mean_test_score"])) == 2
assert search.best_estimator_.objective.weight == search.best_params_["objective__weight"]
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


def test_its_plug_ins_are_found_trained_with_and_searched(installed):
    run("-W", "error", "-c", FIND_AND_TRAIN, path=[installed])


def test_its_own_tests_pass(installed, tmp_path):
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    output = run("-m", "pytest", "-q", tmp_path / "tests", path=[installed])
    assert "9 passed" in output


def test_it_has_a_plug_in_of_each_kind_and_a_file_for_each():
    config = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))
    points = config["project"]["entry-points"]
    assert points.keys() == {f"gencls.{kind}" for kind in KINDS}
    assert {kind: list(points[f"gencls.{kind}"]) for kind in KINDS} == {
        k: [name] for k, name in KINDS.items()
    }
    files = {each.stem for each in (EXAMPLE / "gencls_example_plugin").glob("*.py")} - {"__init__"}
    assert files == {name.replace("-", "_") for name in KINDS.values()}


@pytest.mark.parametrize("name", KINDS.values())
def test_a_plug_in_is_about_twenty_lines(name):
    path = EXAMPLE / "gencls_example_plugin" / f"{name.replace('-', '_')}.py"
    assert len([line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]) <= 26


def test_the_estimator_has_no_parameter_for_it():
    parameters = set(inspect.signature(GenerativeBayesClassifier).parameters)
    assert parameters.isdisjoint({"weight", "pairwise", "swap_colours", "tilt"})
    assert len(parameters) <= 29
