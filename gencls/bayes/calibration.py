"""The temperature that calibrates a posterior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from .._common.validation import as_float, real
from .posterior import log_posterior

__all__ = ["TEMPERATURE", "fit_temperature"]

TEMPERATURES = (1e-2, 1e4)  # between these `fit_temperature` searches
TEMPERATURE = real("a number from 1e-100 to 1e100", lambda value: 1e-100 <= as_float(value) <= 1e100)


def fit_temperature(joint: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """The temperature at which `log_posterior` has the smallest log-loss.

    The loss is convex in 1 / T, so that its slope has one root. Images whose own class has a prior of 0 are
    left out: they cost infinitely much at every temperature.

    Parameters
    ----------
    joint : ndarray of shape (N, K)
        log p(x, c) of images that the model was not trained on, nats.
    codes : ndarray of shape (N,)
        Their classes, from 0 to K - 1.

    Returns
    -------
    float
        From 0.01 to 10,000, the latter where the best is to call all classes equally probable. If the classes
        of all images are right, the loss falls for ever as T → 0; as nothing shows then how often the model
        errs, Bayes' theorem is kept: 1.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), "On Calibration of Modern Neural Networks".
    """
    own = joint[np.arange(len(codes)), codes]
    possible = np.isfinite(own)
    leads = joint[possible] - own[possible, None]  # of every class over the image's own, nats

    def slope(log_temperature: float) -> float:
        """Derivative of the summed loss by 1 / T: the mean lead under the posterior."""
        posterior = np.exp(log_posterior(leads, np.exp(log_temperature)))
        return float((posterior * np.where(posterior > 0, leads, 0)).sum())  # 0 times -inf is no number

    coldest, hottest = np.log(TEMPERATURES)
    if slope(coldest) <= 0:
        return 1.0
    if slope(hottest) >= 0:
        return TEMPERATURES[1]
    return float(np.exp(brentq(slope, coldest, hottest)))
