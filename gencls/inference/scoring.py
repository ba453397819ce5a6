"""Scoring images under every class, in batches of bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..density.model import ConditionalPixelCNN

__all__ = ["batch_shape", "candidate_log_likelihoods", "class_log_likelihoods"]

# Features (images × classes × H × W × F) in flight at once: what a CPU's caches like, and what fills a GPU.
FEATURES_IN_FLIGHT = {"cpu": 2**21, "cuda": 2**26}
LARGEST_BATCH = {"cpu": 256, "cuda": 4096}


def class_log_likelihoods(
    model: ConditionalPixelCNN, levels: Tensor, n_rows: int | None = None
) -> NDArray[np.float64]:
    """Log p(image | class) for every image and class.

    Every batch has the same shape (the last one is filled up), so that the score of an image does not depend
    on which images are scored with it. Its place in the batch can move a float32 score by about 1e-8 of it.

    Parameters
    ----------
    model : ConditionalPixelCNN
    levels : Tensor of shape (N, C, H, W)
    n_rows : int, optional
        Score the upper rows alone, in as much less time.

    Returns
    -------
    ndarray of shape (N, K)
        Nats, float64.
    """
    n_images, n_classes = batch_shape(model, n_rows=n_rows)
    classes = torch.arange(model.n_classes, device=model.device)
    model.eval()
    scores = np.empty((model.n_classes, len(levels)))
    with torch.inference_mode(), model.weights_resolved():
        for first in range(0, model.n_classes, n_classes):
            part = slice(first, first + n_classes)
            modulations, rows = model.modulate_classes(classes[part]), scores[part]  # once, for all images
            for start in range(0, len(levels), n_images):
                batch = levels[start : start + n_images].to(model.device)
                filled = torch.cat([batch, batch[:1].expand(n_images - len(batch), -1, -1, -1)])
                found = model.log_prob_modulated(filled, modulations, n_rows)
                rows[:, start : start + n_images] = found[:, : len(batch)].cpu().numpy()
    return np.ascontiguousarray(scores.T)


def candidate_log_likelihoods(
    model: ConditionalPixelCNN, levels: Tensor, candidates: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Log p(image | class) of every image for some classes of its own.

    What lies before the first site that the class touches is computed once for an image's classes. Batches
    are not filled up: what else is scored moves a score by rounding.

    Parameters
    ----------
    model : ConditionalPixelCNN
    levels : Tensor of shape (N, C, H, W)
    candidates : ndarray of shape (N, G)
        Integers from 0 to K - 1.

    Returns
    -------
    ndarray of shape (N, G)
        Nats, float64.
    """
    n_images, n_classes = batch_shape(model, candidates.shape[1])
    labels = torch.from_numpy(candidates.T)
    model.eval()
    scores = np.empty(labels.shape)
    with torch.inference_mode(), model.weights_resolved():
        for first in range(0, len(labels), n_classes):
            for start in range(0, len(levels), n_images):
                part = slice(first, first + n_classes), slice(start, start + n_images)
                batch = levels[part[1]].to(model.device)
                scores[part] = model(batch, labels[part].to(model.device)).cpu().numpy()
    return np.ascontiguousarray(scores.T)


def batch_shape(
    model: ConditionalPixelCNN, n_classes: int | None = None, n_rows: int | None = None
) -> tuple[int, int]:
    """Images and classes of one batch, of as many classes in all, and of the upper rows of images."""
    site = model.network.head_site
    height = site.height if n_rows is None else max(1, n_rows)
    features = site.channels * height * site.width
    kind = "cuda" if model.device.type == "cuda" else "cpu"
    budget = max(1, min(FEATURES_IN_FLIGHT[kind] // features, LARGEST_BATCH[kind]))
    n_classes = min(n_classes or model.n_classes, budget)
    return max(1, budget // n_classes), n_classes
