"""The class-conditional density p(image | class): network, conditioner and likelihood together."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from ..augmentations.flip import log_mean_exp, mirror, mirror_at_random
from ..augmentations.shift import shift_at_random
from ..backends.device import Precision
from ..backends.random_numbers import DrawingFrom, draw_key
from ..conditioners import Conditioner, make_conditioner
from ..pixelcnn import Modulations, PixelCNN, upper_left, weights_resolved
from .likelihood import DiscretizedLogisticMixture

__all__ = ["ConditionalPixelCNN"]


class ConditionalPixelCNN(nn.Module):
    """A class-conditional PixelCNN++ with an exact likelihood.

    Parameters
    ----------
    image_shape : tuple of int
        C, H and W.
    n_levels : int
        L, 2 to 256.
    n_classes : int
        K.
    conditioner : str, type or Conditioner, default="mild"
        Never changed; a clone is built.
    n_layers, n_filters, n_mixtures : int
    dropout : float, default=0.0
    flip : bool, default=False
        Whether images are equally likely mirrored left to right. Then the density is the mixture of both
        orientations, see `gencls.augmentations.flip`; in training, as with dropout, a random one is scored
        instead.

    Attributes
    ----------
    precision : Precision
        In which dtype the features are computed; the weights and the likelihood stay in theirs.
    shift : int
        By how many pixels images are moved in training at most, see `gencls.augmentations.shift`; 0 at first.
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
        dropout: float = 0.0,
        flip: bool = False,
    ):
        super().__init__()
        self.image_shape = image_shape
        self.flip = flip
        self.n_classes = n_classes
        self.precision = Precision()
        self.shift = 0
        self.likelihood = DiscretizedLogisticMixture(image_shape[0], n_levels, n_mixtures)
        self.network = PixelCNN(image_shape, self.likelihood.n_parameters, n_layers, n_filters, dropout)
        self.conditioner = make_conditioner(conditioner)
        self.conditioner.build(n_classes, self.network.sites)

    @property
    def n_dimensions(self) -> int:
        """C · H · W."""
        return int(torch.Size(self.image_shape).numel())

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.network.head.bias.dtype

    @property
    def features_dtype(self) -> torch.dtype:
        """Of the network's features, in training or in evaluation mode."""
        return (self.precision.training if self.training else self.precision.prediction) or self.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.head.bias.device

    def forward(self, levels: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Log p(image | its class), or under several classes of its own.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
            Integers from 0 to L - 1.
        labels : Tensor of shape (N,) or (G, N)
            Integers from 0 to K - 1.
        generator : torch.Generator, optional
            What training draws from, on the CPU; without it torch's own stream.

        Returns
        -------
        Tensor of the shape of `labels`
            Nats per image, summed in float64.
        """
        modulations = self.modulate_images(labels, generator)
        log_prob = self.log_prob_modulated(levels, modulations, generator=generator)
        return log_prob[0] if labels.ndim == 1 else log_prob.expand(labels.shape)

    def log_prob_per_class(self, levels: Tensor, classes: Tensor, n_rows: int | None = None) -> Tensor:
        """Log p(image | class) of every image for each of these classes.

        What lies before the first site that the conditioner touches is computed once for all of them.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
        classes : Tensor of shape (K,)
        n_rows : int, optional
            Score the upper rows alone, whatever the others are, in as much less time.

        Returns
        -------
        Tensor of shape (N, K)
            Nats per image, float64.
        """
        return (
            self.log_prob_modulated(levels, self.modulate_classes(classes), n_rows).expand(len(classes), -1).T
        )

    def modulate_classes(self, classes: Tensor) -> Modulations:
        """What each of these classes does to every image, for `PixelCNN.forward`."""
        return {site: each.per_class() for site, each in self.conditioner(classes).items()}

    def modulate_images(self, labels: Tensor, generator: torch.Generator | None = None) -> Modulations:
        """What the class does to each image of a batch, for `PixelCNN.forward`; labels are (N,) or (G, N)."""
        rows = self._condition(labels.flatten(), generator)
        if labels.ndim == 1:
            return {site: each.per_image() for site, each in rows.items()}
        return {site: each.per_group(len(labels)) for site, each in rows.items()}

    def _condition(self, labels: Tensor, generator: torch.Generator | None) -> Modulations:
        """What the conditioner says of labels (N,); in training it draws by the generator, if at all."""
        drawing = self.training and self.conditioner.is_random and generator is not None
        with DrawingFrom(draw_key(generator)) if drawing else nullcontext():
            modulations: Modulations = self.conditioner(labels)
        return modulations

    def initialise(self, levels: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> None:
        """Initialise the network by one batch; see `PixelCNN.initialise`."""
        with torch.no_grad():
            modulations = self.modulate_images(labels, generator)
        levels = mirror_at_random(levels, generator) if self.flip else levels
        self.network.initialise(self.likelihood.scale(levels, self.dtype), modulations)

    def weights_resolved(self) -> AbstractContextManager[None]:
        """While this is open, weights are normalised once instead of in each pass; they must not change."""
        return weights_resolved(self.network)

    def log_prob_modulated(
        self,
        levels: Tensor,
        modulations: Modulations,
        n_rows: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Log-probability of images under modulations that are arranged already.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
        modulations : dict of Site to Modulation
            From `modulate_images` or `modulate_classes`.
        n_rows : int, optional
            Score the upper rows alone.
        generator : torch.Generator, optional
            What training draws from, on the CPU; without it torch's own stream.

        Returns
        -------
        Tensor of shape (G, N)
            Nats per image, float64; G is the number of classes, or that of groups, where these make a
            difference, else 1.
        """
        if self.training:
            augmented = self._augment(levels, generator)
            return self.log_prob_as_is(augmented, modulations, n_rows, generator)
        if not self.flip:
            return self.log_prob_as_is(levels, modulations, n_rows)
        both = (self.log_prob_as_is(each, modulations, n_rows) for each in (levels, mirror(levels)))
        return log_mean_exp(*both)

    def _augment(self, levels: Tensor, generator: torch.Generator | None) -> Tensor:
        """What training sees of images: one orientation, moved a little."""
        levels = mirror_at_random(levels, generator) if self.flip else levels
        return shift_at_random(levels, self.shift, generator) if self.shift else levels

    def log_prob_as_is(
        self,
        levels: Tensor,
        modulations: Modulations,
        n_rows: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Log-probability of images as the network sees them, never mirrored; see `log_prob_modulated`."""
        if n_rows == 0:
            return torch.zeros(1, len(levels), dtype=torch.float64, device=self.device)
        if n_rows is not None:  # no row depends on those below
            levels, modulations = levels[:, :, :n_rows], upper_left(modulations, n_rows)
        images = self.likelihood.scale(levels, self.dtype).to(self.features_dtype)
        parameters = self.network(images, modulations, generator).to(self.dtype)
        return self.likelihood.log_prob(parameters, levels).sum((-2, -1), dtype=torch.float64)
