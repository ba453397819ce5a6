"""The classifier inside pipelines, searches and the like, as tools get them from scikit-learn."""

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
    """The fitted classifier: of a pipeline its last step, of a search its best estimator, and so on.

    Parameters
    ----------
    estimator : object
    needed : str
        The method or attribute that the classifier must have.

    Returns
    -------
    object

    Raises
    ------
    NotFittedError
        If it was not fitted.
    InvalidInputError
        If there is no such classifier in it.
    """
    return _taken_apart(estimator, needed)[0]


def unwrap_with_images(estimator: Any, X: Any, needed: str) -> tuple[Any, Any]:
    """As `unwrap`, with the images that the classifier gets where the pipelines get `X`."""
    clf, steps = _taken_apart(estimator, needed)
    for step in steps:
        X = step.transform(X)
    return clf, X


def _taken_apart(estimator: Any, needed: str) -> tuple[Any, list[Pipeline]]:
    """The classifier, and the steps before it."""
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
            advice = f" It holds several classifiers: give one of its {several}."
        raise InvalidInputError(
            "A fitted GenerativeBayesClassifier is needed, or a pipeline or search that ends in one, got "
            f"{shortened(estimator)}.{advice}"
        )
    return found, steps


def _inner(meta: Any) -> Any:
    """The fitted estimator in a meta-estimator; None if there is none."""
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
    """The attribute that has the fitted classifiers of an ensemble; None if it is no ensemble."""
    names = ("estimators_", "calibrated_classifiers_")
    return next((name for name in names if not isinstance(meta, type) and hasattr(meta, name)), None)
