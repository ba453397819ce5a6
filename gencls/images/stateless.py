"""Base class of stateless image transformers."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator, TransformerMixin

from .._common.validation import shortened
from ..errors import InvalidParameterError

__all__ = ["StatelessTransformer"]


class StatelessTransformer(TransformerMixin, BaseEstimator):
    """Base class of stateless transformers, which can be used without `fit`.

    Subclasses implement `transform`, and `_check`, which raises an InvalidParameterError.
    """

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the parameters.

        Parameters
        ----------
        X, y : ignored
            Not used, present for API consistency.

        Returns
        -------
        self
            The transformer itself.

        Raises
        ------
        InvalidParameterError
            If parameters are invalid; all of them are reported together.
        """
        self._check()
        return self

    def set_output(self, *, transform: str | None = None) -> Self:
        """Accept only the default output: images are arrays, not tables.

        Parameters
        ----------
        transform : {"default"} or None, default=None
            Both values have no effect; present for API consistency.

        Returns
        -------
        self
            The transformer itself.

        Raises
        ------
        InvalidParameterError
            If `transform` is a type of table, such as "pandas" or "polars".
        """
        if transform not in (None, "default"):
            raise InvalidParameterError(
                f"'transform' in set_output of {type(self).__name__} must be \"default\" or None, got "
                f"{shortened(transform)}. Images are arrays of 3 or 4 axes, which do not fit into tables: "
                "call set_output only on steps that return tables."
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
