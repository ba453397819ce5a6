"""The interface of augmentations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import Tensor

__all__ = ["Augmentation", "changes_epochs", "has_orbit"]


class Augmentation(BaseEstimator):
    """Base class of augmentations, which vary the training images.

    An augmentation is configured like a scikit-learn estimator: its constructor only stores hyper-parameters.
    It overrides one or more of three hooks, whose defaults change nothing: :meth:`per_epoch` varies the
    images of the user, :meth:`per_batch` their levels, and :meth:`orbit` makes the density itself symmetric.
    It keeps no state, and the hooks leave their input unchanged; `gencls.testing.check_augmentation` checks
    that.

    Examples
    --------
    >>> from gencls.augmentations import Augmentation
    >>> class Darken(Augmentation):
    ...     '''Half of the images, one level darker.'''
    ...     def per_batch(self, levels, generator=None):
    ...         chosen = (torch.rand(len(levels), generator=generator) < 0.5).to(levels.device)
    ...         return torch.where(chosen[:, None, None, None] & (levels > 0), levels - 1, levels)
    """

    def per_epoch(
        self, images: NDArray[Any], size: tuple[int, int], random_state: np.random.RandomState
    ) -> NDArray[Any]:
        """Vary all training images at the beginning of an epoch.

        Parameters
        ----------
        images : ndarray of shape (N, H, W, C)
            The images of the user, at their original size unless a previous augmentation has changed it.
        size : tuple of int
            Rows and columns of the images that the model learns. Images of a different size are resized to it
            afterwards.
        random_state : RandomState

        Returns
        -------
        ndarray of shape (N, rows, columns, C)
            Of the same dtype, and within the range of all given images.
        """
        return images

    def per_batch(self, levels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Vary the images of one batch.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
            Integers from 0 to L - 1, on any device.
        generator : torch.Generator, optional
            Source of random numbers, on the CPU; by default torch's default generator.

        Returns
        -------
        Tensor of shape (N, C, H, W)
            Of the same dtype, on the same device, from 0 to L - 1.
        """
        return levels

    def orbit(self, levels: Tensor) -> list[Tensor]:
        """All images that are exactly as probable as these.

        The density of the model is then the mean over the orbit of an image. Each transformation must be its
        own inverse and keep every pixel in its row, and the orbit of a member must be the same set. An
        augmentation with an orbit draws a member of it in :meth:`per_batch`, and does nothing else there:
        further variations belong in a separate augmentation.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
            Whole images, or the same number of upper rows of each, possibly 0.

        Returns
        -------
        list of Tensor of shape (N, C, H, W)
            The first entry is `levels`.
        """
        return [levels]

    def check(self, image_shape: tuple[int, int, int]) -> None:
        """Raise an error if a hyper-parameter is invalid; the default checks nothing.

        Parameters
        ----------
        image_shape : tuple of int
            C, H and W of the images that the model learns.

        Raises
        ------
        InvalidParameterError
        """


def changes_epochs(augmentation: Augmentation) -> bool:
    """Whether an augmentation has a hook per epoch."""
    return type(augmentation).per_epoch is not Augmentation.per_epoch


def has_orbit(augmentation: Augmentation) -> bool:
    """Whether an augmentation makes the density symmetric."""
    return type(augmentation).orbit is not Augmentation.orbit
