"""A wrong conditioner for every rule of the contract."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers import check_page, check_wrong
from torch import nn

from gencls.conditioners import Conditioner, Modulation, per_site, zero_embedding
from gencls.conditioners.mild import Mild
from gencls.pixelcnn import PixelCNN
from gencls.testing import check_conditioner
from gencls.testing.conditioner_rules import CONTRACT

WRONG: dict[type, tuple[str, ...]] = {}


def breaks(*rules):
    """Name all rules that a conditioner breaks."""

    def add(conditioner):
        WRONG[conditioner] = rules
        return conditioner

    return add


class Right(Conditioner):
    """A bias for each class at the input."""

    def build(self, n_classes, sites):
        self.bias = per_site(sites.named("input"), lambda site: zero_embedding(n_classes, site.channels))

    def forward(self, labels):
        return {site: self.modulate(bias(labels)) for site, bias in self.bias.items()}

    def modulate(self, shift):
        return Modulation(shift=shift)


@breaks("is_an_estimator")
class NeedsAnArgument(Right):
    def __init__(self, size):
        super().__init__()
        self.size = size


@breaks("is_an_estimator")
class ChangesItsArgument(Right):
    def __init__(self, sizes=(1, 2)):
        super().__init__()
        self.sizes = list(sizes)


@breaks("is_an_estimator")
class StoresNothing(Right):
    def __init__(self, size=3):
        super().__init__()


@breaks("builds")
class ForLargeImagesOnly(Right):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.kernel = torch.ones(3, 3)[:, : sites[0].height - 1].unfold(1, 2, 1)


@breaks("builds")
class ChangesAParameterInBuild(Right):
    def __init__(self, size=None):
        super().__init__()
        self.size = size

    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.size = n_classes


@breaks("touches_sites")
class NamesForSites(Right):
    def forward(self, labels):
        return {site.name: modulation for site, modulation in super().forward(labels).items()}


@breaks("touches_sites")
class TensorsForModulations(Right):
    def modulate(self, shift):
        return shift


@breaks("touches_sites")
class AList(Right):
    def forward(self, labels):
        return list(super().forward(labels).items())


@breaks("touches_sites")
class SitesByLabel(Right):
    def forward(self, labels):
        return super().forward(labels) if (labels > 0).any() else {}


@breaks("has_the_right_shapes")
class OneShiftForAllFeatures(Right):
    def modulate(self, shift):
        return Modulation(shift=shift.mean(1, keepdim=True))


@breaks("has_the_right_shapes")
class MixTheWrongWayRound(Right):
    def modulate(self, shift):
        return Modulation(mix=(shift[:, None], shift[:, :, None]))


@breaks("follows_its_module")
class SinglePrecision(Right):
    def modulate(self, shift):
        return Modulation(shift=shift.float())


@breaks("follows_its_module")
class AlwaysOnTheCPU(Right):
    def modulate(self, shift):
        return Modulation(shift=shift, scale=torch.ones(shift.shape, dtype=shift.dtype))


@dataclass(frozen=True)
class LooksAround(Modulation):
    """Adds the mean over all positions."""

    def per_image(self):
        return LooksAround(self.shift[None, :, :, None, None])  # type: ignore[index]

    def per_class(self):
        return LooksAround(self.shift[:, None, :, None, None])  # type: ignore[index]

    def at(self, rows, columns):
        return self

    def apply(self, features):
        return features + self.shift * features.mean((-2, -1), keepdim=True)


@breaks("is_causal", "is_a_probability", "works_on_single_pixels", "samples_alike")
class NotCausal(Right):
    def modulate(self, shift):
        return LooksAround(shift)


@breaks("separates_classes")
class BlindToLabels(Right):
    def forward(self, labels):
        return super().forward(torch.zeros_like(labels))


@breaks("separates_classes")
class SaysThatItIsBlind(Mild):
    ignores_labels = True


@breaks("learns")
class UnusedParameter(Right):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.unused = nn.Parameter(torch.ones(1))


@breaks("learns")
class TwoFactorsAtZero(Right):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.factor = nn.Parameter(torch.zeros(1))

    def modulate(self, shift):
        return Modulation(shift=self.factor * shift)


@breaks("keeps_rows_apart", "scores_classes_alike")
class LessTheMeanOfTheBatch(Right):
    def modulate(self, shift):
        return Modulation(shift=shift - shift.mean(0))


@breaks("depends_on_labels_only")
class RandomInEvaluation(Right):
    def modulate(self, shift):
        return Modulation(shift=nn.functional.dropout(shift, 0.5))


@breaks("depends_on_labels_only")
class CountsItsCalls(Right):
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
class SpiesOnTheImages(Right):
    def modulate(self, shift):
        return Modulation(shift=shift + Spy.seen)


@breaks("follows_the_seed")
class RandomByNumpy(Right):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.register_buffer("noise", torch.tensor(np.random.default_rng().random()))

    def modulate(self, shift):
        return Modulation(shift=shift + self.noise)


@breaks("says_whether_it_is_random")
class DropsFeatures(Right):
    def modulate(self, shift):
        return Modulation(shift=nn.functional.dropout(shift, 0.5, self.training))


@breaks("shares_nothing")
class SharedParameters(Right):
    shared = nn.Parameter(torch.zeros(3, 4))

    def build(self, n_classes, sites):
        self.sites = sites.named("input")
        self.weight = self.shared

    def forward(self, labels):
        return {site: Modulation(shift=self.weight.to(torch.float64)[labels]) for site in self.sites}


@breaks("pickles")
class KeepsALambda(Right):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.modulate = lambda shift: Modulation(shift=shift)  # type: ignore[method-assign]


@breaks("saves_all_it_learned")
class ForgetsWhatItDrew(Right):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.noise = torch.randn(())

    def modulate(self, shift):
        return Modulation(shift=shift + self.noise.to(shift))


@breaks("fits_a_model_file")
class BuildsByValue(Right):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.size = torch.ones(3).sum().item()


@breaks("fits_a_model_file")
class TakesAnObject(Right):
    def __init__(self, stages=frozenset({5})):
        super().__init__()
        self.stages = stages


@pytest.fixture
def _spy():
    hook = nn.modules.module.register_module_forward_pre_hook(Spy.watch)
    yield
    hook.remove()
    Spy.seen = 0.0


def test_every_rule_has_a_wrong_conditioner():
    named = {rule for rules in WRONG.values() for rule in rules}
    assert named == {rule.name for rule in CONTRACT.foundations + CONTRACT.rules}


def test_the_page_for_authors_has_every_rule():
    check_page("write-a-conditioner.md", CONTRACT)


@pytest.mark.usefixtures("_spy")
@pytest.mark.parametrize("plugin", WRONG, ids=lambda plugin: plugin.__name__)
def test_a_wrong_conditioner_is_caught(plugin):
    check_wrong(check_conditioner, CONTRACT, plugin, WRONG[plugin])


@pytest.mark.parametrize("plugin", [Right, Right()], ids=["class", "instance"])
def test_a_right_conditioner_passes(plugin):
    check_conditioner(plugin)
