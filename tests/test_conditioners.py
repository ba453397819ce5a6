"""The registry, the interface, and what a modulation does."""

from __future__ import annotations

import pickle
import re
import sys

import pytest
import torch
from helpers import make_model
from sklearn.base import clone
from torch import nn

from gencls import (
    Conditioner,
    ConditionerError,
    Modulation,
    Site,
    Sites,
    get_conditioner,
    list_conditioners,
    per_site,
    register_conditioner,
)
from gencls.conditioners import make_conditioner, registry
from gencls.conditioners.mild import Mild
from gencls.conditioners.strong import Strong

BUILT_IN = list_conditioners()


class Late(Conditioner):
    """A bias in the last stages; with a hyper-parameter."""

    def __init__(self, first_stage=5):
        super().__init__()
        self.first_stage = first_stage

    def build(self, n_classes, sites):
        chosen = sites.named("second").in_stages(range(self.first_stage, 6))
        self.bias = per_site(chosen, lambda site: nn.Embedding(n_classes, site.channels))

    def forward(self, labels):
        return {site: Modulation(shift=bias(labels)) for site, bias in self.bias.items()}


class Other(Late):
    """Another one."""


def whole(message):
    return f"^{re.escape(message)}$"


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_TARGETS", dict(registry._TARGETS))
    registry._plugins.cache_clear()
    yield
    registry._plugins.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with entry points: files in a folder that Python looks into."""

    def install(package, entry_points, source=""):
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{package}.py").write_text(source, encoding="utf-8")
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8"
        )
        lines = "\n".join(f"{name} = {value}" for name, value in entry_points.items())
        (info / "entry_points.txt").write_text(f"[gencls.conditioners]\n{lines}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(folder)
        registry._plugins.cache_clear()

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if name.startswith("acme"):
            del sys.modules[name]


PLUGIN = """
from torch import nn
from gencls import Conditioner, Modulation, per_site

class Plugged(Conditioner):
    def build(self, n_classes, sites):
        self.bias = per_site(sites.named("head"), lambda site: nn.Embedding(n_classes, site.channels))

    def forward(self, labels):
        return {site: Modulation(shift=bias(labels)) for site, bias in self.bias.items()}
