"""Bayes' theorem: priors, posteriors and their calibration, in NumPy."""

from .calibration import fit_temperature
from .evidence import evidence_against, evidence_for
from .posterior import joint_log_prob, log_marginal, log_posterior
from .prefixes import log_posterior_of_rows, mixture_table
from .priors import class_prior

__all__ = [
    "class_prior",
    "evidence_against",
    "evidence_for",
    "fit_temperature",
    "joint_log_prob",
    "log_marginal",
    "log_posterior",
    "log_posterior_of_rows",
    "mixture_table",
]
