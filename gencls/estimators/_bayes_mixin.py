"""The predict family: decisions from a table of joint log-probabilities."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._common.validation import listed
from ..bayes import fit_temperature, log_posterior
from ..errors import InvalidInputError
from ..images.layout import as_input_errors, check_same_order
from ..training.data import check_sample_weight
from ._labels import are_strings, check_labels, encode_labels

__all__ = ["BayesMixin"]

Floats = NDArray[np.float64]


class BayesMixin(ClassifierMixin):
    """A classifier by Bayes' theorem; it needs `_decision_table`, ``classes_`` and ``temperature_``."""

    classes_: NDArray[Any]
    temperature_: float

    @abstractmethod
    def _decision_table(self, X: ArrayLike) -> Floats:
        """Joint log-probabilities (N, K) in nats, from which classes are predicted."""
        raise NotImplementedError

    def predict_log_proba(self, X: ArrayLike) -> Floats:
        """Log p(class | image) by Bayes' theorem at `temperature_`, in nats.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.

        Returns
        -------
        ndarray of shape (N, K)
            Columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return log_posterior(self._decision_table(X), self.temperature_)

    def predict_proba(self, X: ArrayLike) -> Floats:
        """p(class | image) by Bayes' theorem at `temperature_`.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.

        Returns
        -------
        ndarray of shape (N, K)
            Columns in the order of `classes_`; rows sum to 1.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each image.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.

        Returns
        -------
        ndarray of shape (N,)
            Values of `classes_`.
        """
        check_is_fitted(self)
        return self.classes_[self._decision_table(X).argmax(axis=1)]

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy: the share of images whose class is predicted.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.
        y : array-like of shape (N,)
            Their classes.
        sample_weight : array-like of shape (N,), optional

        Returns
        -------
        float
        """
        check_same_order(X, y, "X and y")
        check_same_order(y, sample_weight, "y and sample_weight")
        predicted = self.predict(X)
        labels = check_labels(y, len(predicted))
        with as_input_errors():
            check_classification_targets(labels)
        if are_strings(labels) != are_strings(self.classes_):
            raise InvalidInputError(
                f"y must have classes like those that fit saw ({listed(self.classes_)}), got "
                f"{listed(np.unique(labels))}."
            )
        weights = check_sample_weight(sample_weight, len(labels))
        return float(np.average(labels == predicted, weights=weights))

    def calibrate(self, X: ArrayLike, y: ArrayLike) -> BayesMixin:
        """Learn the temperature that gives these images the smallest log-loss.

        Parameters
        ----------
        X : array-like
            A few hundred images that the model was not trained on, as in `predict`.
        y : array-like of shape (N,)
            Their classes.

        Returns
        -------
        object
            This estimator, with a new `temperature_`. Only `predict_proba` and `predict_log_proba` depend on
            it.

        References
        ----------
        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), "On Calibration of Modern Neural Networks".
        """
        check_is_fitted(self)
        check_same_order(X, y, "X and y")
        self.temperature_ = fit_temperature(*self._labelled_table(X, y))
        return self

    def _labelled_table(self, X: ArrayLike, y: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
        """`_decision_table` of images from which a temperature is learned, and positions of their classes."""
        table = self._decision_table(X)
        return table, encode_labels(y, self.classes_, len(table))
