"""Bayes' theorem: priors, posteriors and their calibration, in NumPy."""

from .calibration import fit_temperature
from .posterior import joint_log_prob, log_marginal, log_posterior
from .priors import class_prior

__all__ = [
    "class_prior",
    "fit_temperature",
    "joint_log_prob",
    "log_marginal",
    "log_posterior",
]
