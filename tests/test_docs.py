from __future__ import annotations

import importlib
import re
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SYMBOL = re.compile(r"`(gencls(?:\.\w+)+)`")


def python_blocks(page):
    """The fenced Python blocks of a page, each with the number of its first line."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in BLOCK.finditer(text)]


def resolve(name):
    """The object that a dotted name stands for; an ImportError or AttributeError if there is none."""
    parts = name.split(".")
    found = importlib.import_module(parts[0])
    for position, part in enumerate(parts[1:], start=2):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[:position]))
        found = getattr(found, part)
    return found


@pytest.fixture
def _without_windows():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.slow
@pytest.mark.usefixtures("_without_windows", "a_quarter_of_the_digits", "own_plugins")
@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.name)
def test_the_code_of_a_page_runs_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page")  # a real module, so that its classes can be pickled
    monkeypatch.setitem(sys.modules, "page", module)
    for line, source in python_blocks(page):
        code = compile("\n" * line + source, str(page), "exec")
        exec(code, module.__dict__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_symbol_that_a_page_names_exists(page):
    names = set(SYMBOL.findall(page.read_text(encoding="utf-8"))) - {
        "gencls.augmentations",
        "gencls.conditioners",
        "gencls.objectives",
    }
    if page.name == "mathematics.md":
        assert len(names) > 20
    for name in names:
        resolve(name)


def test_the_equations_are_numbered_in_order_and_all_stand_in_the_table():
    text = (ROOT / "docs/mathematics.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"\\tag\{(\d+)\}", text)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [int(number) for number in re.findall(r"^\| \((\d+)\)", text, re.MULTILINE)] == numbers


def test_the_links_between_files_lead_somewhere():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
