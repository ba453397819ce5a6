"""The cost of scoring K classes at once, relative to K passes for one class each."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch

from experiments import Run
from gencls import ConditionalPixelCNN
from gencls.inference import Scorer
from gencls.inference.scoring import batch_shape
from records import Row


def sharing(
    run: Run,
    *,
    conditioner: str,
    classes: Sequence[int],
    image_shape: tuple[int, int, int],
    n_filters: int,
    pairs: int,
    repeats: int,
) -> Row:
    """Score as many pairs of an image and a class at once and one by one, in turn; the best round counts."""
    make = {n: model_of(image_shape, n, conditioner, n_filters, run.device) for n in (1, *classes)}
    row = {}
    for n_classes in classes:
        best = {1: math.inf, n_classes: math.inf}
        for _ in range(repeats):
            for n in best:
                best[n] = min(best[n], seconds_a_pair(make[n], image_shape, pairs))
        row[f"milliseconds_{n_classes}"] = 1000 * n_classes * best[n_classes]
        row[f"share_{n_classes}"] = best[n_classes] / best[1]
    return row


def model_of(
    image_shape: tuple[int, int, int], n_classes: int, conditioner: str, n_filters: int, device: str
) -> ConditionalPixelCNN:
    """An untrained model, which takes the same time."""
    torch.manual_seed(0)
    return ConditionalPixelCNN(image_shape, 256, n_classes, conditioner, n_filters=n_filters).to(device)


def seconds_a_pair(model: ConditionalPixelCNN, image_shape: tuple[int, int, int], pairs: int) -> float:
    """Time to score an image under one of the classes, among many: on a CPU that of this process."""
    n_images = full_batches(model, pairs)
    levels = torch.randint(256, (n_images, *image_shape), dtype=torch.uint8)
    clock = time.process_time if model.device.type == "cpu" else time.perf_counter
    start = clock()
    Scorer(model).log_likelihood(levels)
    return (clock() - start) / (n_images * model.n_classes)


def full_batches(model: ConditionalPixelCNN, pairs: int) -> int:
    """About as many images as make these pairs with the classes, such that batches need no padding."""
    n_images, _ = batch_shape(model)
    return max(1, round(pairs / model.n_classes / n_images)) * n_images
