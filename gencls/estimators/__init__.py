"""Estimators in the style of scikit-learn."""

from .classifier import GenerativeBayesClassifier
from .pretrained import list_pretrained, load_pretrained, model_card

__all__ = [
    "GenerativeBayesClassifier",
    "list_pretrained",
    "load_pretrained",
    "model_card",
]
