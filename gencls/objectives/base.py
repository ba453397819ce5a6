"""The interface of objectives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import Tensor

__all__ = ["Objective", "Scores"]


@dataclass(frozen=True)
class Scores:
    """The scores of a batch, from which an objective computes its terms.

    Attributes
    ----------
    log_prob : Tensor of shape (m, N)
        Log-probability of each image under each of its candidates, by the network: nats, float64. The first
        candidate is the image's own class.
    candidates : Tensor of shape (m, N)
        Classes, from 0 to K - 1.
    weights : Tensor of shape (N,)
        Weights of the images, whose mean over the training set is 1.
    prior : ndarray of shape (K,)
        p(class).
    n_dimensions : int
        C · H · W.
    """

    log_prob: Tensor
    candidates: Tensor
    weights: Tensor
    prior: NDArray[np.float64]
    n_dimensions: int

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.prior)

    @property
    def nats_per_dim(self) -> Tensor:
        """Weighted mean of -log p(image | its class), in nats per dimension."""
        return -(self.log_prob[0] * self.weights).mean() / self.n_dimensions


class Objective(BaseEstimator, ABC):
    """Base class of objectives, which training minimises.

    An objective is configured like a scikit-learn estimator: its constructor only stores hyper-parameters, so
    that it can be cloned and searched (``objective__weight``). In each step of training, :meth:`candidates`
    chooses the classes under which the images are scored, :meth:`terms` computes named terms from the scores,
    and :meth:`loss` combines them. Every term is recorded in the history of the training, as
    ``train_<name>``. An objective keeps no state; `gencls.testing.check_objective` checks that and more.

    Attributes
    ----------
    temperature : float
        The temperature at which trained classifiers are expected to be calibrated: 1, unless the objective
        has a hyper-parameter of this name.

    Examples
    --------
    >>> from gencls.objectives import Likelihood
    >>> class Squared(Likelihood):
    ...     '''Maximum likelihood with larger steps for improbable batches.'''
    ...     def loss(self, terms):
    ...         return terms["nll"] ** 2
    """

    temperature: float = 1.0

    def candidates(self, labels: Tensor, n_classes: int, generator: torch.Generator | None = None) -> Tensor:
        """The classes under which each image is scored.

        Parameters
        ----------
        labels : Tensor of shape (N,)
            The images' own classes, from 0 to K - 1.
        n_classes : int
            K.
        generator : torch.Generator, optional
            Source of random numbers, on the CPU; by default torch's default generator.

        Returns
        -------
        Tensor of shape (m, N)
            Of int64, on the device of `labels`: distinct classes for each image, its own class first. By
            default, only the own class is returned; a step takes up to m times as long as with it.
        """
        return labels[None]

    @abstractmethod
    def terms(self, scores: Scores) -> dict[str, Tensor]:
        """The terms of the loss, by name.

        One of the terms is ``nll``, `Scores.nats_per_dim`, so that the histories of different objectives can
        be compared. An image of weight 0 has no influence, and a prior of 0 does not make a term infinite.

        Parameters
        ----------
        scores : Scores

        Returns
        -------
        dict of str to Tensor of shape ()
            The same names for every batch; they are identifiers, and neither ``bpd`` nor ``loss``.
        """
        raise NotImplementedError

    @abstractmethod
    def loss(self, terms: dict[str, Tensor]) -> Tensor:
        """The loss: a function of the terms, differentiable in the log-probabilities.

        Parameters
        ----------
        terms : dict of str to Tensor of shape ()
            From :meth:`terms`.

        Returns
        -------
        Tensor of shape ()
        """
        raise NotImplementedError

    def check(self) -> None:
        """Raise an error if a hyper-parameter is invalid; the default checks nothing.

        Raises
        ------
        InvalidParameterError
        """
