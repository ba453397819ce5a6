"""Find the classifier inside pipelines, searches and other meta-estimators of scikit-learn."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..errors import InvalidInputError
from .validation import shortened

__all__ = ["unwrap", "unwrap_with_images"]


def unwrap(estimator: Any, needed: str) -> Any:
    """Return the fitted classifier: the last step of a pipeline, the best estimator of a search.

    Parameters
    ----------
    estimator : object
        A classifier or a meta-estimator that contains one.
    needed : str
        The method or attribute that the classifier must have.

    Returns
    -------
    object

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    InvalidInputError
        If the estimator does not contain such a classifier.
    """
    return _split(estimator, needed)[0]


def unwrap_with_images(estimator: Any, X: Any, needed: str) -> tuple[Any, Any]:
    """Return the fitted classifier, and X as transformed by the preceding steps; see `unwrap`."""
    clf, steps = _split(estimator, needed)
    for step in steps:
        X = step.transform(X)
    return clf, X


def _split(estimator: Any, needed: str) -> tuple[Any, list[Pipeline]]:
    """Return the classifier and the preceding steps."""
    steps, found = [], estimator
    while not hasattr(found, needed) and (inner := _inner(found)) is not None:
        if isinstance(found, Pipeline) and len(found) > 1:
            steps.append(found[:-1])
        found = inner
    if isinstance(found, BaseEstimator):
        check_is_fitted(found)
    if not hasattr(found, needed) or isinstance(found, type):
        advice = " A search must have refit=True." if hasattr(found, "cv_results_") else ""
        if several := _several(found):
            advice = f" It contains several classifiers: pass one of its {several}."
        raise InvalidInputError(
            "The estimator must be a fitted GenerativeBayesClassifier, or a pipeline or search that ends in "
            f"one, got {shortened(estimator)}.{advice}"
        )
    return found, steps


def _inner(meta: Any) -> Any:
    """Return the fitted estimator of a meta-estimator, or None."""
    if isinstance(meta, Pipeline):
        return meta[-1] if len(meta) else None
    if isinstance(meta, FrozenEstimator):
        return meta.estimator
    if len(getattr(meta, "calibrated_classifiers_", ())) == 1:
        return meta.calibrated_classifiers_[0].estimator
    if _several(meta):
        return None
    return getattr(meta, "best_estimator_", getattr(meta, "estimator_", None))


def _several(meta: Any) -> str | None:
    """Return the attribute that holds the fitted classifiers of an ensemble, or None."""
    names = ("estimators_", "calibrated_classifiers_")
    return next((name for name in names if not isinstance(meta, type) and hasattr(meta, name)), None)
