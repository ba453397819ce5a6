"""The temperature that calibrates a posterior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from .._common.validation import as_float, real
from .posterior import log_posterior

__all__ = ["TEMPERATURE", "fit_temperature"]

TEMPERATURES = (1e-2, 1e4)  # the search interval of `fit_temperature`
TEMPERATURE = real("a number from 1e-100 to 1e100", lambda value: 1e-100 <= as_float(value) <= 1e100)


def fit_temperature(joint: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Return the temperature that minimises the log loss of `log_posterior`.

    The loss is convex in 1 / T, so its derivative has one root. Images whose true class has a prior of 0 are
    ignored: their loss is infinite at every temperature.

    Parameters
    ----------
    joint : ndarray of shape (N, K)
        log p(x, c) of held-out images, nats.
    codes : ndarray of shape (N,)
        True classes, from 0 to K - 1.

    Returns
    -------
    float
        From 0.01 to 10,000; 10,000 if equal probabilities for all classes have the smallest loss. If all
        images are classified correctly, the loss decreases without bound as T → 0 and the error rate cannot
        be estimated; the temperature is then 1, that is, Bayes' theorem.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), "On Calibration of Modern Neural Networks".
    """
    own = joint[np.arange(len(codes)), codes]
    possible = np.isfinite(own)
    leads = joint[possible] - own[possible, None]  # of each class over the true class, nats

    def slope(log_temperature: float) -> float:
        """Return the derivative of the summed loss by 1 / T: the expected lead under the posterior."""
        posterior = np.exp(log_posterior(leads, np.exp(log_temperature)))
        return float((posterior * np.where(posterior > 0, leads, 0)).sum())  # avoids 0 * -inf

    coldest, hottest = np.log(TEMPERATURES)
    if slope(coldest) <= 0:
        return 1.0
    if slope(hottest) >= 0:
        return TEMPERATURES[1]
    return float(np.exp(brentq(slope, coldest, hottest)))
