"""Shapes of images in the layout of the user: flat rows and the channel axis."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import isqrt, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import AmbiguousShapeWarning, InvalidInputError

__all__ = ["Layout", "check_shape", "fold_shape", "image_shape_of", "tensor_shape_of"]

MAX_CHANNELS = 4
LARGE_STRIP = 64  # features above which images of one row are improbable
LARGE_SIDE = 8  # rows above which three or four columns are probably channels


def image_shape_of(
    sample_shape: tuple[int, ...], given: Sequence[int] | None, channel_axis: int
) -> tuple[int, ...]:
    """Return the shape of an image, given the shape of a sample.

    Parameters
    ----------
    sample_shape : tuple of int
        (n_features,), (H, W), (H, W, C) or (C, H, W).
    given : sequence of int or None
        The shape given by the user; None infers it from `sample_shape`.
    channel_axis : {-1, 1}

    Returns
    -------
    tuple of int

    Raises
    ------
    InvalidInputError
        If the shapes are inconsistent or ambiguous.
    """
    given = None if given is None else tuple(int(size) for size in given)
    if len(sample_shape) > 1:
        if given not in (None, sample_shape):
            raise InvalidInputError(
                f"X has images of shape {sample_shape}, but image_shape={given}. "
                "Remove image_shape, or reshape X."
            )
        if given is None:
            _check_not_one_photograph(sample_shape)
        return sample_shape
    n_features = sample_shape[0]
    if given is None:
        return fold_shape(n_features, channel_axis)
    if prod(given) != n_features:
        raise InvalidInputError(
            f"X has {n_features} features, but image_shape={given} needs {prod(given)}. "
            "Set image_shape to the shape of the images in X."
        )
    return given


def tensor_shape_of(image_shape: tuple[int, ...], channel_axis: int) -> tuple[int, int, int]:
    """Return C, H and W of an image.

    Raises
    ------
    InvalidInputError
        If the image has too many channels.
    """
    if len(image_shape) == 2:
        return (1, image_shape[0], image_shape[1])
    last = channel_axis == -1
    channels = image_shape[-1] if last else image_shape[0]
    if not 1 <= channels <= MAX_CHANNELS:
        raise InvalidInputError(
            f"Images must have 1 to {MAX_CHANNELS} channels, got {channels} in images of shape "
            f"{image_shape} with channel_axis={channel_axis}. Use channel_axis={1 if last else -1} "
            f"if the channels are {'first' if last else 'last'}."
        )
    height, width = image_shape[:2] if last else image_shape[1:]
    return channels, height, width


class Layout(NamedTuple):
    """Axes and channels of images of any size: (H, W), (H, W, C) or (C, H, W)."""

    n_axes: int
    n_channels: int
    channel_axis: int

    @classmethod
    def of(cls, image_shape: tuple[int, ...], channel_axis: int) -> Layout:
        """The layout of an image of this shape, which must have 1 to 4 channels."""
        return cls(len(image_shape), tensor_shape_of(image_shape, channel_axis)[0], channel_axis)

    def __str__(self) -> str:
        if self.n_axes == 2:
            return "(H, W)"
        return f"(H, W, {self.n_channels})" if self.channel_axis == -1 else f"({self.n_channels}, H, W)"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Return whether an image of this shape has the same axes and number of channels."""
        channels = 1 if len(shape) == 2 else shape[-1 if self.channel_axis == -1 else 0]
        return len(shape) == self.n_axes and channels == self.n_channels

    def channels_last(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images (N, H, W, C) of images (N, ...) in this layout."""
        return images[..., None] if self.n_axes == 2 else np.moveaxis(images, self.channel_axis, -1)

    def from_channels_last(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images (N, ...) in this layout of images (N, H, W, C)."""
        return images[..., 0] if self.n_axes == 2 else np.moveaxis(images, -1, self.channel_axis)


def fold_shape(n_features: int, channel_axis: int = -1) -> tuple[int, int]:
    """Return the default shape of a flat row: a grey square if possible, else one row of pixels.

    Raises
    ------
    InvalidInputError
        If the number of features suggests square colour images.

    Warns
    -----
    AmbiguousShapeWarning
        If one row of pixels is improbably long.
    """
    side = isqrt(n_features)
    if side * side == n_features:
        return side, side
    side = isqrt(n_features // 3)
    if side > 2 and 3 * side * side == n_features:
        ways = [f"image_shape=({side}, {side}, 3)", f"image_shape=(3, {side}, {side}) with channel_axis=1"]
        first, second = ways if channel_axis == -1 else reversed(ways)
        raise InvalidInputError(
            f"X has {n_features} features, like colour images of {side}×{side} pixels. Set {first} if the "
            f"channels are {'last' if channel_axis == -1 else 'first'}, or {second}; reshape X; or set "
            f"image_shape=(1, {n_features}) for images of one row of grey pixels."
        )
    if n_features >= LARGE_STRIP:
        warnings.warn(
            f"X has {n_features} features, which is not a square number: each image is treated as one row of "
            f"pixels. Set image_shape to the shape of the images, or to (1, {n_features}) to confirm.",
            AmbiguousShapeWarning,
            stacklevel=2,
        )
    return 1, n_features


def check_shape(shape: tuple[int, ...], image_shape: tuple[int, ...], advice: str = "") -> None:
    """Raise if X has neither images of a shape nor flat rows of that shape.

    Parameters
    ----------
    shape : tuple of int
        The shape of X, (N, ...).
    image_shape : tuple of int
    advice : str, default=""
        For an X that cannot be converted to images of the shape.

    Raises
    ------
    InvalidInputError
    """
    n_features = prod(image_shape)
    if shape[1:] in {image_shape, (n_features,)}:
        return
    advice = _way_to_fit(shape, image_shape) or advice
    if len(shape) == 2:
        raise InvalidInputError(
            f"X has {shape[1]} features, but GenerativeBayesClassifier is expecting {n_features} "
            f"features as input, or images of shape {image_shape}.{advice}"
        )
    raise InvalidInputError(
        f"X must have images of shape {image_shape} as in fit, or flat rows of {n_features} "
        f"features, got {shape[1:]}.{advice}"
    )


def _way_to_fit(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> str:
    """Return advice on how to convert X to images of the fitted shape, if possible."""
    sides = shape[1:]
    if shape == image_shape:
        return " Put a single image into a list: [X]."
    if len(sides) == 3 and (*sides[1:], sides[0]) == image_shape:
        return " Move the channels to the end: np.moveaxis(X, 1, -1)."
    if len(sides) == 3 and (sides[-1], *sides[:-1]) == image_shape:
        return " Move the channels to the front: np.moveaxis(X, -1, 1)."
    if [side for side in sides if side > 1] == [side for side in image_shape if side > 1]:
        return f" Reshape them: X.reshape(-1, {', '.join(map(str, image_shape))})."
    return ""


def _check_not_one_photograph(image_shape: tuple[int, ...]) -> None:
    """Raise if the shape of grey images suggests that X is a single colour image."""
    if len(image_shape) == 2 and image_shape[0] >= LARGE_SIDE and image_shape[1] in (3, 4):
        raise InvalidInputError(
            f"X has grey images of shape {image_shape}, so it may be a single colour image. Put a single "
            f"image into a list: [X]. For grey images, pass X[..., None], or set image_shape={image_shape}."
        )
