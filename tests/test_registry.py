"""The registry of plug-ins, on a kind that exists only here."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from sklearn.base import BaseEstimator

from gencls._common.registry import Registry
from gencls.errors import GenclsError, PluginError

GROUP = "gencls_tests.palettes"


class Palette(BaseEstimator):
    """Base class of this kind."""

    def __init__(self, size=2):
        self.size = size


class Grey(Palette):
    """Built in."""


class Warm(Palette):
    """Built in."""


class Cold(Palette):
    """Registered by tests."""


class Mixed(Palette):
    """Registered by tests."""


class PaletteError(PluginError):
    """The error of this kind."""


BUILT_IN = {"grey": f"{__name__}:Grey", "warm": f"{__name__}:Warm"}


def own(target):
    """The name of a class of this file in messages."""
    return f"the package {__name__!r} ({__name__}:{target.__name__})"


def source(name="Plugged", base="Palette"):
    """The source of a module with a plug-in."""
    return f"from {__name__} import {base}\nclass {name}({base}): pass\n"


@pytest.fixture
def palettes():
    return Registry("palette", GROUP, BUILT_IN, base=Palette, error=PaletteError)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with entry points into a folder of the import path."""

    def install(package, entry_points=(), source=""):
        folder = tmp_path / package
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(source, encoding="utf-8")
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        lines = "\n".join(f"{name} = {value}" for name, value in dict(entry_points).items())
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(folder)

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if name.startswith("acme"):
            del sys.modules[name]


# Names


def test_built_in_names(palettes):
    assert palettes.list() == ["grey", "warm"]
    assert palettes.get("grey") is Grey
    assert palettes.get("warm") is Warm


@pytest.mark.parametrize(
    ("name", "shown", "hint"),
    [
        ("Grey", "'Grey'", " Did you mean 'grey'?"),
        ("qqqqq", "'qqqqq'", ""),
        (3, "3", ""),
        (["grey"], "['grey']", ""),
    ],
)
def test_the_error_for_an_unknown_name_lists_the_known_names(palettes, name, shown, hint):
    with pytest.raises(PaletteError) as caught:
        palettes.get(name)
    message = str(caught.value)
    assert f"no palette {shown};" in message
    assert message.endswith(f"grey, warm.{hint}")
    assert isinstance(caught.value, GenclsError)
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, ValueError)


# Registering


def test_a_registered_class(palettes):
    palettes.register("cold", Cold)
    assert palettes.list() == ["cold", "grey", "warm"]
    assert palettes.get("cold") is Cold


def test_a_place_is_imported_when_it_is_used(palettes, install):
    install("acme_lazy", source=source())
    palettes.register("lazy", "acme_lazy:Plugged")
    assert "lazy" in palettes.list()
    assert "acme_lazy" not in sys.modules
    assert palettes.get("lazy").__name__ == "Plugged"
    assert "acme_lazy" in sys.modules


def test_a_place_inside_a_class(palettes, install):
    install("acme_inner", source="class Outer:\n    " + "\n    ".join(source("Inner").splitlines()))
    palettes.register("inner", "acme_inner:Outer.Inner")
    assert palettes.get("inner").__qualname__ == "Outer.Inner"


def test_registering_twice_is_allowed(palettes):
    for _ in range(2):
        palettes.register("cold", Cold)
        palettes.register("grey", Grey)
        palettes.register("grey", BUILT_IN["grey"])
    assert palettes.get("cold") is Cold
    assert palettes.get("grey") is Grey


@pytest.mark.parametrize(("name", "owner"), [("grey", Grey), ("mixed", Mixed)])
def test_a_taken_name_is_an_error_that_names_both_packages(palettes, name, owner):
    palettes.register("mixed", Mixed)
    with pytest.raises(PaletteError, match=f"{name!r}.*replace=True") as caught:
        palettes.register(name, "acme_taking:Plugged")
    assert "the package 'acme_taking' (acme_taking:Plugged) cannot be registered" in str(caught.value)
    assert f"belongs to {own(owner)}." in str(caught.value)
    assert palettes.get(name) is owner


