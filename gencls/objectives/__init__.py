"""Objectives: what training minimises."""

from .hybrid import Discrimination, NegativeLogLikelihood

__all__ = [
    "Discrimination",
    "NegativeLogLikelihood",
]
