"""Bits per dimension, calibration, and scorers for scikit-learn's model selection."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidInputError, InvalidParameterError, MissingPackageError
from .inputs import as_numpy
from .unwrapping import unwrap_with_images
from .validation import check_parameters, listed, shortened, whole

__all__ = ["bits_per_dim", "expected_calibration_error", "neg_bits_per_dim_scorer"]

BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


def bits_per_dim(log_likelihood: ArrayLike, n_dimensions: int) -> float:
    """Average bits per dimension: -log p / (C · H · W · ln 2).

    Parameters
    ----------
    log_likelihood : array-like of shape (N,)
        Nats per image.
    n_dimensions : int
        C · H · W.

    Returns
    -------
    float
        Lower is better; log2(L) is what equally likely levels cost.

    Raises
    ------
    InvalidParameterError
        If `n_dimensions` is no int of at least 1.
    """
    check_parameters("bits_per_dim", {"n_dimensions": n_dimensions}, {"n_dimensions": whole(1)})
    return float(-np.mean(np.asarray(log_likelihood)) / (n_dimensions * math.log(2)))


def expected_calibration_error(
    y_true: ArrayLike, y_prob: ArrayLike, n_bins: int = 15, *, labels: ArrayLike | None = None
) -> float:
    """How far the probability of the predicted class is from how often that class is right.

    Computed by torchmetrics: ``pip install "gencls[metrics]"``.

    Parameters
    ----------
    y_true : array-like of shape (N,)
        Classes.
    y_prob : array-like of shape (N, K)
        Probabilities, as of `predict_proba`; the largest one of a row is that of the predicted class. A frame
        whose columns are the classes may have them in any order.
    n_bins : int, default=15
        Bins of equal width into which images are sorted by that probability.
    labels : array-like of shape (K,), optional
        The classes of the columns, such as ``clf.classes_``; without it the sorted classes of `y_true`.

    Returns
    -------
    float
        From 0 to 1, lower is better: the mean, over images, of how far probability and accuracy are from each
        other in their bin.

    Raises
    ------
    InvalidParameterError
        If `n_bins` is no int of at least 1.
    InvalidInputError
        If the classes or the probabilities do not fit.
    MissingPackageError
        Without torchmetrics.

    References
    ----------
    M. P. Naeini, G. Cooper, M. Hauskrecht (2015), "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning".
    """
    if not whole(1).accepts(n_bins):
        raise InvalidParameterError(
            "The parameter 'n_bins' of expected_calibration_error must be an int of at least 1, got "
            f"{shortened(n_bins)}."
        )
    y_prob, labels = _by_column(y_prob, labels)
    probabilities = _check_probabilities(y_prob)
    codes = _columns_of(np.asarray(y_true), None if labels is None else np.asarray(labels), probabilities)
    try:
        from torchmetrics.functional.classification import multiclass_calibration_error
    except ImportError as error:
        raise MissingPackageError(
            "expected_calibration_error needs torchmetrics, which is not installed. Install it with: "
            'pip install "gencls[metrics]"'
        ) from error
    preds = torch.from_numpy(probabilities.clip(max=BELOW_ONE))  # 1 would have a bin of its own
    target = torch.from_numpy(codes)
    return float(multiclass_calibration_error(preds, target, probabilities.shape[1], n_bins))


def neg_bits_per_dim_scorer(estimator: Any, X: ArrayLike, y: ArrayLike | None = None) -> float:
    """Negative bits per dimension of p(x | y), or of p(x) without y: a scorer, larger is better.

    Parameters
    ----------
    estimator : GenerativeBayesClassifier, or a pipeline or search that ends in one
        Fitted. The bits are those of the images that the steps before the classifier give; of a search, the
        best estimator counts.
    X : array-like
        Images.
    y : array-like of shape (N,), optional
        Their classes.

    Returns
    -------
    float

    Examples
    --------
    ``GridSearchCV(clf, grid, scoring=neg_bits_per_dim_scorer)``
    """
    clf, images = unwrap_with_images(estimator, X, "bits_per_dim")
    return -float(clf.bits_per_dim(images, y))


def _by_column(y_prob: Any, labels: Any) -> tuple[Any, Any]:
    """Probabilities and the classes of their columns, which a frame of pandas may name."""
    columns = getattr(y_prob, "columns", None)
    if columns is None or type(columns).__name__ == "RangeIndex":
        return y_prob, labels
    if labels is None:
        return y_prob, np.asarray(columns)
    if set(labels) != set(columns):
        raise InvalidInputError(
            f"y_prob must have the columns of labels ({listed(np.asarray(labels))}), got "
            f"{listed(np.asarray(columns))}."
        )
    return y_prob[list(labels)], labels


def _check_probabilities(y_prob: ArrayLike) -> NDArray[np.float64]:
    """As float64, if each row is a probability distribution."""
    probabilities = as_numpy(y_prob, "y_prob")
    if probabilities.dtype.kind not in "biuf":
        raise InvalidInputError(f"y_prob must have rows of numbers, got {shortened(y_prob)}.")
    probabilities = probabilities.astype(np.float64)
    if probabilities.ndim != 2 or 0 in probabilities.shape:
        raise InvalidInputError(
            "y_prob must have a row for each image and a column for each class, as predict_proba gives them, "
            f"got the shape {probabilities.shape}."
        )
    sums = probabilities.sum(axis=1)
    if not ((probabilities >= 0).all() and np.allclose(sums, 1, rtol=0, atol=1e-4)):
        raise InvalidInputError(
            "y_prob must have rows of numbers from 0 that sum to 1, got numbers from "
            f"{probabilities.min():g} to {probabilities.max():g} and sums from {sums.min():g} to "
            f"{sums.max():g}. Use predict_proba, not predict_log_proba."
        )
    return probabilities


def _columns_of(
    y_true: NDArray[Any], labels: NDArray[Any] | None, probabilities: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The column of each image's class."""
    n_images, n_classes = probabilities.shape
    if y_true.shape != (n_images,):
        raise InvalidInputError(
            f"y_true must have the shape ({n_images},), a class for each row of y_prob, got {y_true.shape}."
        )
    classes = np.unique(y_true) if labels is None else labels
    if classes.shape != (n_classes,):
        raise InvalidInputError(
            f"y_prob has {n_classes} columns, but {'y_true' if labels is None else 'labels'} has "
            f"{classes.size} classes. Give the classes of the columns as labels, such as clf.classes_."
        )
    matches = y_true[:, None] == classes
    if not matches.any(axis=1).all():
        unknown = listed(np.setdiff1d(y_true, classes))
        raise InvalidInputError(f"y_true must have only classes of labels, got also {unknown}.")
    return matches.argmax(axis=1)
