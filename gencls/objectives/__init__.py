"""Objectives of training, and their registry."""

from .base import Objective, Scores
from .hybrid import Hybrid
from .likelihood import Likelihood
from .registry import OBJECTIVES, get_objective, list_objectives, make_objective, register_objective

__all__ = [
    "OBJECTIVES",
    "Hybrid",
    "Likelihood",
    "Objective",
    "Scores",
    "get_objective",
    "list_objectives",
    "make_objective",
    "register_objective",
]
