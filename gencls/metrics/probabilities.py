"""Bits per dimension, calibration error, and a scorer for model selection in scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .._common.unwrapping import unwrap_with_images
from .._common.validation import check_parameters, listed, shortened, whole
from ..errors import InvalidInputError, InvalidParameterError, MissingPackageError
from ..images.layout import as_numpy, check_same_order

__all__ = ["bits_per_dim", "expected_calibration_error", "neg_bits_per_dim_scorer"]

BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


def bits_per_dim(log_likelihood: ArrayLike, n_dimensions: int) -> float:
    """Return the mean bits per dimension, -log p / (C · H · W · ln 2).

    Parameters
    ----------
    log_likelihood : array-like of shape (N,)
        Log-likelihood of each image, nats.
    n_dimensions : int
        C · H · W.

    Returns
    -------
    float
        Lower is better. L equally likely levels have log2(L) bits.

    Raises
    ------
    InvalidParameterError
        If `n_dimensions` is not an int of at least 1.
    InvalidInputError
        If `log_likelihood` is empty or not numeric.
    """
    check_parameters("bits_per_dim", {"n_dimensions": n_dimensions}, {"n_dimensions": whole(1)})
    scores = as_numpy(log_likelihood, "log_likelihood")
    if scores.dtype.kind not in "biuf" or not scores.size:
        raise InvalidInputError(
            f"log_likelihood must have a number for each image, got {shortened(log_likelihood)}."
        )
    return float(-np.mean(scores) / (n_dimensions * math.log(2)))


def expected_calibration_error(
    y_true: ArrayLike, y_prob: ArrayLike, n_bins: int = 15, *, labels: ArrayLike | None = None
) -> float:
    """Return the expected calibration error: the gap between confidence and accuracy.

    The error is computed by torchmetrics: ``pip install "gencls[metrics]"``.

    Parameters
    ----------
    y_true : array-like of shape (N,)
        True classes.
    y_prob : array-like of shape (N, K)
        Probabilities as returned by `predict_proba`; the largest probability of a row is the confidence. The
        columns of a DataFrame are matched to the classes by name.
    n_bins : int, default=15
        Number of bins of equal width into which images are grouped by confidence.
    labels : array-like of shape (K,), optional
        The classes of the columns, such as ``clf.classes_``. By default, the sorted classes of `y_true`.

    Returns
    -------
    float
        From 0 to 1, lower is better: the absolute difference of mean confidence and accuracy in each bin,
        averaged over the bins with the numbers of images as weights.

    Raises
    ------
    InvalidParameterError
        If `n_bins` is not an int of at least 1.
    InvalidInputError
        If the classes or the probabilities are invalid, or do not match.
    MissingPackageError
        If torchmetrics is not installed.

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
    check_same_order(y_true, y_prob, "y_true and y_prob")
    known = None if labels is None else _as_classes(labels, "labels")
    y_prob, known = _by_column(y_prob, known)
    probabilities = _check_probabilities(y_prob)
    codes = _columns_of(_as_classes(y_true, "y_true"), known, probabilities)
    try:
        from torchmetrics.functional.classification import multiclass_calibration_error
    except ImportError as error:
        raise MissingPackageError(
            "expected_calibration_error needs torchmetrics, which is not installed. Install it with: "
            'pip install "gencls[metrics]"'
        ) from error
    preds = torch.from_numpy(probabilities.clip(max=BELOW_ONE))  # torchmetrics has a separate bin for 1
    target = torch.from_numpy(codes)
    return float(multiclass_calibration_error(preds, target, probabilities.shape[1], n_bins))


def neg_bits_per_dim_scorer(estimator: Any, X: ArrayLike, y: ArrayLike | None = None) -> float:
    """Score an estimator by the negative bits per dimension of p(x | y), or of p(x) without y.

    Parameters
    ----------
    estimator : GenerativeBayesClassifier, or a pipeline or search that ends in one
        A fitted estimator. In a pipeline, the bits refer to the images as transformed by the preceding steps;
        a search is represented by its best estimator.
    X : array-like
        Images.
    y : array-like of shape (N,), optional
        Classes.

    Returns
    -------
    float
        Larger is better.

    Examples
    --------
    ``GridSearchCV(clf, grid, scoring=neg_bits_per_dim_scorer)``
    """
    clf, images = unwrap_with_images(estimator, X, "bits_per_dim")
    return -float(clf.bits_per_dim(images, y))


def _as_classes(classes: Any, name: str) -> NDArray[Any]:
    """Return an array of classes of one sortable type."""
    found = as_numpy(classes, name)
    try:
        np.unique(found)
    except TypeError as error:
        raise InvalidInputError(
            f"{name} must have classes of one type, numbers or strings, without missing values, got "
            f"{shortened(classes)}."
        ) from error
    if found.ndim == 0:
        raise InvalidInputError(f"{name} must be an array or list of classes, got {shortened(classes)}.")
    return found


def _by_column(y_prob: Any, labels: NDArray[Any] | None) -> tuple[Any, NDArray[Any] | None]:
    """Return probabilities and the classes of their columns, which a DataFrame may name."""
    columns = getattr(y_prob, "columns", None)
    if columns is None or type(columns).__name__ == "RangeIndex":
        return y_prob, labels
    if labels is None:
        return y_prob, np.asarray(columns)
    if set(labels) != set(columns):
        raise InvalidInputError(
            f"y_prob must have the columns of labels ({listed(labels)}), got {listed(np.asarray(columns))}."
        )
    return y_prob[list(labels)], labels


def _check_probabilities(y_prob: ArrayLike) -> NDArray[np.float64]:
    """Return float64 probabilities; raise unless each row is a probability distribution."""
    probabilities = as_numpy(y_prob, "y_prob")
    if probabilities.dtype.kind not in "biuf":
        raise InvalidInputError(f"y_prob must have rows of numbers, got {shortened(y_prob)}.")
    probabilities = probabilities.astype(np.float64)
    if probabilities.ndim != 2 or 0 in probabilities.shape:
        raise InvalidInputError(
            "y_prob must have a row for each image and a column for each class, as predict_proba returns "
            f"them, got the shape {probabilities.shape}."
        )
    sums = probabilities.sum(axis=1)
    if not ((probabilities >= 0).all() and np.allclose(sums, 1, rtol=0, atol=1e-4)):
        raise InvalidInputError(
            "y_prob must have rows of non-negative numbers that sum to 1, got numbers from "
            f"{probabilities.min():g} to {probabilities.max():g} and sums from {sums.min():g} to "
            f"{sums.max():g}. Use predict_proba, not predict_log_proba."
        )
    return probabilities


def _columns_of(
    y_true: NDArray[Any], labels: NDArray[Any] | None, probabilities: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the column of the true class of each image."""
    n_images, n_classes = probabilities.shape
    if y_true.shape != (n_images,):
        raise InvalidInputError(
            f"y_true must have the shape ({n_images},), a class for each row of y_prob, got {y_true.shape}."
        )
    classes = np.unique(y_true) if labels is None else labels
    if classes.shape != (n_classes,):
        raise InvalidInputError(
            f"y_prob has {n_classes} columns, but {'y_true' if labels is None else 'labels'} has "
            f"{classes.size} classes. Pass the classes of the columns as labels, such as clf.classes_."
        )
    matches = y_true[:, None] == classes
    if not matches.any(axis=1).all():
        unknown = listed(np.setdiff1d(y_true, classes))
        raise InvalidInputError(f"y_true must have only classes in labels, got also {unknown}.")
    return matches.argmax(axis=1)
