"""Figures of predictions on held-out images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from gencls import GenerativeBayesClassifier, bits_per_dim
from gencls.bayes import fit_temperature, log_posterior
from gencls.metrics import expected_calibration_error
from records import Row
from splits import Split

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def all_scores(joint: Floats, clf: GenerativeBayesClassifier, split: Split) -> Row:
    """All figures of a fitted classifier, from log p(x, c) of the held-out images."""
    labels = np.searchsorted(clf.classes_, split.y_val)
    return class_scores(joint, labels) | density_scores(joint, labels, clf) | {"n_held_out": len(labels)}


def class_scores(joint: Floats, labels: Labels) -> Row:
    """Accuracy, log-loss in nats and expected calibration error, before and after learning a temperature.

    Each half of the images is scored at the temperature that was learned on the other half.

    Parameters
    ----------
    joint : array of shape (N, K)
        Log p(x, c), or the logarithms of probabilities.
    labels : array of shape (N,)
        Columns of `joint`.
    """
    calibrated = np.empty_like(joint)
    for learn, judge in StratifiedKFold(2, shuffle=True, random_state=0).split(joint, labels):
        calibrated[judge] = log_posterior(joint[judge], fit_temperature(joint[learn], labels[learn]))
    plain = log_posterior(joint)
    return {
        "accuracy": float((joint.argmax(axis=1) == labels).mean()),
        "log_loss": mean_log_loss(plain, labels),
        "log_loss_calibrated": mean_log_loss(calibrated, labels),
        "ece": expected_calibration_error(labels, np.exp(plain)),
        "ece_calibrated": expected_calibration_error(labels, np.exp(calibrated)),
        "temperature": fit_temperature(joint, labels),
    }


def mean_log_loss(log_probabilities: Floats, labels: Labels) -> float:
    """Nats an image."""
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def density_scores(joint: Floats, labels: Labels, clf: GenerativeBayesClassifier) -> Row:
    """Bits per dimension of p(x | y)."""
    log_likelihood = joint[np.arange(len(labels)), labels] - np.log(clf.class_prior_[labels])
    return {"bits_per_dim": bits_per_dim(log_likelihood, math.prod(clf.codec_.tensor_shape_))}


def count(module: torch.nn.Module) -> int:
    """Number of learned parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def parameter_counts(clf: GenerativeBayesClassifier) -> Row:
    """Parameters of the model, and of its conditioner."""
    model: Any = clf.net_.averaged_model
    return {"n_parameters": count(model), "n_parameters_conditioner": count(model.conditioner)}
