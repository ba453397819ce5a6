"""The tables log p(image | class) and log p(image, class), in batches of bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..bayes import joint_log_prob, mixture_table
from ..density.model import ConditionalPixelCNN
from ..pixelcnn import Execution, Modulations

__all__ = ["Scorer", "batch_shape"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# Features (images × classes × H × W × F) computed at once, which suit a CPU's caches and fill a GPU.
FEATURES_IN_FLIGHT = {"cpu": 2**21, "cuda": 2**26}
LARGEST_BATCH = {"cpu": 256, "cuda": 4096}


@dataclass(frozen=True)
class Scorer:
    """Scores images under classes.

    Parameters
    ----------
    model : ConditionalPixelCNN
    prior : ndarray of shape (K,), optional
        p(class); by default uniform.
    execution : Execution, optional
        Settings of the forward pass; ``Execution()`` by default.
    averages_orbit : bool, default=False
        Whether scores are the mean of log q over the orbit of an image, instead of log p; see
        `ConditionalPixelCNN.log_prob_modulated`.
    """

    model: ConditionalPixelCNN
    prior: Floats | None = None
    execution: Execution = field(default_factory=Execution)
    averages_orbit: bool = False

    def joint(self, levels: Tensor, n_rows: int | None = None, candidates: Codes | None = None) -> Floats:
        """Log p(image, class), with the parameters of :meth:`log_likelihood`.

        Returns
        -------
        ndarray of shape (N, K) or (N, G)
            Nats, float64.
        """
        return self.with_prior(self.log_likelihood(levels, n_rows, candidates), candidates)

    def with_prior(self, log_likelihood: Floats, candidates: Codes | None = None) -> Floats:
        """The joint log-probabilities for log-likelihoods from :meth:`log_likelihood`."""
        n_classes = self.model.n_classes
        prior = np.full(n_classes, 1 / n_classes) if self.prior is None else self.prior
        return joint_log_prob(log_likelihood, prior if candidates is None else prior[candidates])

    def log_likelihood(
        self, levels: Tensor, n_rows: int | None = None, candidates: Codes | None = None
    ) -> Floats:
        """Log p(image | class) for every class, or for some classes of each image.

        For every class, all batches have the same shape (the last one is padded), so that the score of an
        image does not depend on the other images. Its position in the batch can change a float32 score by
        about 1e-8, relatively. For candidates, batches are not padded.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
        n_rows : int, optional
            Score only the upper rows, which takes proportionally less time.
        candidates : ndarray of shape (N, G), optional
            Classes of each image, from 0 to K - 1.

        Returns
        -------
        ndarray of shape (N, K) or (N, G)
            Nats, float64.
        """
        self.model.eval()
        with torch.inference_mode(), self.model.weights_resolved():
            if candidates is None:
                return self._of_all_classes(levels, n_rows)
            return self._of_candidates(levels, candidates, n_rows)

    def pixel_log_likelihood(self, levels: Tensor, codes: Codes | None = None) -> Floats:
        """Log p(pixel | previous pixels, class) for every class, or for one class of each image.

        Parameters
        ----------
        levels : Tensor of shape (N, C, H, W)
        codes : ndarray of shape (N,), optional
            The class of each image, from 0 to K - 1.

        Returns
        -------
        ndarray of shape (N, K, H, W) or (N, H, W)
            Nats, float64. Their sum over pixels is :meth:`log_likelihood`, and the sum over the upper rows is
            that of these rows. A symmetric density is decomposed by `gencls.bayes.mixture_table`.
        """
        model = self.model.eval()
        with torch.inference_mode(), model.weights_resolved():
            if codes is None:
                n_images, n_classes = batch_shape(model)
                classes = torch.arange(model.n_classes, device=model.device)
                parts = [self._table(levels, part, n_images) for part in classes.split(n_classes)]
                return np.concatenate(parts, axis=1)
            n_images, _ = batch_shape(model, n_classes=1)
            labels = torch.from_numpy(codes).to(model.device)
            batches = zip(levels.split(n_images), labels.split(n_images), strict=True)
            return np.concatenate([self._pixels(*batch, by_image=True)[0] for batch in batches])

    def _table(self, levels: Tensor, classes: Tensor, n_images: int) -> Floats:
        """Log p of every pixel for some classes, (N, G, H, W)."""
        tables = [self._pixels(batch, classes) for batch in levels.split(n_images)]
        return np.concatenate(tables, axis=1).swapaxes(0, 1)

    def _pixels(self, levels: Tensor, labels: Tensor, *, by_image: bool = False) -> Floats:
        """Log p of every pixel of a batch, (G, N, H, W): for each of G classes, or for that of each image."""
        model = self.model
        modulations = model.modulate_images(labels) if by_image else model.modulate_classes(labels)
        orbit, tables = model.symmetry.orbit(levels.to(model.device)), []
        for each, places in zip(orbit, model.symmetry.places(model.image_shape), strict=True):
            found = model.pixel_log_prob(each, modulations, execution=self.execution)
            found = found.expand(1 if by_image else len(labels), -1, -1, -1)
            placed = found.flatten(-2)[..., places.to(found.device)].unflatten(-1, found.shape[-2:])
            tables.append(placed.double().cpu().numpy())
        return mixture_table(np.stack(tables))

    def _of_all_classes(self, levels: Tensor, n_rows: int | None) -> Floats:
        model = self.model
        n_images, n_classes = batch_shape(model, n_rows=n_rows)
        classes = torch.arange(model.n_classes, device=model.device)
        scores = np.empty((model.n_classes, len(levels)))
        for first in range(0, model.n_classes, n_classes):
            part = slice(first, first + n_classes)
            modulations, rows = model.modulate_classes(classes[part]), scores[part]  # once, for all images
            for start in range(0, len(levels), n_images):
                batch = levels[start : start + n_images].to(model.device)
                filled = torch.cat([batch, batch[:1].expand(n_images - len(batch), -1, -1, -1)])
                found = self._log_prob(filled, modulations, n_rows)
                rows[:, start : start + n_images] = found[:, : len(batch)].cpu().numpy()
        return np.ascontiguousarray(scores.T)

    def _log_prob(self, levels: Tensor, modulations: Modulations, n_rows: int | None) -> Tensor:
        """Scores (G, N) of a batch."""
        return self.model.log_prob_modulated(
            levels, modulations, n_rows, self.execution, averages_orbit=self.averages_orbit
        )

    def _of_candidates(self, levels: Tensor, candidates: Codes, n_rows: int | None) -> Floats:
        model = self.model
        n_images, n_classes = batch_shape(model, candidates.shape[1], n_rows)
        labels = torch.from_numpy(candidates.T)
        scores = np.empty(labels.shape)
        for first in range(0, len(labels), n_classes):
            for start in range(0, len(levels), n_images):
                part = slice(first, first + n_classes), slice(start, start + n_images)
                batch = levels[part[1]].to(model.device)
                modulations = model.modulate_images(labels[part].to(model.device), self.execution)
                found = self._log_prob(batch, modulations, n_rows)
                scores[part] = found.cpu().numpy()
        return np.ascontiguousarray(scores.T)


def batch_shape(
    model: ConditionalPixelCNN, n_classes: int | None = None, n_rows: int | None = None
) -> tuple[int, int]:
    """Numbers of images and classes in one batch, for `n_classes` in total and `n_rows` of each image."""
    site = model.network.head_site
    height = site.height if n_rows is None else max(1, n_rows)
    features = site.channels * height * site.width
    kind = "cuda" if model.device.type == "cuda" else "cpu"
    budget = max(1, min(FEATURES_IN_FLIGHT[kind] // features, LARGEST_BATCH[kind]))
    n_classes = min(n_classes or model.n_classes, budget)
    return max(1, budget // n_classes), n_classes
