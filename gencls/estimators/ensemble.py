"""Ensembles of classifiers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from .._common.validation import shortened
from ..errors import InvalidParameterError
from ..model_files.container import check_path
from ..model_files.faults import file_at_fault
from ..model_files.manifest import read_manifest, write_manifest
from ._bayes_mixin import BayesMixin
from .classifier import GenerativeBayesClassifier

__all__ = ["MeanJointClassifier"]

Floats = NDArray[np.float64]


class MeanJointClassifier(BayesMixin, BaseEstimator):
    """Average the joint log-probabilities of several classifiers.

    The members may differ in seeds, resolutions, conditioners or views. `from_fitted` combines members that
    are already fitted.

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
    The mean of the log-probabilities of an image is the logarithm of an unnormalised density, so that there
    is no method `score_samples`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from gencls import GenerativeBayesClassifier, MeanJointClassifier
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> seeds = [GenerativeBayesClassifier(n_filters=8, max_epochs=1, random_state=seed) for seed in (0, 1)]
    >>> MeanJointClassifier(seeds).fit(X[:90], y[:90]).predict_joint_log_proba(X[:5]).shape
    (5, 3)
    """

    def __init__(self, members: Sequence[Any]):
        self.members = members

    def fit(self, X: ArrayLike, y: ArrayLike, **fit_params: Any) -> MeanJointClassifier:
        """Fit a clone of each member.

        Parameters
        ----------
        X, y : array-like
            As in `fit` of the members.
        **fit_params : object
            Parameters of `fit` of the members, such as ``sample_weight``.

        Returns
        -------
        MeanJointClassifier
            This estimator.
        """
        return self._combine([clone(member).fit(X, y, **fit_params) for member in self.members])

    @classmethod
    def from_fitted(cls, members: Sequence[Any]) -> MeanJointClassifier:
        """Combine members that are already fitted.

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
            Images that all members accept; each member reads image files by itself.

        Returns
        -------
        ndarray of shape (N, K)
            Columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return np.mean([_table(member, X) for member in self.members_], axis=0)

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Save the members and their temperature to a folder, from which `load` reads the ensemble.

        Each member is one file of `GenerativeBayesClassifier.save`; ``ensemble.json`` lists them under a
        checksum. It is written last: if saving fails, an existing ensemble in the folder is kept. Files of
        members that are no longer listed are then removed.

        Parameters
        ----------
        folder : str or path-like
            Created if it does not exist.
        half : bool, default=False
            Store the weights in half precision.

        Raises
        ------
        InvalidParameterError
            If a member is not a `GenerativeBayesClassifier`.
        ModelFileError, ConditionerError, AugmentationError
            If a member cannot be saved.
        OSError
            If the folder or a file cannot be written.
        """
        check_is_fitted(self)
        check_path(folder, "folder")
        if other := [each for each in self.members_ if type(each) is not GenerativeBayesClassifier]:
            raise InvalidParameterError(
                "The parameter 'members' of MeanJointClassifier must have only instances "
                f"of GenerativeBayesClassifier to be saved, got {shortened(other[0])}. Pickle others instead."
            )
        saves = [partial(member.save, half=half) for member in self.members_]
        write_manifest(Path(folder), saves, float(self.temperature_))

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: str = "auto") -> MeanJointClassifier:
        """Load an ensemble that `save` wrote.

        Parameters
        ----------
        folder : str or path-like
        device : str, default="auto"
            A torch device, for all members; ``"auto"`` is a GPU if one is available.

        Returns
        -------
        MeanJointClassifier
            Fitted.

        Raises
        ------
        ModelFileError
            If a file is damaged, missing, or was not written by `save`.
        ConditionerError, AugmentationError
            If a package that a member needs is not installed.
        FileNotFoundError
            If the folder has no ``ensemble.json``.
        """
        check_path(folder, "folder")
        manifest = read_manifest(Path(folder))
        members = [GenerativeBayesClassifier.load(path, device) for path in manifest.paths]
        with file_at_fault(folder, "ensemble"):
            ensemble = cls.from_fitted(members)
        ensemble.temperature_ = manifest.temperature
        return ensemble

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
    """The joint log-probabilities from which a member predicts, averaged over its views if any."""
    if isinstance(member, BayesMixin):
        return member._decision_table(X)
    if hasattr(member, "predict_joint_log_proba"):
        return np.asarray(member.predict_joint_log_proba(X))
    steps = member[:-1]  # of a pipeline
    return _table(member[-1], steps.transform(X) if len(steps) else X)
