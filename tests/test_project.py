from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest
import yaml

import gencls

ROOT = Path(__file__).parent.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, TOOL = CONFIG["project"], CONFIG["tool"]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def read_yaml(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def make_targets():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (targets,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    return set(targets.split())


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


def test_the_version_has_one_source():
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT
    source = (ROOT / TOOL["hatch"]["version"]["path"]).read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.*)"$', source, re.MULTILINE) == [gencls.__version__]


def test_all_public_names_exist_and_are_sorted():
    assert [name for name in gencls.__all__ if not hasattr(gencls, name)] == []
    assert sorted(gencls.__all__) == gencls.__all__
    assert len(set(gencls.__all__)) == len(gencls.__all__)


def test_types_are_shipped():
    assert resources.files("gencls").joinpath("py.typed").is_file()


def test_importing_leaves_optional_modules_alone():
    optional = {"matplotlib", "torchmetrics", "gencls.plotting"}
    assert run(f"import sys, gencls; print({optional!r} & set(sys.modules))") == "set()"


@pytest.mark.parametrize("kind", ["conditioners", "objectives", "augmentations"])
def test_importing_reads_no_entry_points_of_plug_ins(kind):
    code = f"""
from importlib import metadata
groups, original = [], metadata.entry_points

def entry_points(**selection):
    groups.append(selection.get("group"))
    return original(**selection)

metadata.entry_points = entry_points
import gencls
import gencls.testing
print([group for group in groups if str(group).startswith("gencls.")])
gencls.{kind}.list_{kind}()
print([group for group in groups if str(group).startswith("gencls.")])
"""
    assert run(code).splitlines() == ["[]", f"['gencls.{kind}']"]


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


# The project file


def test_the_command_is_declared_and_runs(capsys):
    command = metadata.EntryPoint("gencls", PROJECT["scripts"]["gencls"], "console_scripts").load()
    assert command(["list"]) == 0
    assert "mild" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        command(["--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: gencls ")


def test_all_tools_know_the_oldest_python():
    versions = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    first, last = (int(version.removeprefix("3.")) for version in (versions[0], versions[-1]))
    assert versions == [f"3.{minor}" for minor in range(first, last + 1)]
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert TOOL["ruff"]["target-version"] == f"py3{first}"
    assert TOOL["mypy"]["python_version"] == versions[0]


def test_every_folder_and_module_is_on_a_floor():
    (floors,) = (c["layers"] for c in TOOL["importlinter"]["contracts"] if c["name"] == "Floors")
    named = [name.strip() for floor in floors for name in floor.split("|")]
    found = {path.stem for path in (ROOT / "gencls").glob("*.py")}
    found |= {path.parent.name for path in (ROOT / "gencls").glob("*/__init__.py")}
    assert sorted(named) == sorted(found - {"__init__"})


def test_what_the_source_distribution_names_exists():
    missing = [
        name
        for name in TOOL["hatch"]["build"]["targets"]["sdist"]["include"]
        if not (ROOT / name[1:]).exists()
    ]
    assert missing == []


def test_every_constraint_meets_the_lower_bounds():
    groups = [*PROJECT["optional-dependencies"].values(), *CONFIG["dependency-groups"].values()]
    requirements = [r for group in groups for r in group if isinstance(r, str)] + PROJECT["dependencies"]
    bounds = {name.lower(): version for name, version in (r.split(">=") for r in requirements if ">=" in r)}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    for name in bounds.keys() - {"torch-fidelity"}:
        assert numbers(tested[name]) >= numbers(bounds[name]), name


def numbers(version):
    return [int(part) for part in version.split(".")]


# The files around it


def test_the_citation_is_that_of_this_version():
    citation = read_yaml("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == gencls.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    assert citation["type"] == "software"
    assert {"message", "title", "abstract"} <= citation.keys()
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= reference.keys()


def test_the_addresses_agree():
    """No address is known yet; once there is one, both files have it."""
    assert PROJECT.get("urls", {}).get("Repository") == read_yaml("CITATION.cff").get("repository-code")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_issue_forms_are_complete(form):
    content = read_yaml(form)
    assert content.keys() == {"name", "description", "labels", "body"}
    questions = [element for element in content["body"] if element["type"] != "markdown"]
    assert {question["type"] for question in questions} <= {"checkboxes", "dropdown", "input", "textarea"}
    assert all(question["attributes"]["label"] for question in questions)
    assert len({question["id"] for question in questions}) == len(questions)


def test_there_are_three_issue_forms():
    assert [form.stem for form in FORMS] == ["bug_report", "feature_request", "question"]


def test_hooks_before_a_commit_call_make():
    hooks = [
        hook for repository in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]
    ]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {hook["entry"] for hook in hooks} <= {f"make {target}" for target in make_targets()}


def test_contributors_are_sent_to_what_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= make_targets()
    paths = re.findall(r"`((?:\.ci|benchmarks|docs|examples|gencls)/[^`]*)`", text)
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_of_the_files_beside_the_code_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (ROOT / target).exists()] == []
