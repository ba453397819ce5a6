"""The names of conditioners, their interface, and what a modulation does."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from helpers import REPRESENTATIVE, make_model
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
from gencls.conditioners import make_conditioner
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


@pytest.fixture(autouse=True)
def _registered_for_one_test(own_conditioners):
    """What a test registers is gone after it."""


# Names


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
    assert list_conditioners() == sorted([*BUILT_IN, "mine"])
    assert make_model(conditioner="mine").conditioner.first_stage == 5


def test_a_taken_name_is_an_error():
    with pytest.raises(ConditionerError, match="'mild'"):
        register_conditioner("mild", Late)
    register_conditioner("mild", Late, replace=True)
    assert get_conditioner("mild") is Late


# Instances


@pytest.mark.parametrize("given", ["mild", Mild, Late(3)], ids=str)
def test_instances_are_new_and_not_built(given):
    made = make_conditioner(given)
    assert isinstance(made, Conditioner)
    assert made is not given
    assert not list(made.parameters())


def test_a_conditioner_is_configured_like_an_estimator():
    conditioner: Any = Late(first_stage=4)
    assert conditioner.get_params() == {"first_stage": 4}
    assert clone(conditioner).first_stage == 4
    assert conditioner.set_params(first_stage=3).first_stage == 3
    assert repr(Late(3)) == "Late(first_stage=3)"
    with pytest.raises(ValueError, match="'rank'"):
        conditioner.set_params(rank=3)


def test_a_clone_is_not_built():
    built: Any = make_model(conditioner=Late(3)).conditioner
    assert clone(built).get_params() == {"first_stage": 3}
    assert not list(clone(built).parameters())


@pytest.mark.parametrize("conditioner", [*REPRESENTATIVE, Late(3)], ids=str)
def test_conditioners_pickle_with_what_they_learned(conditioner):
    built = make_model(conditioner=conditioner).conditioner
    again = pickle.loads(pickle.dumps(built))
    assert again.get_params() == built.get_params()
    assert type(again) is type(built)
    found, expected = (each(torch.tensor([2, 0])) for each in (again, built))
    assert list(found) == list(expected)
    for site, modulation in expected.items():
        pairs = [
            (getattr(found[site], part), getattr(modulation, part)) for part in ("shift", "scale", "mix")
        ]
        assert any(one is not None for _, one in pairs)
        for one, other in pairs:
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, rtol=0, atol=0)


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
    modules = per_site((site for site in SITES if site.block), lambda site: nn.Identity())
    assert len(list(modules.items())) == 2


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
