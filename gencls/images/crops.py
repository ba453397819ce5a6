"""Crops of larger images, resized to one size: random ones for training, fixed ones for prediction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from .._common.validation import both_sides, check_parameters, choice, real, sides
from .._common.validation import random_state as seed
from ..errors import InvalidInputError
from .listing import stacked
from .resizing import FILTERS, Box, resize_images
from .stateless import StatelessTransformer

__all__ = ["CropImages", "crop_at_random", "six_crops"]

PART = real("a number above 0 and at most 1", lambda value: 0 < value <= 1)
PLACE = real("a number from 0 to 1", lambda value: 0 <= value <= 1)
RULES = {
    "size": sides(),
    "smallest": PART,
    "factor": PART,
    "row": PLACE,
    "column": PLACE,
    "resample": choice(*FILTERS),
    "random_state": seed(),
}
POSITIONS = {  # of crops: row and column
    "middle": (0.5, 0.5),
    "upper left": (0.0, 0.0),
    "upper right": (0.0, 1.0),
    "lower left": (1.0, 0.0),
    "lower right": (1.0, 1.0),
}


def crop_at_random(
    images: ArrayLike,
    size: int | tuple[int, int],
    *,
    smallest: float = 0.8,
    resample: str = "bilinear",
    random_state: int | np.random.RandomState | None = None,
) -> NDArray[np.uint8]:
    """Cut a random crop out of each image, and resize it.

    A crop has the aspect ratio of its image. Its sides are those of the image times a factor that is uniform
    from `smallest` to 1, and all positions inside the image are equally likely, including fractions of
    pixels. Crops do not extend beyond the edges, so that padding is not needed. In the estimator,
    `gencls.augmentations.RandomCrop` does this in every epoch.

    Parameters
    ----------
    images : array-like of shape (N, H, W) or (N, H, W, C), dtype uint8
        Grey images, or images of C = 1 to 4 channels, best larger than `size`, as photographs usually are. If
        the last of three axes has a length of 1 to 4, the array may also be one image (H, W, C), and is
        refused: pass ``[images]`` for one image, ``images[..., None]`` for grey ones.
    size : int or pair of int
        Rows and columns of the result: both sides, or (height, width), at least 1.
    smallest : float, default=0.8
        The smallest factor, above 0 and at most 1. With 1 each crop is the whole image, and the result is
        that of `ReadImages`.
    resample : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default="bilinear"
        Pillow's filter, best the one with which test images are read.
    random_state : int, RandomState or None, default=None
        Source of the sizes and positions.

    Returns
    -------
    ndarray of uint8, of shape (N, height, width) or (N, height, width, C)

    Raises
    ------
    InvalidInputError
        `images` has a different shape or type, or no pixels, or must be read by `ReadImages` first.
    InvalidParameterError
        A different parameter is invalid; all invalid ones are reported.

    Examples
    --------
    >>> import numpy as np
    >>> from gencls.images import crop_at_random
    >>> photographs = np.random.RandomState(0).randint(256, size=(5, 64, 48, 3)).astype(np.uint8)
    >>> crop_at_random(photographs, (16, 12), random_state=0).shape
    (5, 16, 12, 3)
    """
    values = {"size": size, "smallest": smallest, "resample": resample, "random_state": random_state}
    _check("crop_at_random", values)
    checked = _checked("crop_at_random", "images", images)
    boxes = random_boxes(checked.shape, smallest, check_random_state(random_state))
    return _cut(checked, boxes, size, resample)


def random_boxes(shape: tuple[int, ...], smallest: float, random_state: np.random.RandomState) -> list[Box]:
    """The boxes of random crops of images of the shape (N, H, W, ...), as `crop_at_random` draws them."""
    factors, rows, columns = random_state.uniform(size=(3, shape[0]))
    return boxes_of(shape[1:3], smallest + (1 - smallest) * factors, rows, columns)


class CropImages(StatelessTransformer):
    """Cut the same crop out of every image, and resize it.

    The transformer is stateless: ``fit`` only checks the parameters, and ``transform`` may be called without
    it. The crop has the aspect ratio of its image, and may begin at a fraction of a pixel.

    Parameters
    ----------
    size : int or pair of int, default=32
        Rows and columns of the result: both sides, or (height, width), at least 1.
    factor : float, default=1.0
        The sides of the crop relative to those of the image, above 0 and at most 1. With 1 it is the whole
        image, and the result is that of `ReadImages`.
    row, column : float, default=0.5
        Position of the crop, from 0, at the upper or left edge of the image, to 1, at the lower or right one.
    resample : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default="bilinear"
        Pillow's filter for the change of size.

    See Also
    --------
    six_crops : Several of them, for prediction.

    Examples
    --------
    >>> import numpy as np
    >>> from gencls.images import CropImages
    >>> photographs = np.zeros((5, 64, 48, 3), dtype=np.uint8)
    >>> CropImages((16, 12), factor=0.8).transform(photographs).shape
    (5, 16, 12, 3)
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 32,
        factor: float = 1.0,
        row: float = 0.5,
        column: float = 0.5,
        resample: str = "bilinear",
    ) -> None:
        self.size = size
        self.factor = factor
        self.row = row
        self.column = column
        self.resample = resample

    def transform(self, X: ArrayLike) -> NDArray[np.uint8]:
        """Cut the crop out of each image.

        Parameters
        ----------
        X : array-like of shape (N, H, W) or (N, H, W, C), dtype uint8
            Grey images, or images of C = 1 to 4 channels. If the last of three axes has a length of 1 to 4,
            the array may also be one image (H, W, C), and is refused: pass ``[X]`` for one image, ``X[...,
            None]`` for grey ones.

        Returns
        -------
        ndarray of uint8, of shape (N, height, width) or (N, height, width, C)

        Raises
        ------
        InvalidInputError
            X has a different shape or type, or no pixels, or must be read by `ReadImages` first.
        InvalidParameterError
            A parameter is invalid; all invalid ones are reported.
        """
        self._check()
        checked = _checked("CropImages", "X", X)
        factors, rows, columns = np.repeat([[self.factor], [self.row], [self.column]], len(checked), axis=1)
        return _cut(checked, boxes_of(checked.shape[1:3], factors, rows, columns), self.size, self.resample)

    def _check(self) -> None:
        _check("CropImages", self.get_params())