"""


# Registry


def test_mild_and_strong_are_known():
    assert get_conditioner("mild") is Mild
    assert get_conditioner("strong") is Strong
    assert list_conditioners() == sorted(list_conditioners())
    assert {"mild", "strong"} <= set(list_conditioners())


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_name_gives_a_conditioner_whose_module_is_named_so(name):
    found = get_conditioner(name)
    assert issubclass(found, Conditioner)
    assert found.__module__ == f"gencls.conditioners.{name.replace('-', '_')}"
    assert found.__doc__


def test_a_class_is_registered_and_found():
    register_conditioner("mine", Late)
    assert get_conditioner("mine") is Late
    assert "mine" in list_conditioners()


def test_a_dotted_name_is_imported_when_it_is_asked_for(install):
    install("acme_lazy", {}, PLUGIN)
    register_conditioner("lazy", "acme_lazy:Plugged")
    assert "acme_lazy" not in sys.modules
    assert "lazy" in list_conditioners()
    assert "acme_lazy" not in sys.modules
    assert get_conditioner("lazy").__name__ == "Plugged"
    assert "acme_lazy" in sys.modules


def test_the_same_again_is_no_error():
    for _ in range(2):
        register_conditioner("mine", Late)
        register_conditioner("mild", Mild)
        register_conditioner("mild", "gencls.conditioners.mild:Mild")
    assert get_conditioner("mine") is Late
    assert get_conditioner("mild") is Mild


def test_another_under_a_taken_name_is_an_error_that_names_both():
    place = f"{Other.__module__}:Other"
    message = whole(
        f"The conditioner 'mild' of the package {Other.__module__!r} ({place}) cannot be registered: the "
        "package 'gencls' (gencls.conditioners.mild:Mild) already provides that name. Choose another name, "
        "or pass replace=True."
    )
    with pytest.raises(ConditionerError, match=message):
        register_conditioner("mild", Other)
    assert get_conditioner("mild") is Mild


def test_another_takes_over_on_request():
    register_conditioner("mild", Other, replace=True)
    assert get_conditioner("mild") is Other
    register_conditioner("new", Late, replace=True)
    assert get_conditioner("new") is Late


@pytest.mark.parametrize("name", ["", None, 3, b"mild"], ids=repr)
def test_names_are_words(name):
    message = f"The parameter 'name' of register_conditioner must be a non-empty str, got {name!r}."
    with pytest.raises(ConditionerError, match=whole(message)):
        register_conditioner(name, Late)


@pytest.mark.parametrize("target", [nn.Linear, int, Late(), None, len], ids=repr)
def test_only_conditioners_are_registered(target):
    message = f"The conditioner 'mine' must be a subclass of gencls.Conditioner, got {target!r}."
    with pytest.raises(ConditionerError, match=whole(message)):
        register_conditioner("mine", target)
    assert "mine" not in list_conditioners()


@pytest.mark.parametrize(("name", "hint"), [("Strong", " Did you mean 'strong'?"), ("qqqqq", "")])
def test_an_unknown_name_lists_the_known_and_the_nearest(name, hint):
    message = f"There is no conditioner {name!r}; known are {', '.join(sorted(BUILT_IN))}.{hint}"
    with pytest.raises(ConditionerError, match=whole(message)) as caught:
        get_conditioner(name)
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_package_at_all:Thing", "ModuleNotFoundError: No module named 'no_such_package_at_all'"),
        (
            "gencls.conditioners.mild:Wild",
            "AttributeError: module 'gencls.conditioners.mild' has no attribute 'Wild'",
        ),
    ],
)
def test_a_broken_target_fails_only_when_asked_for(target, reason):
    register_conditioner("broken", target)
    assert "broken" in list_conditioners()
    assert get_conditioner("mild") is Mild
    message = (
        f"The conditioner 'broken' of the package {re.split('[.:]', target)[0]!r} ({target}) cannot be "
        f"imported ({reason}). Mend or uninstall that package."
    )
    with pytest.raises(ConditionerError, match=whole(message)):
        get_conditioner("broken")


def test_a_target_that_is_no_conditioner_is_refused_when_asked_for():
    register_conditioner("broken", "collections:OrderedDict")
    got = "<class 'collections.OrderedDict'>"
    message = f"The conditioner 'broken' must be a subclass of gencls.Conditioner, got {got}."
    with pytest.raises(ConditionerError, match=whole(message)):
        get_conditioner("broken")


# Entry points


def test_an_installed_package_brings_conditioners(install):
    install("acme", {"plugged": "acme:Plugged"}, PLUGIN)
    assert list_conditioners() == sorted([*BUILT_IN, "plugged"])
    assert "acme" not in sys.modules
    found = get_conditioner("plugged")
    assert found.__module__ == "acme"
    assert make_model(conditioner="plugged").conditioner.__class__ is found


def test_a_broken_package_fails_only_when_its_own_name_is_asked_for(install):
    install("acme_broken", {"broken": "acme_broken:Plugged"}, "raise OSError('out of order')")
    assert "broken" in list_conditioners()
    assert get_conditioner("mild") is Mild
    message = (
        "The conditioner 'broken' of the package 'acme_broken' (acme_broken:Plugged) cannot be imported "
        "(OSError: out of order). Mend or uninstall that package."
    )
    with pytest.raises(ConditionerError, match=whole(message)):
        get_conditioner("broken")


def test_two_packages_with_one_name_are_in_conflict(install):
    install("acme_one", {"plugged": "acme_one:Plugged", "single": "acme_one:Plugged"}, PLUGIN)
    install("acme_two", {"plugged": "acme_two:Plugged"}, PLUGIN)
    owners = {"the package 'acme_one' (acme_one:Plugged)", "the package 'acme_two' (acme_two:Plugged)"}
    with pytest.raises(ConditionerError) as caught:
        get_conditioner("plugged")
    message = str(caught.value)
    first, second = re.fullmatch(
        r"The conditioner 'plugged' is provided by (.+) and (.+)\. Uninstall one of them\.", message
    ).groups()
    assert {first, second} == owners
    assert get_conditioner("single").__module__ == "acme_one"
    register_conditioner("plugged", Late, replace=True)
    assert get_conditioner("plugged") is Late


def test_the_same_entry_point_found_twice_is_no_conflict(install, tmp_path, monkeypatch):
    install("acme_twice", {"plugged": "acme_twice:Plugged"}, PLUGIN)
    copy = tmp_path / "copy"
    copy.mkdir()
    (tmp_path / "acme_twice" / "acme_twice-1.0.dist-info").rename(copy / "acme_twice_again-1.0.dist-info")
    install("acme_other", {"plugged": "acme_twice:Plugged"})
    monkeypatch.syspath_prepend(copy)
    registry._plugins.cache_clear()
    assert get_conditioner("plugged").__name__ == "Plugged"


def test_a_name_that_a_package_provides_is_taken(install):
    install("acme_taken", {"plugged": "acme_taken:Plugged"}, PLUGIN)
    place = f"{Late.__module__}:Late"
    message = (
        f"The conditioner 'plugged' of the package {Late.__module__!r} ({place}) cannot be registered: the "
        "package 'acme_taken' (acme_taken:Plugged) already provides that name. Choose another name, or pass "
        "replace=True."
    )
    with pytest.raises(ConditionerError, match=whole(message)):
        register_conditioner("plugged", Late)
    register_conditioner("plugged", "acme_taken:Plugged")


def test_a_package_that_takes_the_name_of_a_built_in_one_is_in_conflict_with_it(install):
    install("acme_greedy", {"mild": "acme_greedy:Plugged"}, PLUGIN)
    message = (
        f"The conditioner 'mild' is provided by the package 'gencls' ({Mild.__module__}:Mild) and the "
        "package 'acme_greedy' (acme_greedy:Plugged). Uninstall one of them."
    )
    with pytest.raises(ConditionerError, match=whole(message)):
        get_conditioner("mild")
    assert get_conditioner("strong").__name__ == "Strong"
    register_conditioner("mild", Mild, replace=True)
    assert get_conditioner("mild") is Mild


# Instances


@pytest.mark.parametrize("given", ["mild", Mild, Mild(), Late, Late(3)], ids=str)
def test_names_classes_and_instances_are_accepted(given):
    made = make_conditioner(given)
    assert isinstance(made, Conditioner)
    assert made is not given
    assert not list(made.parameters())


def test_an_instance_keeps_its_hyper_parameters():
    assert make_conditioner(Late(3)).first_stage == 3


@pytest.mark.parametrize(("given", "name"), [(3, "3"), (None, "None"), (nn.Linear, "Linear")])
def test_anything_else_is_refused(given, name):
    message = f"The conditioner {name!r} must be a subclass of gencls.Conditioner, got {given!r}."
    with pytest.raises(ConditionerError, match=whole(message)):
        make_conditioner(given)


def test_a_conditioner_is_configured_like_an_estimator():
    conditioner = Late(first_stage=4)
    assert conditioner.get_params() == {"first_stage": 4}
    assert clone(conditioner).first_stage == 4
    assert conditioner.set_params(first_stage=3).first_stage == 3
    assert repr(Late(3)) == "Late(first_stage=3)"
    with pytest.raises(ValueError, match="Invalid parameter 'rank'"):
        conditioner.set_params(rank=3)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_ones_can_be_cloned_before_and_after_building(name):
    conditioner = get_conditioner(name)()
    built = make_model(conditioner=conditioner).conditioner
    assert clone(conditioner).get_params() == clone(built).get_params() == conditioner.get_params()
    assert not list(clone(built).parameters())


@pytest.mark.parametrize("conditioner", [*BUILT_IN, Late(3)], ids=str)
def test_conditioners_pickle_with_what_they_learned(conditioner):
    built = make_model(conditioner=conditioner).conditioner
    again = pickle.loads(pickle.dumps(built))
    assert again.get_params() == built.get_params()
    assert type(again) is type(built)
    found, expected = (each(torch.tensor([2, 0])) for each in (again, built))
    assert list(found) == list(expected)
    for site, modulation in expected.items():
        torch.testing.assert_close(found[site].shift, modulation.shift, rtol=0, atol=0)


def test_an_abstract_conditioner_says_what_is_missing():
    class Empty(Conditioner):
        pass

    with pytest.raises(NotImplementedError):
        Empty().build(2, Sites())
    with pytest.raises(NotImplementedError):
        Empty()(torch.tensor([0]))


# per_site


SITES = Sites(
    Site("second", stream, 0, block, 4, 3, 5) for stream in ("vertical", "horizontal") for block in (0, 1)
)


def test_per_site_has_a_module_for_each_site_in_their_order():
    modules = per_site(SITES, lambda site: nn.Linear(site.channels, 1 + site.block))
    assert [site for site, _ in modules.items()] == list(SITES)
    assert [module.out_features for _, module in modules.items()] == [1, 2, 1, 2]
    assert all(modules[site] is module for site, module in modules.items())
    assert len(list(modules.parameters())) == 8
    assert len({id(module) for _, module in modules.items()}) == 4


def test_per_site_takes_any_iterable():
    assert len(per_site((site for site in SITES if site.block), lambda site: nn.Identity()).items()) == 2


# Modulation


def features(groups, n=3, channels=4, height=2, width=5):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(groups, n, channels, height, width, generator=generator, dtype=torch.float64)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def parts(rows, maps):
    """Shift, scale and mix for this many labels."""
    size = (rows, 4, 2, 5) if maps else (rows, 4)
    return draw(*size), draw(*size), (draw(rows, 4, 2), draw(rows, 2, 4))


def by_hand(x, shift, scale, mix):
    """s ⊙ (x + L R x) + b at each position of one image (F, H, W)."""
    out = torch.empty_like(x)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            here = x[:, i, j]
            s, b = (each if each.ndim == 1 else each[:, i, j] for each in (scale, shift))
            out[:, i, j] = s * (here + mix[0] @ mix[1] @ here) + b
    return out


@pytest.mark.parametrize("maps", [False, True])
def test_a_modulation_per_image(maps):
    x, (shift, scale, mix) = features(1), parts(3, maps)
    found = Modulation(shift, scale, mix).per_image().apply(x)
    assert found.shape == x.shape
    for i in range(3):
        expected = by_hand(x[0, i], shift[i], scale[i], (mix[0][i], mix[1][i]))
        torch.testing.assert_close(found[0, i], expected)


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("groups", [1, 6])
def test_a_modulation_per_class(maps, groups):
    x, (shift, scale, mix) = features(groups), parts(6, maps)
    found = Modulation(shift, scale, mix).per_class().apply(x)
    assert found.shape == (6, *x.shape[1:])
    for k in range(6):
        for i in range(3):
            expected = by_hand(x[k % groups, i], shift[k], scale[k], (mix[0][k], mix[1][k]))
            torch.testing.assert_close(found[k, i], expected)


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_modulation_per_group(maps, groups):
    x, (shift, scale, mix) = features(groups), parts(6, maps)
    found = Modulation(shift, scale, mix).per_group(2).apply(x)
    assert found.shape == (2, *x.shape[1:])
    for row in range(6):
        g, i = divmod(row, 3)
        expected = by_hand(x[g % groups, i], shift[row], scale[row], (mix[0][row], mix[1][row]))
        torch.testing.assert_close(found[g, i], expected)


@pytest.mark.parametrize("part", ["shift", "scale", "mix"])
def test_every_part_is_optional(part):
    x, (shift, scale, mix) = features(1), parts(3, maps=False)
    given = {"shift": shift, "scale": scale, "mix": mix}[part]
    found = Modulation(**{part: given}).per_image().apply(x)
    neutral = {"shift": torch.zeros_like(shift), "scale": torch.ones_like(scale), "mix": (0 * mix[0], mix[1])}
    torch.testing.assert_close(found, Modulation(**{**neutral, part: given}).per_image().apply(x))
    assert not torch.allclose(found, x)


def test_an_empty_modulation_changes_nothing():
    x = features(1)
    assert torch.equal(Modulation().per_image().apply(x), x)
    assert torch.equal(Modulation().per_class().apply(x), x)


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("arrange", [Modulation.per_image, Modulation.per_class])
@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(0, 1), slice(2, 3)), (slice(1, 2), slice(None)), (slice(None), slice(4, 5))],
    ids=str,
)
def test_a_part_of_the_positions_is_modulated_as_in_the_whole(maps, arrange, rows, columns):
    x, modulation = features(1), arrange(Modulation(*parts(3, maps)))
    whole_image = modulation.apply(x)
    found = modulation.at(rows, columns).apply(x[..., rows, columns])
    torch.testing.assert_close(found, whole_image[..., rows, columns])
