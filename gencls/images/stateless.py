"""What transformers of images have in common that learn nothing."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator, TransformerMixin

from .._common.validation import shortened
from ..errors import InvalidParameterError

__all__ = ["StatelessTransformer"]


class StatelessTransformer(TransformerMixin, BaseEstimator):
    """A transformer that learns nothing: `transform` may be called without `fit`, which checks parameters.

    A subclass has `transform`, and `_check`, which raises an InvalidParameterError.
    """

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the parameters; X and y are not looked at.

        Parameters
        ----------
        X, y : ignored
            They are here for the sake of pipelines.

        Returns
        -------
        self
            The transformer itself.

        Raises
        ------
        InvalidParameterError
            A parameter is wrong; all that are wrong are reported.
        """
        self._check()
        return self

    def set_output(self, *, transform: str | None = None) -> Self:
        """Take the default: images are arrays, not tables.

        Parameters
        ----------
        transform : {"default"} or None, default=None
            Both leave everything as it is. It is here for the sake of pipelines.

        Returns
        -------
        self
            The transformer itself.

        Raises
        ------
        InvalidParameterError
            It is a kind of table, such as "pandas" or "polars".
        """
        if transform not in (None, "default"):
            raise InvalidParameterError(
                f"'transform' in set_output of {type(self).__name__} must be \"default\" or None, got "
                f"{shortened(transform)}. Images are arrays of 3 or 4 axes, which tables cannot hold: call "
                "set_output of those steps whose output is a table."
            )
        return self

    def _check(self) -> Any:
        raise NotImplementedError

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags
