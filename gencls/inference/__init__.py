"""What a trained density is asked: scores of all classes, the most probable class, samples."""

from .early_exit import most_probable
from .sampling import ancestral_sample, cached_sample, draw_images
from .scoring import class_log_likelihoods

__all__ = [
    "ancestral_sample",
    "cached_sample",
    "class_log_likelihoods",
    "draw_images",
    "most_probable",
]
