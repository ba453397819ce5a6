"""What "auto" stands for: the settings of a first fit, by the number, the size and the symmetry of images."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod, sqrt

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ..augmentations import Augmentation, Flip, RandomCrop
from ..objectives import Hybrid, Likelihood, Objective
from ..training.plan import Stage

__all__ = [
    "LARGEST_SIZE",
    "augmentations_of",
    "batch_size_of",
    "epochs_of",
    "images_of",
    "resolution_of",
    "stage_of",
    "stages_of",
    "views_after",
]

MOST_VALUES = 400  # H · W · C of images that are not reduced
REDUCED_VALUES = 200  # about as many as reduced images have
LARGEST_SIZE = (16, 16)  # of square images that are reduced
SHORTEST_SIDE = 8  # of images that are reduced or flipped

EPOCHS = 620  # of one grey image
MOST_IMAGES = 60_000  # in an epoch
FEWEST_EPOCHS, MOST_EPOCHS = 3, 80
FEW, SMALL_BATCH, BATCH = 5000, 16, 32  # few images need small batches, for more steps

SMALLEST_CROP = 0.8
HYBRID_SHARE = 1 / 3  # of the epochs
HYBRID_RATE = 1 / 3  # learning rate relative to that of the likelihood
MOST_CONTRASTED = 4  # classes

LARGEST_SAMPLE = 2000  # images from which a symmetry is estimated
KEPT_ACCURACY = 0.7  # share of the accuracy above chance that flipped images keep, if flips keep the class
FEWEST_COUNTED = 10  # recognised images of a class from which it is judged: flips may exchange two classes


def resolution_of(channels: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the images that are learned.

    Pixels that carry little about the class cost most of the time, so that large images are reduced to about
    200 values with even sides, such as 8×8 in colour and 14×14 in grey.
    """
    n_values = channels * height * width
    if n_values <= MOST_VALUES or min(height, width) < SHORTEST_SIDE:
        return height, width
    factor = sqrt(REDUCED_VALUES / n_values)
    rows, columns = (max(4, 2 * round(side * factor / 2)) for side in (height, width))
    return min(rows, height), min(columns, width)


def augmentations_of(
    levels: NDArray[np.uint8], labels: NDArray[np.int64], *, is_reduced: bool
) -> list[Augmentation]:
    """Flips if they keep the class, and random crops of larger images.

    Parameters
    ----------
    levels : ndarray of shape (N, C, H, W)
    labels : ndarray of shape (N,)
        From 0 to K - 1.
    is_reduced : bool
        Whether the images are larger than their levels.
    """
    flips: list[Augmentation] = [Flip()] if _flips_keep_classes(levels, labels) else []
    return flips + ([RandomCrop(smallest=SMALLEST_CROP)] if is_reduced else [])


def views_after(augmentations: Sequence[Augmentation]) -> list[str]:
    """The views of predictions after training with these augmentations."""
    kinds = {"flips": Flip, "six-crops": RandomCrop}
    return [view for view, kind in kinds.items() if any(isinstance(part, kind) for part in augmentations)]


def epochs_of(n_images: int, channels: int) -> int:
    """Epochs of all stages: fewer for more images, so that the time grows with the root of their number.

    Colour images need more epochs than grey ones, as their channels are learned too.
    """
    return int(np.clip(round(EPOCHS * channels / sqrt(n_images)), FEWEST_EPOCHS, MOST_EPOCHS))


def images_of(n_images: int) -> int | None:
    """Images in an epoch, which limits the time for any number of images; None is all."""
    return MOST_IMAGES if n_images > MOST_IMAGES else None


def batch_size_of(n_images: int) -> int:
    """Images in a training step."""
    return SMALL_BATCH if n_images < FEW else BATCH


def stages_of(n_epochs: int, lr: float, n_values: int) -> list[Stage]:
    """Training by likelihood, then by the hybrid objective.

    Parameters
    ----------
    n_epochs : int
        Of both.
    lr : float
        Peak learning rate of the first.
    n_values : int
        H · W · C, with which the differences between classes, and thus the temperature, grow.
    """
    n_hybrid = ceil(HYBRID_SHARE * n_epochs) if n_epochs > 1 else 0
    hybrid = Hybrid(weight=1.0, temperature=max(4.0, n_values / 96), n_contrasted=MOST_CONTRASTED)
    stages = [stage_of(n_epochs - n_hybrid, lr, Likelihood())]
    return stages + ([stage_of(n_hybrid, lr, hybrid)] if n_hybrid else [])


def stage_of(n_epochs: int, lr: float, objective: Objective) -> Stage:
    """A stage with an objective of `stages_of`, whose learning rate is relative to that of the likelihood."""
    return Stage(n_epochs, lr=lr * HYBRID_RATE if isinstance(objective, Hybrid) else lr, objective=objective)


def _flips_keep_classes(levels: NDArray[np.uint8], labels: NDArray[np.int64]) -> bool:
    """Whether a linear discriminant recognises flipped images nearly as well as the images themselves.

    It learns one half of the images, without classes of a single image, and classifies the other.
    """
    if min(levels.shape[2:]) < SHORTEST_SIDE:
        return False
    order = np.random.RandomState(0).permutation(len(labels))[:LARGEST_SAMPLE]
    learned, others = np.array_split(order, 2)
    learned = learned[np.bincount(labels[learned])[labels[learned]] > 1]  # a covariance needs two images
    if not len(others) or len(np.unique(labels[learned])) < 2:
        return False
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    discriminant.fit(_rows(levels[learned]), labels[learned])
    known = labels[others]
    plain, flipped = (
        np.bincount(known[discriminant.predict(_rows(each)) == known], minlength=known.max() + 1)
        for each in (levels[others], levels[others][..., ::-1])
    )
    by_chance = np.bincount(known).max()
    gained = plain.sum() - by_chance
    if gained <= 2 * sqrt(by_chance * (1 - by_chance / len(known))):
        return False  # nothing is recognised
    kept = flipped.sum() - by_chance >= KEPT_ACCURACY * gained
    counted = plain >= FEWEST_COUNTED
    return bool(kept and (flipped[counted] >= plain[counted] / 2).all())


def _rows(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return levels.reshape(len(levels), prod(levels.shape[1:])).astype(np.float64)
