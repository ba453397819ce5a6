"""A wrong plugin for every rule of the contract."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gencls import ConditionerError, GenclsError
from gencls.conditioners import Conditioner, Modulation, per_site, zero_embedding
from gencls.conditioners.embedding import Embedding
from gencls.conditioners.mild import Mild
from gencls.conditioners.unconditional import Unconditional
from gencls.errors import ConditionerContractError
from gencls.pixelcnn import PixelCNN
from gencls.testing import check_conditioner
from gencls.testing.rules import FOUNDATIONS, RULES

WRONG = {}


def breaks(*rules):
    """Say which rules a plugin breaks, all of them."""

    def add(conditioner):
        WRONG[conditioner] = rules
        return conditioner

    return add


class Wrong(Conditioner):
    """Right as it stands: a bias for each class at the input."""

    def build(self, n_classes, sites):
        self.bias = per_site(sites.named("input"), lambda site: zero_embedding(n_classes, site.channels))

    def forward(self, labels):
        return {site: self.modulate(bias(labels)) for site, bias in self.bias.items()}

    def modulate(self, shift):
        return Modulation(shift=shift)


@breaks("is_an_estimator")
class NeedsAnArgument(Wrong):
    def __init__(self, size):
        super().__init__()
        self.size = size


@breaks("is_an_estimator")
class ChangesItsArgument(Wrong):
    def __init__(self, sizes=(1, 2)):
        super().__init__()
        self.sizes = list(sizes)


@breaks("is_an_estimator")
class StoresNothing(Wrong):
    def __init__(self, size=3):
        super().__init__()


@breaks("builds")
class ForLargeImagesOnly(Wrong):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.kernel = torch.ones(3, 3)[:, : sites[0].height - 1].unfold(1, 2, 1)


@breaks("builds")
class ChangesAParameterInBuild(Wrong):
    def __init__(self, size=None):
        super().__init__()
        self.size = size

    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.size = n_classes


@breaks("touches_sites")
class NamesForSites(Wrong):
    def forward(self, labels):
        return {site.name: modulation for site, modulation in super().forward(labels).items()}


@breaks("touches_sites")
class TensorsForModulations(Wrong):
    def modulate(self, shift):
        return shift


@breaks("touches_sites")
class AList(Wrong):
    def forward(self, labels):
        return list(super().forward(labels).items())


@breaks("touches_sites")
class SitesByLabel(Wrong):
    def forward(self, labels):
        return super().forward(labels) if (labels > 0).any() else {}


@breaks("has_the_right_shapes")
class OneShiftForAllFeatures(Wrong):
    def modulate(self, shift):
        return Modulation(shift=shift.mean(1, keepdim=True))


@breaks("has_the_right_shapes")
class MixTheWrongWayRound(Wrong):
    def modulate(self, shift):
        return Modulation(mix=(shift[:, None], shift[:, :, None]))


@breaks("follows_its_module")
class SinglePrecision(Wrong):
    def modulate(self, shift):
        return Modulation(shift=shift.float())


@breaks("follows_its_module")
class AlwaysOnTheCPU(Wrong):
    def modulate(self, shift):
        return Modulation(shift=shift, scale=torch.ones(shift.shape, dtype=shift.dtype))


@dataclass(frozen=True)
class LooksAround(Modulation):
    """Adds the mean over all positions."""

    def per_image(self):
        return LooksAround(self.shift[None, :, :, None, None])

    def per_class(self):
        return LooksAround(self.shift[:, None, :, None, None])

    def at(self, rows, columns):
        return self

    def apply(self, features):
        return features + self.shift * features.mean((-2, -1), keepdim=True)


@breaks("is_causal", "is_a_probability", "works_on_single_pixels", "samples_alike")
class NotCausal(Wrong):
    def modulate(self, shift):
        return LooksAround(shift)


@breaks("tells_classes_apart")
class BlindToLabels(Wrong):
    def forward(self, labels):
        return super().forward(torch.zeros_like(labels))


@breaks("tells_classes_apart")
class SaysThatItIsBlind(Mild):
    ignores_labels = True


@breaks("learns")
class UnusedParameter(Wrong):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.unused = nn.Parameter(torch.ones(1))


@breaks("learns")
class TwoFactorsAtZero(Wrong):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.factor = nn.Parameter(torch.zeros(1))

    def modulate(self, shift):
        return Modulation(shift=self.factor * shift)


@breaks("keeps_rows_apart", "scores_classes_alike")
class LessTheMeanOfTheBatch(Wrong):
    def modulate(self, shift):
        return Modulation(shift=shift - shift.mean(0))


@breaks("depends_on_labels_only")
class RandomInEvaluation(Wrong):
    def modulate(self, shift):
        return Modulation(shift=nn.functional.dropout(shift, 0.5))


@breaks("depends_on_labels_only")
class CountsItsCalls(Wrong):
    calls = 0

    def modulate(self, shift):
        self.calls += 1
        return Modulation(shift=shift + self.calls)


class Spy:
    """What a network saw last."""

    seen = 0.0

    @classmethod
    def watch(cls, module, inputs):
        if isinstance(module, PixelCNN):
            cls.seen = inputs[0].mean()


@breaks("depends_on_labels_only")
class SpiesOnTheImages(Wrong):
    def modulate(self, shift):
        return Modulation(shift=shift + Spy.seen)


@breaks("follows_the_seed")
class RandomByNumpy(Wrong):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.register_buffer("noise", torch.tensor(np.random.default_rng().random()))

    def modulate(self, shift):
        return Modulation(shift=shift + self.noise)


@breaks("says_whether_it_is_random")
class DropsFeatures(Wrong):
    def modulate(self, shift):
        return Modulation(shift=nn.functional.dropout(shift, 0.5, self.training))


@breaks("shares_nothing")
class SharedParameters(Wrong):
    shared = nn.Parameter(torch.zeros(3, 4))

    def build(self, n_classes, sites):
        self.sites = sites.named("input")
        self.weight = self.shared

    def forward(self, labels):
        return {site: Modulation(shift=self.weight.to(torch.float64)[labels]) for site in self.sites}


@breaks("pickles")
class KeepsALambda(Wrong):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.modulate = lambda shift: Modulation(shift=shift)


@breaks("saves_all_it_learned")
class ForgetsWhatItDrew(Wrong):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.noise = torch.randn(())

    def modulate(self, shift):
        return Modulation(shift=shift + self.noise.to(shift))


@breaks("fits_a_model_file")
class BuildsByValue(Wrong):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.size = torch.ones(3).sum().item()


@breaks("fits_a_model_file")
class TakesAnObject(Wrong):
    def __init__(self, stages=frozenset({5})):
        super().__init__()
        self.stages = stages


@pytest.fixture
def _spy():
    hook = nn.modules.module.register_module_forward_pre_hook(Spy.watch)
    yield
    hook.remove()
    Spy.seen = 0.0


def test_there_is_a_wrong_plugin_for_every_rule():
    assert {rule for rules in WRONG.values() for rule in rules} == {rule.name for rule in FOUNDATIONS + RULES}


def test_the_page_for_authors_has_every_rule():
    page = Path(__file__).parent.parent / "docs/write-a-conditioner.md"
    named = re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert named == [rule.name for rule in FOUNDATIONS + RULES]


@pytest.mark.usefixtures("_spy")
@pytest.mark.parametrize("plugin", WRONG, ids=lambda plugin: plugin.__name__)
def test_a_wrong_plugin_is_caught(plugin):
    with pytest.raises(ConditionerContractError) as caught:
        check_conditioner(plugin)
    message = str(caught.value)
    named = re.findall(r"^- (\w+): ", message, re.MULTILINE)
    assert sorted(named) == sorted(WRONG[plugin])
    assert f"{__name__}:{plugin.__name__} breaks {len(named)} of the" in message
    assert message.count("  Seen: ") == message.count("  What to do: ") == len(named)


@pytest.mark.parametrize("plugin", [Wrong, Wrong(), Unconditional])
def test_what_is_right_passes(plugin):
    check_conditioner(plugin)


def test_the_error_is_an_assertion_of_ours():
    assert issubclass(ConditionerContractError, GenclsError)
    assert issubclass(ConditionerContractError, AssertionError)


def test_an_unknown_name_is_no_breach():
    with pytest.raises(ConditionerError, match="'mild'"):
        check_conditioner("mildd")


def test_the_hyper_parameters_of_an_instance_are_used():
    with pytest.raises(
        ConditionerContractError, match="'size' of Embedding must be an int of at least 1, got 0"
    ):
        check_conditioner(Embedding(size=0))


def test_an_instance_is_left_as_it_is():
    conditioner = Mild()
    check_conditioner(conditioner)
    assert list(conditioner.parameters()) == []


def test_the_random_numbers_of_torch_are_left_alone():
    before = torch.random.get_rng_state()
    check_conditioner("mild")
    assert torch.equal(before, torch.random.get_rng_state())


def test_progress_is_shown(capsys):
    check_conditioner("mild", verbose=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"holds  {rule.name}" for rule in FOUNDATIONS + RULES]
