"""Several classifiers that decide together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from .._common.validation import shortened
from ..errors import InvalidParameterError
from ._bayes_mixin import BayesMixin

__all__ = ["MeanJointClassifier"]

Floats = NDArray[np.float64]


class MeanJointClassifier(BayesMixin, BaseEstimator):
    """Average the joint log-probabilities of several classifiers.

    The members may differ in seeds, resolutions, conditioners or views. Members that are fitted already are
    combined as they are by `from_fitted`.

    Parameters
    ----------
    members : sequence of estimators
        Each with `predict_joint_log_proba`, such as `GenerativeBayesClassifier`, or a pipeline that ends in
        one.

    Attributes
    ----------
    members_ : list of estimators
        Fitted.
    classes_ : ndarray of shape (K,)
    temperature_ : float
        1 until `calibrate`. No predicted class depends on it.

    Notes
    -----
    The mean of log-probabilities of an image belongs to the normalised product of the densities, so that
    there is no `score_samples`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from gencls import GenerativeBayesClassifier, MeanJointClassifier
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> seeds = [GenerativeBayesClassifier(n_filters=8, max_epochs=1, random_state=seed) for seed in (0, 1)]
    >>> MeanJointClassifier(seeds).fit(X, y).predict_joint_log_proba(X[:5]).shape
    (5, 3)
    """

    def __init__(self, members: Sequence[Any]):
        self.members = members

    def fit(self, X: ArrayLike, y: ArrayLike, **fit_params: Any) -> MeanJointClassifier:
        """Fit a clone of each member.

        Parameters
        ----------
        X, y : array-like
            As the members take them.
        **fit_params : object
            Of the members, such as ``sample_weight``.

        Returns
        -------
        MeanJointClassifier
            This estimator.
        """
        return self._combine([clone(member).fit(X, y, **fit_params) for member in self.members])

    @classmethod
    def from_fitted(cls, members: Sequence[Any]) -> MeanJointClassifier:
        """Combine members that are fitted already.

        Parameters
        ----------
        members : sequence of estimators
            Fitted, with the same classes.

        Returns
        -------
        MeanJointClassifier
            Fitted.
        """
        return cls(members)._combine(list(members))

    def predict_joint_log_proba(self, X: ArrayLike) -> Floats:
        """The mean over the members of log p(image, class), in nats.

        Parameters
        ----------
        X : array-like

        Returns
        -------
        ndarray of shape (N, K)
            Columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return np.mean([_table(member, X) for member in self.members_], axis=0)

    def _decision_table(self, X: ArrayLike) -> Floats:
        return self.predict_joint_log_proba(X)

    def _combine(self, members: list[Any]) -> MeanJointClassifier:
        if not members:
            raise InvalidParameterError(
                "The parameter 'members' of MeanJointClassifier must be a non-empty list of estimators, got "
                f"{shortened(self.members)}."
            )
        for member in members:
            check_is_fitted(member)
        first = members[0].classes_
        if different := [each for each in members if not np.array_equal(each.classes_, first)]:
            raise InvalidParameterError(
                "The parameter 'members' of MeanJointClassifier must have the same classes, got "
                f"{shortened(first.tolist())} and {shortened(different[0].classes_.tolist())}."
            )
        self.members_, self.classes_, self.temperature_ = members, first, 1.0
        self.n_features_in_ = getattr(members[0], "n_features_in_", None)
        return self


def _table(member: Any, X: ArrayLike) -> Floats:
    """The joint log-probabilities by which a member decides; those of its views, if it has some."""
    if isinstance(member, BayesMixin):
        return member._decision_table(X)
    if hasattr(member, "predict_joint_log_proba"):
        return np.asarray(member.predict_joint_log_proba(X))
    steps = member[:-1]  # of a pipeline
    return _table(member[-1], steps.transform(X) if len(steps) else X)
