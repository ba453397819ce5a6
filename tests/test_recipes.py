"""Recipes: parameters under a name."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from small import photographs, shades

from gencls import GenerativeBayesClassifier, Hybrid, InvalidParameterError, RandomCrop, Stage, list_recipes
from gencls.estimators import recipes

QUICK = {"n_filters": 4, "n_mixtures": 1, "random_state": 0, "batch_size": 12}


def test_recipes_are_listed_in_order():
    names = list_recipes()
    assert {"digits", "paper", "photographs", "photographs-best", "photographs-fast"} <= set(names)
    assert names == sorted(names)


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_is_an_unfitted_classifier_with_its_parameters(name):
    clf = GenerativeBayesClassifier.from_recipe(name)
    assert isinstance(clf, GenerativeBayesClassifier)
    assert not hasattr(clf, "classes_")
    for parameter, value in recipes.parameters_of(name).items():
        assert repr(getattr(clf, parameter)) == repr(value)
    clf._check_parameters()
    assert repr(clone(clf)) == repr(clf)
    description = recipes.RECIPES[name].__doc__
    assert description
    assert "setting" in description or len(description) > 20


def test_the_recipe_of_the_paper():
    clf = GenerativeBayesClassifier.from_recipe("paper")
    assert (clf.conditioner, clf.objective, clf.max_epochs) == ("mild", "likelihood", 250)
    small = QUICK | {"n_layers": 1, "max_epochs": 1, "resolution": None}
    assert GenerativeBayesClassifier.from_recipe("paper", **small).fit(*shades()).n_iter_ == 1


def test_the_recipe_of_photographs():
    clf = GenerativeBayesClassifier.from_recipe("photographs-fast")
    assert clf.resolution == 8
    assert clf.views == ["flips", "six-crops"]
    assert clf.stages
    assert isinstance(clf.stages[-1].objective, Hybrid)
    stages = [Stage(1), Stage(1, objective=Hybrid(), augmentation=RandomCrop())]
    X, y = photographs(size=(12, 12))
    clf = GenerativeBayesClassifier.from_recipe("photographs-fast", **QUICK, stages=stages).fit(X, y)
    assert clf.codec_.tensor_shape_ == (3, 8, 8)
    assert clf.predict_proba(X).shape == (24, 3)


def test_parameters_may_be_overridden():
    clf = GenerativeBayesClassifier.from_recipe("paper", max_epochs=3, n_filters=7)
    assert (clf.max_epochs, clf.n_filters, clf.dropout) == (3, 7, 0.5)
    with pytest.raises(TypeError, match="fast"):
        GenerativeBayesClassifier.from_recipe("paper", fast=True)


def test_two_classifiers_of_a_recipe_share_nothing():
    one, other = (GenerativeBayesClassifier.from_recipe("photographs-fast") for _ in range(2))
    assert isinstance(one.stages, list)
    assert isinstance(other.stages, list)
    one.stages[-1].objective.set_params(weight=99)
    one.stages.append(Stage(1))
    assert len(other.stages) == len(one.stages) - 1
    assert other.stages[-1].objective.weight != 99


@pytest.mark.parametrize(
    ("name", "hint"), [("papre", "'paper'"), ("photograph", "'photographs'"), ("zzz", None), (3, None)]
)
def test_an_unknown_recipe_lists_the_known_ones(name, hint):
    with pytest.raises(InvalidParameterError, match="'name' of from_recipe") as caught:
        GenerativeBayesClassifier.from_recipe(name)
    message = str(caught.value)
    assert repr(name) in message
    assert all(repr(known) in message for known in list_recipes())
    assert (f"Did you mean {hint}?" in message) if hint else ("Did you mean" not in message)


def test_subclasses_have_recipes_too():
    class Own(GenerativeBayesClassifier):
        pass

    assert type(Own.from_recipe("paper")) is Own
    np.testing.assert_equal(
        Own.from_recipe("paper").get_params(),
        {**GenerativeBayesClassifier().get_params(), **recipes.parameters_of("paper")},
    )