def test_a_class_is_replaced_on_request(palettes):
    palettes.register("grey", Cold, replace=True)
    assert palettes.get("grey") is Cold
    palettes.register("new", Mixed, replace=True)
    assert palettes.get("new") is Mixed


@pytest.mark.parametrize("name", ["", None, 3, b"grey"], ids=repr)
def test_names_must_be_words(palettes, name):
    with pytest.raises(PaletteError, match=f"'name' of register_palette .* non-empty str, got {name!r}"):
        palettes.register(name, Cold)


@pytest.mark.parametrize("target", [BaseEstimator, int, Cold(), None, len], ids=repr)
def test_only_classes_of_the_kind_are_registered(palettes, target):
    message = f"The palette 'mine' must be a subclass of {__name__}.Palette, got {target!r}."
    with pytest.raises(PaletteError, match=re.escape(message)):
        palettes.register("mine", target)
    assert "mine" not in palettes.list()


@pytest.mark.parametrize("target", ["", "acme", "acme.Plugged", ":Plugged", "acme:", "acme: Plugged"])
def test_a_place_names_module_and_class(palettes, target):
    with pytest.raises(PaletteError, match=f"'target' of register_palette .*, got {target!r}"):
        palettes.register("mine", target)
    assert "mine" not in palettes.list()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_package_at_all:Thing", "ModuleNotFoundError: No module named 'no_such_package_at_all'"),
        (f"{__name__}:Wild", f"AttributeError: module {__name__!r} has no attribute 'Wild'"),
    ],
)
def test_a_place_without_class_fails_only_when_used(palettes, target, reason):
    palettes.register("broken", target)
    assert "broken" in palettes.list()
    assert palettes.get("grey") is Grey
    with pytest.raises(PaletteError) as caught:
        palettes.get("broken")
    assert f"{target.split(':')[0]!r} ({target}) cannot be imported ({reason})" in str(caught.value)


def test_a_place_of_a_different_type_is_refused_when_used(palettes):
    palettes.register("broken", "collections:OrderedDict")
    with pytest.raises(PaletteError, match=r"'broken' must be a subclass of .* 'collections\.OrderedDict'"):
        palettes.get("broken")


# Entry points


def test_an_installed_package_provides_plug_ins(palettes, install):
    install("acme", {"plugged": "acme:Plugged"}, source())
    assert palettes.list() == ["grey", "plugged", "warm"]
    assert palettes.get("grey") is Grey
    assert "acme" not in sys.modules
    assert palettes.get("plugged").__module__ == "acme"


def test_entry_points_are_read_when_a_name_is_needed(monkeypatch):
    groups = []

    def entry_points(group):
        groups.append(group)
        return []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    palettes: Registry[Any] = Registry("palette", GROUP, BUILT_IN, base=Palette, error=PaletteError)
    assert palettes.make(Cold(3)).size == 3
    assert groups == []
    assert palettes.list() == palettes.list() == ["grey", "warm"]
    assert groups == [GROUP]


def test_a_broken_package_fails_only_when_used(palettes, install):
    install("acme_broken", {"broken": "acme_broken:Plugged"}, "raise OSError('out of order')")
    assert "broken" in palettes.list()
    assert palettes.get("grey") is Grey
    with pytest.raises(PaletteError) as caught:
        palettes.get("broken")
    assert "the package 'acme_broken' (acme_broken:Plugged) cannot be imported" in str(caught.value)
    assert "(OSError: out of order)" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_two_packages_with_one_name_are_in_conflict(palettes, install):
    install("acme_one", {"plugged": "acme_one:Plugged", "single": "acme_one:Plugged"}, source())
    install("acme_two", {"plugged": "acme_two:Plugged"}, source())
    with pytest.raises(PaletteError, match=r"'plugged' is provided by .*replace=True") as caught:
        palettes.get("plugged")
    for package in ("acme_one", "acme_two"):
        assert f"the package {package!r} ({package}:Plugged)" in str(caught.value)
    assert palettes.get("single").__module__ == "acme_one"


