"""What is measured of a fitted classifier."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold

from gencls import GenerativeBayesClassifier, bits_per_dim
from gencls.bayes import fit_temperature, log_posterior
from gencls.metrics import expected_calibration_error


def class_scores(joint: Any, labels: Any) -> dict[str, float]:
    """Accuracy, and log-loss in nats, from log p(x, c) of shape (N, K)."""
    return {
        "accuracy": float((joint.argmax(1) == labels).mean()),
        "log_loss": float(-log_posterior(joint)[np.arange(len(labels)), labels].mean()),
    }


def density_scores(joint: Any, labels: Any, clf: GenerativeBayesClassifier) -> dict[str, float]:
    """Bits per dimension of p(x | y), from the same."""
    log_likelihood = joint[np.arange(len(labels)), labels] - np.log(clf.class_prior_[labels])
    return {"bits_per_dim": bits_per_dim(log_likelihood, math.prod(clf.image_shape_))}


def scores(joint: Any, labels: Any, clf: GenerativeBayesClassifier) -> dict[str, float]:
    """Both."""
    return class_scores(joint, labels) | density_scores(joint, labels, clf)


def calibrated_scores(joint: Any, labels: Any) -> dict[str, float]:
    """Log-loss in nats and expected calibration error, before and after learning a temperature.

    Each half of the images is judged at the temperature that was learned on the other.
    """
    after = np.empty_like(joint)
    for learn, judge in StratifiedKFold(2, shuffle=True, random_state=0).split(joint, labels):
        after[judge] = log_posterior(joint[judge], fit_temperature(joint[learn], labels[learn]))
    return {
        "ece": expected_calibration_error(labels, np.exp(log_posterior(joint))),
        "ece_calibrated": expected_calibration_error(labels, np.exp(after)),
        "log_loss_calibrated": float(-after[np.arange(len(labels)), labels].mean()),
        "temperature": fit_temperature(joint, labels),
    }


def count(module: torch.nn.Module) -> int:
    """Numbers that are learned."""
    return sum(parameter.numel() for parameter in module.parameters())