def six_crops(
    size: int | tuple[int, int], *, factor: float = 0.9, resample: str = "bilinear"
) -> list[tuple[str, CropImages]]:
    """The whole image, its middle and its corners: crops whose predictions are averaged.

    A classifier that was trained on random crops is more accurate with the mean over these crops than with
    the whole image only. Krizhevsky, Sutskever and Hinton (2012, section 4.1) average over the corners, the
    middle and their flipped copies; the augmentation `Flip` includes flipped copies in the density itself. In
    the estimator, ``views="six-crops"`` averages joint log-probabilities over these crops.

    Parameters
    ----------
    size : int or pair of int
        Rows and columns of the results: both sides, or (height, width), at least 1.
    factor : float, default=0.9
        The sides of five of the crops relative to those of the image, above 0 and at most 1; best the mean of
        the factors in training.
    resample : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default="bilinear"
        Pillow's filter for the change of size.

    Returns
    -------
    list of (str, CropImages)
        With names, as in scikit-learn's pipelines and ensembles.

    Raises
    ------
    InvalidParameterError
        A parameter is invalid; all invalid ones are reported.

    Examples
    --------
    >>> from gencls.images import six_crops
    >>> [name for name, crop in six_crops(16)]
    ['whole', 'middle', 'upper left', 'upper right', 'lower left', 'lower right']
    """
    _check("six_crops", {"size": size, "factor": factor, "resample": resample})
    whole = ("whole", CropImages(size, resample=resample))
    return [whole] + [
        (name, CropImages(size, factor, row, column, resample)) for name, (row, column) in POSITIONS.items()
    ]


def _check(owner: str, values: dict[str, Any]) -> None:
    check_parameters(owner, values, {name: RULES[name] for name in values})


def boxes_of(
    shape: tuple[int, ...], factors: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]
) -> list[Box]:
    """Boxes in images of H rows and W columns: their sides and positions, all from 0 to 1."""
    height, width = shape
    upper, left = rows * (1 - factors) * height, columns * (1 - factors) * width
    lower, right = np.minimum(upper + factors * height, height), np.minimum(left + factors * width, width)
    return list(zip(left.tolist(), upper.tolist(), right.tolist(), lower.tolist(), strict=True))


def _cut(
    images: NDArray[np.uint8], boxes: Iterable[Box], size: int | tuple[int, int], resample: str
) -> NDArray[np.uint8]:
    """A crop of each image."""
    grey = images.ndim == 3
    cropped = resize_images(
        images[..., None] if grey else images, both_sides(size), boxes=boxes, resample=resample
    )
    return cropped[..., 0] if grey else cropped


def _checked(owner: str, name: str, images: ArrayLike) -> NDArray[np.uint8]:
    """The images as an array."""
    shapes = "(N, H, W) or (N, H, W, C), C from 1 to 4, no side being 0"
    rule = f"{name} of {owner} must be an array of uint8 of shape {shapes}."
    checked = stacked(images, name, rule)
    if checked.dtype != np.uint8:
        raise InvalidInputError(
            f"{rule} Got the type {checked.dtype}. Scale the values to 0 to 255 and round them."
        )
    if checked.ndim not in (3, 4) or not 1 <= (*checked.shape, 1)[3] <= 4 or 0 in checked.shape[1:]:
        raise InvalidInputError(
            f"{rule} Got the shape {checked.shape}. Pass such an array, with the channels last."
        )
    return checked