def test_a_conflict_is_settled_by_registering(palettes, install):
    install("acme_one", {"plugged": "acme_one:Plugged"}, source())
    install("acme_two", {"plugged": "acme_two:Plugged"}, source())
    with pytest.raises(PaletteError, match="belongs to the package 'acme_two'"):
        palettes.register("plugged", "acme_one:Plugged")
    palettes.register("plugged", "acme_one:Plugged", replace=True)
    assert palettes.get("plugged").__module__ == "acme_one"


def test_a_package_and_a_built_in_name_are_in_conflict(palettes, install):
    install("acme_greedy", {"grey": "acme_greedy:Plugged"}, source())
    with pytest.raises(PaletteError, match="'grey' is provided by") as caught:
        palettes.get("grey")
    assert f"{own(Grey)} and the package 'acme_greedy' (acme_greedy:Plugged)" in str(caught.value)
    assert palettes.get("warm") is Warm
    palettes.register("grey", Grey, replace=True)
    assert palettes.get("grey") is Grey


def test_a_name_that_a_package_provides_is_taken(palettes, install):
    install("acme_taken", {"plugged": "acme_taken:Plugged"}, source())
    with pytest.raises(PaletteError) as caught:
        palettes.register("plugged", Cold)
    assert f"{own(Cold)} cannot be registered" in str(caught.value)
    assert "belongs to the package 'acme_taken' (acme_taken:Plugged)." in str(caught.value)
    palettes.register("plugged", "acme_taken:Plugged")
    assert palettes.get("plugged").__module__ == "acme_taken"


def test_one_class_in_two_packages_is_no_conflict(palettes, install):
    install("acme_twice", {"plugged": "acme_twice:Plugged", "grey": BUILT_IN["grey"]}, source())
    install("acme_again", {"plugged": "acme_twice:Plugged"})
    assert palettes.get("plugged").__name__ == "Plugged"
    assert palettes.get("grey") is Grey


# From the class to its name


def test_the_name_of_a_class(palettes):
    palettes.register("cold", Cold)
    assert [palettes.name_of(kind) for kind in (Cold, Grey, Warm)] == ["cold", "grey", "warm"]


def test_nothing_else_is_imported_to_find_a_name(palettes, install):
    install("acme_first", {"a": "acme_first:Plugged"}, source())
    assert palettes.name_of(Warm) == "warm"
    assert "acme_first" not in sys.modules


def test_the_name_of_a_class_that_is_imported_from_elsewhere(palettes, install):
    install("acme_broken", {"broken": "acme_broken:Plugged"}, "raise OSError('out of order')")
    install("acme_through", {"through": "acme_through:Cold"}, f"from {__name__} import Cold")
    assert palettes.name_of(Cold) == "through"


def test_a_class_of_the_same_place_is_a_different_class(palettes):
    impostor = type("Grey", (Palette,), {"__module__": __name__})
    with pytest.raises(PaletteError):
        palettes.name_of(impostor)


def test_a_class_without_name(palettes):
    with pytest.raises(PaletteError, match=r"palette Cold has no name .* register_palette\('cold', Cold\)"):
        palettes.name_of(Cold)


# Instances


@pytest.mark.parametrize("given", ["grey", Grey, Grey(), Cold, Cold(3)], ids=str)
def test_names_classes_and_instances_are_made(palettes, given):
    made = palettes.make(given)
    assert isinstance(made, Palette)
    assert made is not given
    assert made.size == getattr(given, "size", 2)


@pytest.mark.parametrize("given", [3, None, BaseEstimator, BaseEstimator()], ids=str)
def test_nothing_else_is_made(palettes, given):
    with pytest.raises(PaletteError, match="The palette must be") as caught:
        palettes.make(given)
    assert "'grey', 'warm'" in str(caught.value)
    assert f"{__name__}.Palette" in str(caught.value)
    assert f"got {given!r}" in str(caught.value)
