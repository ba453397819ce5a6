"""Metrics of probabilities and of generated images."""

from .probabilities import bits_per_dim, expected_calibration_error, neg_bits_per_dim_scorer
from .quality import frechet_inception_distance, kernel_inception_distance

__all__ = [
    "bits_per_dim",
    "expected_calibration_error",
    "frechet_inception_distance",
    "kernel_inception_distance",
    "neg_bits_per_dim_scorer",
]
