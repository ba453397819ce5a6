"""The evidence family: what single pixels and upper rows say about the class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..bayes import evidence_against, evidence_for, log_posterior_of_rows
from ..errors import InvalidInputError
from ._fitting import FittingMixin
from ._labels import encode_labels_for

__all__ = ["EvidenceMixin"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

CHUNK = 256  # images whose tables are in memory at once


class EvidenceMixin(FittingMixin):
    """The methods of `GenerativeBayesClassifier` on the table log p(pixel | previous pixels, class).

    All are of the image itself: `views` are ignored.
    """

    def pixel_log_likelihood(self, X: ArrayLike, y: ArrayLike | None = None) -> Floats:
        """Log p(pixel | previous pixels, class), in nats.

        The previous pixels are those in the rows above, and to the left in the same row. A pixel has all of
        its channels. After training with `Flip` the density is a mixture: the table of a row sums to its
        log-probability given the rows above, which its pixels share.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.
        y : class or array-like of classes, optional
            The class of all images, or of each.

        Returns
        -------
        ndarray of shape (N, K, H, W) or, with y, (N, H, W)
            H and W are those of the reduced images. The sum over pixels is `log_likelihood`. It takes
            8 · N · K · H · W bytes.

        Raises
        ------
        InvalidInputError
            If `fit` did not see a class, or the number of classes differs from that of images.
        """
        levels, codes = self._encode_with(X, y)
        return self._scorer.pixel_log_likelihood(levels, codes)

    def evidence(self, X: ArrayLike, y: ArrayLike | None = None, versus: ArrayLike | None = None) -> Floats:
        r"""The evidence of each pixel for a class, in nats, by sequential Bayes.

        A pixel has the evidence by which it changes the log-probability of the class, given the previous
        pixels. The sum over pixels is *exactly* the change from the prior to the posterior at `temperature_`:
        :math:`\log p(y \mid x) - \log p(y)`, or the change of the log-odds with `versus`.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.
        y : class or array-like of classes, optional
            The class of all images, or of each; by default the most probable class.
        versus : class or array-like of classes, optional
            A different class, or one for each image; by default, all classes.

        Returns
        -------
        ndarray of shape (N, H, W)
            Positive values support `y`. H and W are those of the reduced images.

        Raises
        ------
        InvalidInputError
            If `fit` did not see a class, a class is compared with itself, or has a prior of 0.
        """
        levels, codes = self._encode_with(X, y)
        others = None if versus is None else self._encode_versus(len(levels), versus)
        self._check_pairs(codes, others)
        found = []
        for start in range(0, len(levels), CHUNK):
            part = slice(start, start + CHUNK)
            pair = (each if each is None else each[part] for each in (codes, others))
            found.append(self._evidence(levels[part], *pair))
        return np.concatenate(found)

    def staged_predict_proba(self, X: ArrayLike) -> Iterator[Floats]:
        """p(class | upper rows) after each row, at `temperature_`.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.

        Yields
        ------
        ndarray of shape (N, K)
            Columns in the order of `classes_`. The probabilities are exact for the rows from the top to each
            row, and all of them need one pass of the network. The last ones are those of `predict_proba`
            without `views`.
        """
        levels, _ = self._encode_with(X, None)
        scorer = self._scorer
        rows = [scorer.pixel_log_likelihood(part).sum(axis=-1) for part in levels.split(CHUNK)]
        posterior = log_posterior_of_rows(np.concatenate(rows), self._prior, self.temperature_)
        return iter(np.exp(posterior[1:]))

    def _encode_with(self, X: ArrayLike, y: ArrayLike | None) -> tuple[Tensor, Codes | None]:
        """Levels, and positions of the classes if they are given."""
        check_is_fitted(self)
        levels = self._encode_images(X)
        return levels, None if y is None else encode_labels_for(len(levels), y, self.classes_)

    def _encode_versus(self, n_images: int, versus: ArrayLike) -> Codes:
        """Positions of the classes that are compared with."""
        try:
            return encode_labels_for(n_images, versus, self.classes_)
        except InvalidInputError as mistake:
            raise InvalidInputError(f"versus does not fit: {mistake}") from mistake

    def _check_pairs(self, codes: Codes | None, others: Codes | None) -> None:
        """Raise if a class has no probability, or is compared with itself."""
        for given in (codes, others):
            if given is not None and not self._prior[given].all():
                missing = self.classes_.tolist()[given[self._prior[given] == 0][0]]
                raise InvalidInputError(
                    f"Evidence is for classes of a prior above 0, but {missing!r} has the prior 0. Choose a "
                    "different class, or set priors."
                )
        if codes is not None and others is not None and (codes == others).any():
            same = self.classes_.tolist()[codes[codes == others][0]]
            raise InvalidInputError(
                f"versus must be a class different from y for each image, got {same!r} for both."
            )

    def _evidence(self, levels: Tensor, codes: Codes | None, others: Codes | None) -> Floats:
        """The evidence of a few images; by default for the most probable class, against all."""
        table, prior = self._scorer.pixel_log_likelihood(levels), self._prior
        if codes is None:
            with np.errstate(divide="ignore"):  # a prior of 0 is log-probability -inf
                joint = table.sum(axis=(-2, -1)) + np.log(prior)
            if others is not None:
                joint[np.arange(len(joint)), others] = -np.inf
            codes = joint.argmax(axis=1)
        if others is None:
            return evidence_for(table, prior, codes, self.temperature_)
        return evidence_against(table, codes, others, self.temperature_)
