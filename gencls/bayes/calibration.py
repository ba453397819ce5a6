"""The temperature that calibrates a posterior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import logsumexp

from .._common.validation import as_float, real
from .posterior import log_posterior

__all__ = ["TEMPERATURE", "fit_temperature"]

TEMPERATURES = (1e-2, 1e4)  # the search interval of `fit_temperature`
TEMPERATURE = real("a number from 1e-100 to 1e100", lambda value: 1e-100 <= as_float(value) <= 1e100)


def fit_temperature(
    joint: NDArray[np.float64], codes: NDArray[np.int64], *, expected: float | None = None
) -> float:
    """Return the temperature that minimises the log loss of `log_posterior`.

    The loss is convex in 1 / T, so its derivative has one root. Images whose true class has a prior of 0 are
    ignored: their loss is infinite at every temperature.

    With an expected temperature, the result is the most probable temperature, where log T is normally
    distributed around its logarithm, with a standard deviation of 1. This matters for few images, and for
    images that are all classified correctly.

    Parameters
    ----------
    joint : ndarray of shape (N, K)
        log p(x, c) of held-out images, nats.
    codes : ndarray of shape (N,)
        True classes, from 0 to K - 1.
    expected : float, optional
        The temperature that is expected before any image is seen, above 0.

    Returns
    -------
    float
        From 0.01 to 10,000; 10,000 if equal probabilities for all classes have the smallest loss. If all
        images are classified correctly, the loss decreases without bound as T → 0 and the error rate cannot
        be estimated; without an expected temperature, it is then 1, that is, Bayes' theorem.

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

    def cost(log_temperature: float, centre: float) -> float:
        """Return the summed loss, less the logarithm of the density of the temperature."""
        losses = logsumexp(leads / np.exp(log_temperature), axis=1)
        return float(losses.sum() + (log_temperature - centre) ** 2 / 2)

    coldest, hottest = np.log(TEMPERATURES)
    if expected is not None:
        interval, centre = (coldest, hottest), np.log(expected)
        return float(np.exp(minimize_scalar(cost, bounds=interval, args=(centre,), method="bounded").x))
    if slope(coldest) <= 0:
        return 1.0
    if slope(hottest) >= 0:
        return TEMPERATURES[1]
    return float(np.exp(brentq(slope, coldest, hottest)))
