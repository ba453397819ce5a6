"""A wrong objective for every rule of the contract."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers import check_page, check_wrong

from gencls.errors import InvalidParameterError
from gencls.objectives import Objective
from gencls.testing import check_objective
from gencls.testing.objective_rules import CONTRACT

WRONG: dict[type, tuple[str, ...]] = {}


def breaks(*rules):
    """Name all rules that an objective breaks."""

    def add(objective):
        WRONG[objective] = rules
        return objective

    return add


class Right(Objective):
    """The likelihood, and that under one different class."""

    def candidates(self, labels, n_classes, generator=None):
        step = torch.randint(1, n_classes, labels.shape, generator=generator).to(labels.device)
        return torch.stack([labels, (labels + step) % n_classes])

    def terms(self, scores):
        contrast = (scores.weights * torch.sigmoid(scores.log_prob[1] - scores.log_prob[0])).mean()
        return {"nll": scores.nats_per_dim, "contrast": contrast}

    def loss(self, terms):
        return terms["nll"] + terms["contrast"]


@breaks("is_an_estimator")
class NeedsAnArgument(Right):
    def __init__(self, weight):
        self.weight = weight


@breaks("is_an_estimator")
class StoresNothing(Right):
    def __init__(self, weight=1.0):
        pass


@breaks("accepts_its_parameters")
class RefusesItsDefault(Right):
    def __init__(self, weight=0.0):
        self.weight = weight

    def check(self):
        if self.weight <= 0:
            raise InvalidParameterError("'weight' must be above 0")


@breaks("accepts_its_parameters")
class ChangesAParameterInCheck(Right):
    def __init__(self, weight=None):
        self.weight = weight

    def check(self):
        self.weight = self.weight or 1.0


@breaks("scores_the_own_class_first")
class LabelsAsCandidates(Right):
    def candidates(self, labels, n_classes, generator=None):
        return labels


@breaks("scores_the_own_class_first")
class TheOwnClassLast(Right):
    def candidates(self, labels, n_classes, generator=None):
        return super().candidates(labels, n_classes, generator).flip(0)


@breaks("scores_the_own_class_first")
class CandidatesOfInt32(Right):
    def candidates(self, labels, n_classes, generator=None):
        return super().candidates(labels, n_classes, generator).int()


@breaks("scores_the_own_class_first")
class AListOfCandidates(Right):
    def candidates(self, labels, n_classes, generator=None):
        return list(super().candidates(labels, n_classes, generator))


@breaks("repeats_no_class")
class TheOwnClassTwice(Right):
    def candidates(self, labels, n_classes, generator=None):
        return torch.stack([labels, labels])


@breaks("repeats_no_class")
class ClassesThatDoNotExist(Right):
    def candidates(self, labels, n_classes, generator=None):
        return torch.stack([labels, labels + 1])


@breaks("names_its_terms")
class ATuple(Right):
    def terms(self, scores):
        return tuple(super().terms(scores).values())


@breaks("names_its_terms")
class Numbers(Right):
    def terms(self, scores):
        return {name: value.item() for name, value in super().terms(scores).items()}


@breaks("names_its_terms")
class ATermForEachImage(Right):
    def terms(self, scores):
        return super().terms(scores) | {"each": scores.log_prob[0]}


@breaks("names_its_terms")
class ANameWithAHyphen(Right):
    def terms(self, scores):
        return super().terms(scores) | {"cross-entropy": scores.nats_per_dim}


@breaks("names_its_terms")
class ANameThatIsTaken(Right):
    def terms(self, scores):
        return super().terms(scores) | {"loss": scores.nats_per_dim}


@breaks("names_its_terms")
class NamesOfEachBatch(Right):
    def terms(self, scores):
        return super().terms(scores) | {f"batch_{abs(int(scores.log_prob.sum()))}": scores.nats_per_dim}


@breaks("has_a_loss")
class Detached(Right):
    def loss(self, terms):
        return super().loss(terms).detach()


@breaks("has_a_loss")
class SeveralLosses(Right):
    def loss(self, terms):
        return torch.stack(list(terms.values()))


@breaks("has_a_loss")
class AConstant(Right):
    def loss(self, terms):
        return 0 * super().loss(terms)


@breaks("records_the_likelihood")
class NoLikelihood(Right):
    def terms(self, scores):
        return {"likelihood": scores.nats_per_dim}

    def loss(self, terms):
        return terms["likelihood"]


@breaks("records_the_likelihood")
class Bits(Right):
    def terms(self, scores):
        terms = super().terms(scores)
        return terms | {"nll": terms["nll"] / math.log(2)}


@breaks("depends_on_scores_only")
class RunningMean(Right):
    mean = 0.0

    def loss(self, terms):
        self.mean = 0.9 * self.mean + 0.1 * terms["nll"].item()
        return super().loss(terms) - self.mean


@breaks("depends_on_scores_only", "ignores_images_of_weight_0")
class RandomTerms(Right):
    def terms(self, scores):
        terms = super().terms(scores)
        return terms | {"noise": terms["nll"] * torch.rand(())}

    def loss(self, terms):
        return terms["nll"] + terms["noise"]


@breaks("depends_on_scores_only")
class KeepsTheScores(Right):
    def terms(self, scores):
        self.kept = scores
        return super().terms(scores)

    def loss(self, terms):
        return super().loss(terms) + self.kept.nats_per_dim


@breaks("follows_its_generator")
class RandomByTorch(Right):
    def candidates(self, labels, n_classes, generator=None):
        return super().candidates(labels, n_classes)


@breaks("follows_its_generator")
class RandomByNumpy(Right):
    random_state = np.random.RandomState(0)

    def candidates(self, labels, n_classes, generator=None):
        step = torch.from_numpy(self.random_state.randint(1, n_classes, size=len(labels)))
        return torch.stack([labels, (labels + step.to(labels.device)) % n_classes])


@breaks("follows_its_device")
class CandidatesOnTheCPU(Right):
    def candidates(self, labels, n_classes, generator=None):
        step = torch.randint(1, n_classes, labels.shape, generator=generator)
        return torch.stack([labels, (labels + step) % n_classes])


@breaks("follows_its_device")
class TermsOnTheCPU(Right):
    def terms(self, scores):
        terms = super().terms(scores)
        return terms | {"mean": (scores.log_prob * torch.ones(6)).mean() * 0 + terms["nll"]}


@breaks("stays_finite")
class PlainProbabilities(Right):
    def terms(self, scores):
        probabilities = scores.log_prob.exp()
        share = probabilities[0] / probabilities.sum(0)
        return {"nll": scores.nats_per_dim, "contrast": (scores.weights * (1 - share)).mean()}


@breaks("stays_finite")
class ThePriorOfItsClass(Right):
    def terms(self, scores):
        prior = torch.from_numpy(scores.prior).to(scores.log_prob)[scores.candidates[0]]
        contrast = -(scores.weights * (scores.log_prob[0] + prior.log())).mean()
        return {"nll": scores.nats_per_dim, "contrast": contrast}


@breaks("ignores_images_of_weight_0")
class WithoutWeights(Right):
    def terms(self, scores):
        contrast = torch.sigmoid(scores.log_prob[1] - scores.log_prob[0]).mean()
        return {"nll": scores.nats_per_dim, "contrast": contrast}


@breaks("learns")
class TooSmall(Right):
    def loss(self, terms):
        return 1e-150 * super().loss(terms)


@breaks("pickles")
class KeepsALambda(Right):
    def __init__(self):
        self.scale = lambda value: 2 * value


@breaks("fits_a_model_file")
class TakesAnObject(Right):
    def __init__(self, classes=frozenset({1})):
        self.classes = classes


def test_every_rule_has_a_wrong_objective():
    named = {rule for rules in WRONG.values() for rule in rules}
    assert named == {rule.name for rule in CONTRACT.foundations + CONTRACT.rules}


def test_the_page_for_authors_has_every_rule():
    check_page("write-an-objective.md", CONTRACT)


@pytest.mark.parametrize("plugin", WRONG, ids=lambda plugin: plugin.__name__)
def test_a_wrong_objective_is_caught(plugin):
    check_wrong(check_objective, CONTRACT, plugin, WRONG[plugin])


@pytest.mark.parametrize("plugin", [Right, Right()], ids=["class", "instance"])
def test_a_right_objective_passes(plugin):
    check_objective(plugin)
