"""The density family: likelihoods and samples of the trained model."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._common.validation import check_parameters, whole
from ..bayes import log_marginal
from ..inference.sampling import draw_images
from ..metrics import bits_per_dim
from ._fitting import FittingMixin
from ._labels import draw_labels, encode_labels_for
from ._parameters import RULES

__all__ = ["DensityMixin"]

Floats = NDArray[np.float64]


class DensityMixin(FittingMixin):
    """The methods of `GenerativeBayesClassifier` that return densities or draw images."""

    def predict_joint_log_proba(self, X: ArrayLike) -> Floats:
        """Log p(image, class) for every class, in nats.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.

        Returns
        -------
        ndarray of shape (N, K)
            Columns in the order of `classes_`. `views` are ignored.
        """
        check_is_fitted(self)
        return self._scorer.joint(self._encode_images(X))

    def score_samples(self, X: ArrayLike) -> Floats:
        """Log p(image), marginalised over the classes, in nats.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.

        Returns
        -------
        ndarray of shape (N,)
        """
        return log_marginal(self.predict_joint_log_proba(X))

    def log_likelihood(self, X: ArrayLike, y: ArrayLike) -> Floats:
        """Log p(image | its class), in nats.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.
        y : array-like of shape (N,)
            Classes that `fit` saw.

        Returns
        -------
        ndarray of shape (N,)
        """
        levels, codes = self._encode_labelled(X, y)
        return self._scorer.log_likelihood(levels)[np.arange(len(codes)), codes]

    def bits_per_dim(self, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """Average bits per dimension of p(image | its class), or of p(image) without y; lower is better.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.
        y : array-like of shape (N,), optional

        Returns
        -------
        float
        """
        scores = self.score_samples(X) if y is None else self.log_likelihood(X, y)
        return bits_per_dim(scores, prod(self.codec_.tensor_shape_))

    def sample(
        self,
        n_samples: int = 1,
        y: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Draw images.

        Parameters
        ----------
        n_samples : int, default=1
            Ignored if y is an array.
        y : class or array-like of classes, optional
            The class of all images, or of each; by default classes are drawn from `class_prior_`.
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        X : ndarray
            Images in the layout, dtype and range of the training images.
        y : ndarray of shape (n_samples,)
            Their classes.

        Raises
        ------
        InvalidParameterError, InvalidInputError
            If `n_samples` is not an int of at least 1, or `fit` did not see a class.
        """
        check_is_fitted(self)
        check_parameters("sample", {"random_state": random_state}, {"random_state": RULES["random_state"]})
        # Two streams, so that the first images do not depend on how many are drawn.
        for_labels, for_noise = _split_stream(random_state)
        codes = draw_labels(n_samples, y, self.classes_, self._prior, for_labels)
        return self._draw(codes, for_noise)

    def complete(
        self,
        X: ArrayLike,
        n_rows: int,
        y: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Keep the upper rows of images, and draw the remaining rows given these.

        Parameters
        ----------
        X : array-like
            Images, as in `predict`; pixels below the first `n_rows` rows are ignored.
        n_rows : int
            Rows to keep, from 0 to H.
        y : class or array-like of classes, optional
            The class of all images, or of each; by default the most probable one given the kept rows.
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        X : ndarray
            Images in the layout, dtype and range of the training images.
        y : ndarray of shape (N,)
            Their classes.

        Raises
        ------
        InvalidParameterError, InvalidInputError
            If `n_rows` is not an int from 0 to H, or images or classes do not fit.
        """
        check_is_fitted(self)
        rules = {"n_rows": whole(0, self.codec_.tensor_shape_[1]), "random_state": RULES["random_state"]}
        check_parameters("complete", {"n_rows": n_rows, "random_state": random_state}, rules)
        levels = self._encode_images(X)
        if y is None:
            codes = self._scorer.joint(levels, n_rows).argmax(axis=1)
        else:
            codes = encode_labels_for(len(levels), y, self.classes_)
        return self._draw(codes, check_random_state(random_state), known=levels[:, :, :n_rows])

    def _draw(
        self, codes: NDArray[np.int64], rng: np.random.RandomState, known: torch.Tensor | None = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Draw an image of each class, and its label."""
        drawn = draw_images(
            self.net_.averaged_model,
            torch.from_numpy(codes),
            rng,
            known=known,
            execution=self._execution,
            verbose=self.verbose,
        )
        return self.codec_.decode(drawn.cpu().numpy()), self.classes_[codes]


def _split_stream(random_state: Any) -> list[np.random.RandomState]:
    seeds = check_random_state(random_state).randint(2**31 - 1, size=2)
    return [np.random.RandomState(seed) for seed in seeds]
