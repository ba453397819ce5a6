"""Estimators in the style of scikit-learn."""

from .classifier import GenerativeBayesClassifier
from .ensemble import MeanJointClassifier
from .pretrained import list_pretrained, load_pretrained, model_card
from .recipes import list_recipes

__all__ = [
    "GenerativeBayesClassifier",
    "MeanJointClassifier",
    "list_pretrained",
    "list_recipes",
    "load_pretrained",
    "model_card",
]
