"""Random crops of the original images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._common.validation import check_parameters, choice, real
from ..images.crops import random_boxes
from ..images.resizing import FILTERS, resize_images
from .base import Augmentation

__all__ = ["RandomCrop"]

RULES = {
    "smallest": real("a number above 0 and at most 1", lambda value: 0 < value <= 1),
    "resample": choice(*FILTERS),
}


class RandomCrop(Augmentation):
    """Cut a random crop out of each image in each epoch, and resize it to the size of the model.

    A crop has the aspect ratio of its image. Its sides are those of the image times a factor that is uniform
    from `smallest` to 1, and all positions inside the image are equally likely, including fractions of
    pixels. It is meant for images larger than the model's, as photographs are with the parameter `resolution`
    of the estimator; crops of images of the model's own size are enlarged, and thus blurred.

    Parameters
    ----------
    smallest : float, default=0.8
        The smallest factor, above 0 and at most 1. With 1 each crop is the whole image.
    resample : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default="bilinear"
        Pillow's filter for the change of size, antialiased.
    """

    def __init__(self, smallest: float = 0.8, resample: str = "bilinear"):
        self.smallest = smallest
        self.resample = resample

    def per_epoch(
        self, images: NDArray[Any], size: tuple[int, int], random_state: np.random.RandomState
    ) -> NDArray[Any]:
        boxes = random_boxes(images.shape, self.smallest, random_state)
        return resize_images(images, size, boxes=boxes, resample=self.resample)

    def check(self, image_shape: tuple[int, int, int]) -> None:
        check_parameters("RandomCrop", self.get_params(), RULES)
