"""The class-conditional density p(image | class): network, conditioner and likelihood together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce

import torch
from torch import Tensor, nn

from ..augmentations import Augmentation, make_augmentation
from ..backends.random_numbers import DrawingFrom, draw_key
from ..conditioners import Conditioner, make_conditioner
from ..pixelcnn import Execution, Modulations, PixelCNN, upper_left, weights_resolved
from .likelihood import DiscretizedLogisticMixture

__all__ = ["ConditionalPixelCNN"]

DEFAULT_EXECUTION = Execution()


class ConditionalPixelCNN(nn.Module):
    r"""A class-conditional PixelCNN++ with an exact likelihood.

    The network has a density :math:`q(x \mid c)`, which training maximises. The density of the model is its
    mean over the orbit of an image under the augmentations that have one, such as flips:

    .. math::
        p(x \mid c) = \frac1G \sum_{g=1}^G q(g x \mid c)

    Without such augmentations, p is q.

    Parameters
    ----------
    image_shape : tuple of int
        C, H and W.
    n_levels : int
        L, 2 to 256.
    n_classes : int
        K.
    conditioner : str, type or Conditioner, default="mild"
        It is cloned, and the clone is built.
    n_layers, n_filters, n_mixtures : int
    symmetry : None, str, Augmentation or list of these, default=None
        Augmentations; those without an orbit are ignored.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_levels: int,
        n_classes: int,
        conditioner: str | type[Conditioner] | Conditioner = "mild",
        n_layers: int = 1,
        n_filters: int = 40,
        n_mixtures: int = 5,
        symmetry: str | Augmentation | Sequence[Augmentation] | None = None,
    ):
        super().__init__()
        self.image_shape = image_shape
        self.n_classes = n_classes
        self.symmetry = make_augmentation(symmetry).symmetric()
        self.likelihood = DiscretizedLogisticMixture(image_shape[0], n_levels, n_mixtures)
        self.network = PixelCNN(image_shape, self.likelihood.n_parameters, n_layers, n_filters)
        self.conditioner = make_conditioner(conditioner)
        self.conditioner.build(n_classes, self.network.sites)

    @property
    def n_dimensions(self) -> int:
        """C · H · W."""
        return int(torch.Size(self.image_shape).numel())

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return self.network.head.bias.dtype

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.network.head.bias.device

    def forward(self, levels: Tensor, labels: Tensor, execution: Execution = DEFAULT_EXECUTION) -> Tensor:
        """Log q(image | class) of each image under its class, or under several classes.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
            Integers from 0 to L - 1.
        labels : Tensor of shape (N,) or (m, N)
            Integers from 0 to K - 1.
        execution : Execution, optional
            Settings of the forward pass; ``Execution()`` by default.

        Returns
        -------
        Tensor of the shape of `labels`
            Nats per image, summed in float64.
        """
        found = self.network_log_prob(levels, self.modulate_images(labels, execution), execution=execution)
        return found[0] if labels.ndim == 1 else found.expand(labels.shape)

    def log_prob(self, levels: Tensor, labels: Tensor, execution: Execution = DEFAULT_EXECUTION) -> Tensor:
        """Log p(image | class) of each image under its class, or under several; see :meth:`forward`."""
        found = self.log_prob_modulated(levels, self.modulate_images(labels, execution), execution=execution)
        return found[0] if labels.ndim == 1 else found.expand(labels.shape)

    def log_prob_per_class(
        self,
        levels: Tensor,
        classes: Tensor,
        n_rows: int | None = None,
        execution: Execution = DEFAULT_EXECUTION,
    ) -> Tensor:
        """Log p(image | class) of every image for each of these classes.

        The layers before the first site that the conditioner touches are computed once for all of them.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
        classes : Tensor of shape (K,)
        n_rows : int, optional
            Score only the upper rows, which takes proportionally less time.
        execution : Execution, optional

        Returns
        -------
        Tensor of shape (N, K)
            Nats per image, float64.
        """
        found = self.log_prob_modulated(levels, self.modulate_classes(classes), n_rows, execution)
        return found.expand(len(classes), -1).T

    def modulate_classes(self, classes: Tensor) -> Modulations:
        """The modulations of each of these classes for every image, for `PixelCNN.forward`."""
        return {site: each.per_class() for site, each in self.conditioner(classes).items()}

    def modulate_images(self, labels: Tensor, execution: Execution = DEFAULT_EXECUTION) -> Modulations:
        """The modulations of the class of each image, for `PixelCNN.forward`; labels (N,) or (m, N)."""
        rows = self._condition(labels.flatten(), execution.generator)
        if labels.ndim == 1:
            return {site: each.per_image() for site, each in rows.items()}
        return {site: each.per_group(len(labels)) for site, each in rows.items()}

    def _condition(self, labels: Tensor, generator: torch.Generator | None) -> Modulations:
        """The modulations for labels (N,); in training, the conditioner may draw from the generator."""
        drawing = self.training and self.conditioner.is_random and generator is not None
        with DrawingFrom(draw_key(generator)) if drawing else nullcontext():
            modulations: Modulations = self.conditioner(labels)
        return modulations

    def initialise(self, levels: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> None:
        """Initialise the network from one batch; see `PixelCNN.initialise`."""
        with torch.no_grad():
            modulations = self.modulate_images(labels, Execution(generator=generator))
        self.network.initialise(self.likelihood.scale(levels, self.dtype), modulations)

    def weights_resolved(self) -> AbstractContextManager[None]:
        """Context manager that normalises weights once, not in each pass; they must not change within."""
        return weights_resolved(self.network)

    def log_prob_modulated(
        self,
        levels: Tensor,
        modulations: Modulations,
        n_rows: int | None = None,
        execution: Execution = DEFAULT_EXECUTION,
        *,
        averages_orbit: bool = False,
    ) -> Tensor:
        """Log p of images under arranged modulations.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
        modulations : dict of Site to Modulation
            From `modulate_images` or `modulate_classes`.
        n_rows : int, optional
            Score only the upper rows.
        execution : Execution, optional
        averages_orbit : bool, default=False
            Whether the result is the mean of log q over the orbit in place of log p: no density, but a better
            score of classes.

        Returns
        -------
        Tensor of shape (G, N)
            Nats per image, float64; G is the number of classes or groups if the modulations depend on them,
            else 1.
        """
        orbit = self.symmetry.orbit(levels)
        scores = (self.network_log_prob(each, modulations, n_rows, execution) for each in orbit)
        if len(orbit) == 1:
            return next(scores)
        if averages_orbit:
            return reduce(torch.add, scores) / len(orbit)
        return reduce(torch.logaddexp, scores) - math.log(len(orbit))

    def network_log_prob(
        self,
        levels: Tensor,
        modulations: Modulations,
        n_rows: int | None = None,
        execution: Execution = DEFAULT_EXECUTION,
    ) -> Tensor:
        """Log q of images under arranged modulations; see `log_prob_modulated`."""
        if n_rows == 0:
            return torch.zeros(1, len(levels), dtype=torch.float64, device=self.device)
        found = self.pixel_log_prob(levels, modulations, n_rows, execution)
        return found.sum((-2, -1), dtype=torch.float64)

    def pixel_log_prob(
        self,
        levels: Tensor,
        modulations: Modulations,
        n_rows: int | None = None,
        execution: Execution = DEFAULT_EXECUTION,
    ) -> Tensor:
        """Log q of every pixel given the previous pixels; `network_log_prob` is its sum.

        Returns
        -------
        Tensor of shape (G, N, H, W)
            Nats.
        """
        if n_rows is not None:  # no row depends on those below
            levels, modulations = levels[:, :, :n_rows], upper_left(modulations, n_rows)
        images = self.likelihood.scale(levels, self.dtype).to(execution.dtype or self.dtype)
        parameters = self.network(images, modulations, execution).to(self.dtype)
        return self.likelihood.log_prob(parameters, levels)
