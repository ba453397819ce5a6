"""The border between users' arrays and the network's levels: shapes, channels, ranges and quantisation."""

from __future__ import annotations

import warnings
from copy import copy
from math import isfinite, isqrt, prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInputError, PixelClippingWarning

__all__ = ["ImageCodec"]

MAX_CHANNELS = 4
MAX_LEVELS = 256


class ImageCodec:
    """Turn images into levels (N, C, H, W) and back.

    Parameters
    ----------
    image_shape : tuple of int, optional
        How a flat row folds into an image: (H, W), or with channels (H, W, C) or (C, H, W) as `channel_axis`
        says. Without it a square number of features folds to a square grey image and any other number to a
        strip of one row.
    channel_axis : {-1, 1}, default=-1
        Where X of four dimensions has its channels: last, or right after the samples.
    pixel_range : "auto" or tuple of float, default="auto"
        The lowest and the highest value. ``"auto"`` is (0, 255) for uint8, else what `fit` sees.
    n_levels : "auto" or int, default="auto"
        L, 2 to 256. ``"auto"`` is, for whole numbers, how many of them the range has (at most 256), and 256
        for other values.

    Attributes
    ----------
    image_shape_ : tuple of int
        An image in the user's layout.
    tensor_shape_ : tuple of int
        C, H and W.
    low_, high_ : float
        The pixel range.
    n_levels_ : int
    dtype_ : numpy.dtype
        Of the images that `fit` saw; decoded images have it too.
    settled_ : dict
        What the parameters came to in `fit`, by their names.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        channel_axis: Literal[-1, 1] = -1,
        pixel_range: Literal["auto"] | tuple[float, float] = "auto",
        n_levels: Literal["auto"] | int = "auto",
    ):
        self.image_shape = image_shape
        self.channel_axis = channel_axis
        self.pixel_range = pixel_range
        self.n_levels = n_levels

    def fit(self, flat: NDArray[Any], sample_shape: tuple[int, ...]) -> ImageCodec:
        """Learn the layout, the range, the levels and the dtype.

        Parameters
        ----------
        flat : ndarray of shape (N, n_features)
            Finite numbers.
        sample_shape : tuple of int
            The shape of one sample as the user gave it: (n_features,), (H, W), (H, W, C) or (C, H, W).

        Raises
        ------
        InvalidInputError
            If the shapes do not fit each other, or values lie outside a given `pixel_range`.
        """
        self.sample_shape_ = sample_shape
        self.image_shape_ = self._layout(sample_shape)
        self.tensor_shape_ = self._tensor_shape(self.image_shape_)
        self.dtype_ = flat.dtype
        self.low_, self.high_ = self._range(flat)
        self.n_levels_ = self._count_levels(flat)
        return self

    def encode(self, flat: NDArray[Any]) -> NDArray[np.uint8]:
        """Quantise images to levels.

        Parameters
        ----------
        flat : ndarray of shape (N, n_features)

        Returns
        -------
        ndarray of shape (N, C, H, W)
            Levels from 0 to L - 1. Values outside the range are clipped, with one `PixelClippingWarning`.
        """
        channels, height, width = self.tensor_shape_
        images = self._quantise(flat).reshape(-1, *self.image_shape_)
        if self._channels_last:
            images = np.moveaxis(images, -1, 1)
        return np.ascontiguousarray(images.reshape(-1, channels, height, width))

    def decode(self, levels: NDArray[Any]) -> NDArray[Any]:
        """Turn levels into images of the user's own shape, dtype and range; undoes `encode`.

        Parameters
        ----------
        levels : ndarray of shape (N, C, H, W)
            Integers from 0 to L - 1.

        Returns
        -------
        ndarray of shape (N, ...)
            Shaped as the images that `fit` saw.
        """
        if self._channels_last:
            levels = np.moveaxis(levels, 1, -1)
        values = self._level_values()[levels]
        if not np.issubdtype(self.dtype_, np.floating):
            values = np.rint(values)
        return values.astype(self.dtype_).reshape(-1, *self.sample_shape_)

    @property
    def settled_(self) -> dict[str, Any]:
        """What the parameters came to in `fit`, by their names."""
        return {
            "image_shape": self.image_shape_,
            "channel_axis": self.channel_axis,
            "pixel_range": (self.low_, self.high_),
            "n_levels": self.n_levels_,
        }

    def resized(self, height: int, width: int) -> ImageCodec:
        """The codec for images of another size, else the same.

        Parameters
        ----------
        height, width : int

        Returns
        -------
        ImageCodec
        """
        channels = self.tensor_shape_[0]
        image_shape: tuple[int, ...] = (height, width)
        if len(self.image_shape_) == 3:
            image_shape = (height, width, channels) if self._channels_last else (channels, height, width)
        other = copy(self)
        other.image_shape = None if self.image_shape is None else image_shape
        other.image_shape_ = image_shape
        other.sample_shape_ = (prod(image_shape),) if len(self.sample_shape_) == 1 else image_shape
        other.tensor_shape_ = (channels, height, width)
        return other

    def check_sample_shape(self, sample_shape: tuple[int, ...]) -> None:
        """Raise unless samples had this shape in `fit`, as flat rows or as images.

        Parameters
        ----------
        sample_shape : tuple of int
            Of one sample.

        Raises
        ------
        InvalidInputError
        """
        if sample_shape not in {self.image_shape_, (prod(self.image_shape_),)}:
            raise InvalidInputError(
                f"X must have images of shape {self.image_shape_} as in fit, or flat rows of "
                f"{prod(self.image_shape_)} features, got {sample_shape}."
            )

    def _level_values(self) -> NDArray[np.float64]:
        """The value of each level, (L,); the first and the last are the range, to the last bit."""
        share = np.arange(self.n_levels_)
        last = self.n_levels_ - 1
        values = ((last - share) * self.low_ + share * self.high_) / last
        values[0], values[-1] = self.low_, self.high_
        return values

    @property
    def _channels_last(self) -> bool:
        return len(self.image_shape_) == 3 and self.channel_axis == -1

    def _layout(self, sample_shape: tuple[int, ...]) -> tuple[int, ...]:
        given = None if self.image_shape is None else tuple(int(size) for size in self.image_shape)
        if len(sample_shape) > 1:
            if given not in (None, sample_shape):
                raise InvalidInputError(
                    f"X has images of shape {sample_shape}, but image_shape={given}. "
                    "Leave image_shape out, or reshape X."
                )
            return sample_shape
        n_features = sample_shape[0]
        if given is None:
            side = isqrt(n_features)
            return (side, side) if side * side == n_features else (1, n_features)
        if prod(given) != n_features:
            raise InvalidInputError(
                f"X has {n_features} features, but image_shape={given} needs {prod(given)}. "
                "Give the image_shape that the rows of X have."
            )
        return given

    def _tensor_shape(self, image_shape: tuple[int, ...]) -> tuple[int, int, int]:
        if len(image_shape) == 2:
            return (1, image_shape[0], image_shape[1])
        last = self.channel_axis == -1
        channels = image_shape[-1] if last else image_shape[0]
        if not 1 <= channels <= MAX_CHANNELS:
            raise InvalidInputError(
                f"Images must have 1 to {MAX_CHANNELS} channels, got {channels} in images of shape "
                f"{image_shape} with channel_axis={self.channel_axis}. Use channel_axis={1 if last else -1} "
                f"if the channels come {'first' if last else 'last'}."
            )
        height, width = image_shape[:2] if last else image_shape[1:]
        return channels, height, width

    def _range(self, flat: NDArray[Any]) -> tuple[float, float]:
        if self.pixel_range == "auto":
            if flat.dtype == np.uint8:
                return 0.0, 255.0
            low, high = float(flat.min()), float(flat.max())
            if not isfinite(high - low):
                raise InvalidInputError(
                    f"X has values from {low:g} to {high:g}, too far apart for float64. "
                    "Give X in other units."
                )
            return low, high
        low, high = map(float, self.pixel_range)
        if flat.min() < low or flat.max() > high:
            raise InvalidInputError(
                f"X has values from {flat.min():g} to {flat.max():g}, outside pixel_range=({low:g}, "
                f"{high:g}). "
                "Give the range that the images have, or 'auto'."
            )
        return low, high

    def _count_levels(self, flat: NDArray[Any]) -> int:
        if self.n_levels != "auto":
            return int(self.n_levels)
        whole = flat.dtype.kind in "biu" or bool((flat == np.rint(flat)).all())
        if not whole or not (self.low_.is_integer() and self.high_.is_integer()):
            return MAX_LEVELS
        return int(min(max(self.high_ - self.low_ + 1, 2), MAX_LEVELS))

    def _quantise(self, flat: NDArray[Any]) -> NDArray[np.uint8]:
        span = self.high_ - self.low_
        if flat.dtype == np.uint8 and (self.low_, self.high_, self.n_levels_) == (0.0, 255.0, 256):
            return flat
        values = flat.astype(np.float64)
        self._warn_of_clipping(values, 1e-6 * span)
        # A constant range leaves one level, 0: everything is the constant.
        shares = (values - self.low_) / span if span > 0 else np.zeros_like(values)
        return np.rint(shares.clip(0, 1) * (self.n_levels_ - 1)).astype(np.uint8)

    def _warn_of_clipping(self, values: NDArray[np.float64], tolerance: float) -> None:
        outside = int(((values < self.low_ - tolerance) | (values > self.high_ + tolerance)).sum())
        if outside:
            warnings.warn(
                f"{outside} of {values.size} values of X lie outside the range from {self.low_:g} to "
                f"{self.high_:g} that was fitted, and were clipped to it. Give pixel_range to fit a wider "
                "one.",
                PixelClippingWarning,
                stacklevel=2,
            )
