"""The checks of plug-ins: what passes, what is reported, and what is left alone."""

from __future__ import annotations

import re

import pytest
import torch

from gencls.augmentations import Flip, RandomCrop, Shift, list_augmentations
from gencls.conditioners.embedding import Embedding
from gencls.conditioners.mild import Mild
from gencls.errors import (
    AugmentationContractError,
    AugmentationError,
    ConditionerContractError,
    ConditionerError,
    GenclsError,
    ObjectiveContractError,
    ObjectiveError,
    PluginContractError,
)
from gencls.objectives import Hybrid, list_objectives
from gencls.testing import check_augmentation, check_conditioner, check_objective
from gencls.testing.augmentation_rules import CONTRACT as AUGMENTATION
from gencls.testing.conditioner_rules import CONTRACT as CONDITIONER
from gencls.testing.objective_rules import CONTRACT as OBJECTIVE

KINDS = pytest.mark.parametrize(
    ("check", "contract", "name"),
    [
        (check_conditioner, CONDITIONER, "mild"),
        (check_objective, OBJECTIVE, "hybrid"),
        (check_augmentation, AUGMENTATION, "flip"),
    ],
    ids=["conditioner", "objective", "augmentation"],
)


@pytest.mark.parametrize("name", list_objectives())
def test_every_objective(name):
    check_objective(name)


@pytest.mark.parametrize("name", list_augmentations())
def test_every_augmentation(name):
    check_augmentation(name)


@pytest.mark.parametrize(
    ("check", "plugin"),
    [
        (check_objective, Hybrid),
        (check_objective, Hybrid(weight=0.05, temperature=1.0, n_contrasted=2)),
        (check_augmentation, Flip),
        (check_augmentation, Shift(3)),
        (check_augmentation, RandomCrop(smallest=0.3, resample="lanczos")),
    ],
)
def test_classes_and_instances(check, plugin):
    check(plugin)


@pytest.mark.parametrize(
    ("check", "plugin", "error", "words"),
    [
        (check_conditioner, Embedding(size=0), ConditionerContractError, "'size' of Embedding"),
        (check_objective, Hybrid(weight=-1), ObjectiveContractError, "'weight' of Hybrid"),
        (check_augmentation, Shift(-1), AugmentationContractError, "'most' of Shift"),
    ],
)
def test_the_hyper_parameters_of_an_instance_are_used(check, plugin, error, words):
    with pytest.raises(error, match=f"InvalidParameterError was raised: The parameter {words}"):
        check(plugin)


@pytest.mark.parametrize(
    ("check", "name", "error", "nearest"),
    [
        (check_conditioner, "mildd", ConditionerError, "mild"),
        (check_objective, "hybird", ObjectiveError, "hybrid"),
        (check_augmentation, "flop", AugmentationError, "flip"),
    ],
)
def test_an_unknown_name(check, name, error, nearest):
    with pytest.raises(error, match=f"'{nearest}'"):
        check(name)


def test_an_instance_is_not_changed():
    conditioner = Mild()
    check_conditioner(conditioner)
    assert list(conditioner.parameters()) == []


@KINDS
def test_errors_are_assertions(check, contract, name):
    assert issubclass(contract.error, PluginContractError)
    assert issubclass(PluginContractError, GenclsError)
    assert issubclass(PluginContractError, AssertionError)


@KINDS
def test_random_numbers_of_torch_are_not_used(check, contract, name):
    before = torch.random.get_rng_state()
    check(name)
    assert torch.equal(before, torch.random.get_rng_state())


@KINDS
def test_progress_is_shown(check, contract, name, capsys):
    check(name, verbose=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"holds  {rule.name}" for rule in contract.foundations + contract.rules]


@KINDS
def test_every_rule_has_a_promise_and_a_remedy(check, contract, name):
    for rule in contract.foundations + contract.rules:
        assert re.fullmatch(r"[A-Z][^\n]*\.", rule.promise)
        assert re.fullmatch(r"[A-Z][^\n]*\.", rule.remedy)
