"""What is measured of a fitted classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gencls import GenerativeBayesClassifier, bits_per_dim
from gencls.posterior import log_posterior


def scores(joint: Any, labels: Any, clf: GenerativeBayesClassifier) -> dict[str, float]:
    """Accuracy, log-loss in nats, and bits per dimension of p(x | y), from log p(x, c) of shape (N, K)."""
    rows = np.arange(len(labels))
    log_likelihood = joint[rows, labels] - np.log(clf.class_prior_[labels])
    return {
        "accuracy": float((joint.argmax(1) == labels).mean()),
        "log_loss": float(-log_posterior(joint)[rows, labels].mean()),
        "bits_per_dim": bits_per_dim(log_likelihood, clf.n_features_in_),
    }


def count(module: torch.nn.Module) -> int:
    """Numbers that are learned."""
    return sum(parameter.numel() for parameter in module.parameters())
