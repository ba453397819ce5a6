"""Inference with a trained density: scores of all classes, the most probable class, samples."""

from .early_exit import most_probable
from .sampling import ancestral_sample, cached_sample, draw_images
from .scoring import Scorer

__all__ = [
    "Scorer",
    "ancestral_sample",
    "cached_sample",
    "draw_images",
    "most_probable",
]
