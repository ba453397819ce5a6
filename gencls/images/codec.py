"""Conversion between user arrays and the levels of the network: layout, range and quantisation."""

from __future__ import annotations

import warnings
from copy import copy
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError, PixelClippingWarning, PixelScaleWarning
from .pixel_scale import all_whole, find_slip, is_dark, parts
from .resizing import resize_images
from .shapes import Layout, check_shape, image_shape_of, tensor_shape_of

__all__ = ["LARGEST_VALUE", "ImageCodec"]

MAX_LEVELS = 256
LARGEST_VALUE = 1e300  # sums and differences of larger pixel values may be infinite
LARGEST_INTEGER = 2**53  # float64 cannot represent all larger integers
SAME_SCALE = "Pass X on the scale of fit, or fit on the scale of X."


class ImageCodec:
    """Convert images to levels (N, C, H, W) and back.

    Parameters
    ----------
    image_shape : tuple of int, optional
        The shape of the image in a flat row: (H, W), or, with channels, (H, W, C) or (C, H, W), depending on
        `channel_axis`. Without it, a square number of features is a square grey image, and any other number
        is one row of pixels; numbers of features that suggest square colour images are refused.
    channel_axis : {-1, 1}, default=-1
        The channel axis of four-dimensional X: last, or right after the samples.
    pixel_range : "auto" or tuple of float, default="auto"
        The lowest and the highest value. ``"auto"`` is (0, 255) for uint8, else the range of the data in
        `fit`.
    n_levels : "auto" or int, default="auto"
        L, from 2 to 256. ``"auto"`` is 256, or for integer values the number of integers in the range, at
        most 256.
    resolution : tuple of int, optional
        Rows and columns of the levels. Larger images are reduced, antialiased. Without it, levels have the
        size of the images.

    Attributes
    ----------
    image_shape_ : tuple of int
        The shape of an image in the layout of the user.
    tensor_shape_ : tuple of int
        C, H and W of the levels.
    low_, high_ : float
        The pixel range.
    n_levels_ : int
    dtype_ : numpy.dtype
        The dtype of the images in `fit`, and of decoded images.
    settled_ : dict
        The values that the parameters resolve to in `fit`, by name.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        channel_axis: Literal[-1, 1] = -1,
        pixel_range: Literal["auto"] | tuple[float, float] = "auto",
        n_levels: Literal["auto"] | int = "auto",
        resolution: tuple[int, int] | None = None,
    ):
        self.image_shape = image_shape
        self.channel_axis = channel_axis
        self.pixel_range = pixel_range
        self.n_levels = n_levels
        self.resolution = resolution

    def fit(self, flat: NDArray[Any], sample_shape: tuple[int, ...]) -> ImageCodec:
        """Learn the layout, the range, the levels and the dtype.

        Parameters
        ----------
        flat : ndarray of shape (N, n_features)
            Finite numbers.
        sample_shape : tuple of int
            The shape of one sample of X: (n_features,), (H, W), (H, W, C) or (C, H, W).

        Raises
        ------
        InvalidInputError
            If the shapes are inconsistent or ambiguous, if values are outside `pixel_range`, or if the dtype
            cannot represent the ends of that range.
        """
        self.sample_shape_ = sample_shape
        self.image_shape_ = image_shape_of(sample_shape, self.image_shape, self.channel_axis)
        self.tensor_shape_ = tensor_shape_of(self.image_shape_, self.channel_axis)
        if self.resolution is not None:
            self.tensor_shape_ = self.at(self.resolution).tensor_shape_
        self.dtype_ = flat.dtype
        self.low_, self.high_ = self._range(flat)
        self._check_range()
        self.n_levels_ = self._count_levels(flat)
        return self

    def encode(self, flat: NDArray[Any], *, strict: bool = False) -> NDArray[np.uint8]:
        """Quantise images to levels.

        Parameters
        ----------
        flat : ndarray of shape (N, n_features)
        strict : bool, default=False
            Whether images on a scale that differs from `fit` are refused.

        Returns
        -------
        ndarray of shape (N, C, H, W)
            Levels from 0 to L - 1.

        Raises
        ------
        InvalidInputError
            If `strict`, and the scale of the images differs from `fit`, for example floats from 0 to 1
            instead of bytes.

        Warns
        -----
        PixelClippingWarning
            If values are outside the range; they are clipped.
        PixelScaleWarning
            Otherwise, if the scale differs from `fit`, or all values are within 1/255 of the range and not
            all equal.
        """
        return self.encode_checked(self.to_images(flat), strict=strict)

    def to_images(self, flat: NDArray[Any]) -> NDArray[Any]:
        """Fold rows (N, n_features) to images (N, H, W, C)."""
        return self.layout.channels_last(flat.reshape(-1, *self.image_shape_))

    def encode_checked(self, images: NDArray[Any], *, strict: bool = False) -> NDArray[np.uint8]:
        """Quantise images (N, H, W, C) of any size to levels, with the errors and warnings of `encode`."""
        slip = find_slip(images, self.low_, self.high_, whole=self._holds_whole_numbers)
        if slip and strict:
            raise InvalidInputError(f"{slip}. {SAME_SCALE}")
        levels, n_outside = self._quantise(resize_images(images, self.tensor_shape_[1:]))
        if n_outside:
            self._warn_of_clipping(n_outside, levels.size, slip)
        elif slip or is_dark(images, self.low_, self.high_):
            doubt = f"X has only values within 1/255 of the range from {self.low_:g} to {self.high_:g} of fit"
            warnings.warn(f"{slip or doubt}. {SAME_SCALE}", PixelScaleWarning, stacklevel=3)
        return np.ascontiguousarray(np.moveaxis(levels, -1, 1))

    def encode_images(self, images: NDArray[Any]) -> NDArray[np.uint8]:
        """Quantise images of any size; values outside the range are clipped.

        Parameters
        ----------
        images : ndarray of shape (N, H, W, C)

        Returns
        -------
        ndarray of shape (N, C, rows, columns)
            Levels from 0 to L - 1.
        """
        levels, _ = self._quantise(resize_images(images, self.tensor_shape_[1:]))
        return np.ascontiguousarray(np.moveaxis(levels, -1, 1))

    def decode(self, levels: NDArray[Any]) -> NDArray[Any]:
        """Convert levels to images in the layout, dtype and range of `fit`; the inverse of `encode`.

        Parameters
        ----------
        levels : ndarray of shape (N, C, H, W)
            Integers from 0 to L - 1.

        Returns
        -------
        ndarray of shape (N, ...)
            Images in the layout of `fit`, with the rows and columns of the levels.
        """
        if self._channels_last:
            levels = np.moveaxis(levels, 1, -1)
        values = self._level_values()[levels]
        return values.reshape(-1, *self.resized(*self.tensor_shape_[1:]).sample_shape_)

    def from_bytes(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Convert bytes, 0 for black and 255 for white, to the dtype, the range and the levels of `fit`."""
        nearest = np.rint(np.arange(256) / 255 * (self.n_levels_ - 1)).astype(np.intp)
        return self._level_values()[nearest][pixels]

    @property
    def settled_(self) -> dict[str, Any]:
        """The values that the parameters resolve to in `fit`, by name."""
        return {
            "image_shape": self.image_shape_,
            "channel_axis": self.channel_axis,
            "pixel_range": (self.low_, self.high_),
            "n_levels": self.n_levels_,
        }

    @property
    def layout(self) -> Layout:
        """The axes and the number of channels of the images in X."""
        return Layout.of(self.image_shape_, self.channel_axis)

    @property
    def native_size(self) -> tuple[int, int]:
        """H and W of the images in X, before any reduction."""
        _, height, width = tensor_shape_of(self.image_shape_, self.channel_axis)
        return height, width

    @property
    def drawn_shape_(self) -> tuple[int, ...]:
        """The shape of a decoded image in the layout of the user."""
        return self.resized(*self.tensor_shape_[1:]).image_shape_

    def resized(self, height: int, width: int) -> ImageCodec:
        """Return the same codec for images of a different size.

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
        other.resolution = None
        return other

    def at(self, resolution: tuple[int, int]) -> ImageCodec:
        """Return the codec for the same images at a different resolution.

        Raises
        ------
        InvalidInputError
            If the images are smaller than the resolution.
        """
        height, width = self.native_size
        if resolution[0] > height or resolution[1] > width:
            raise InvalidInputError(
                f"X has images of {height} rows and {width} columns, smaller than resolution={resolution}. "
                "Pass larger images, or reduce resolution."
            )
        other = copy(self)
        other.resolution = None if resolution == (height, width) else resolution
        other.tensor_shape_ = (tensor_shape_of(self.image_shape_, self.channel_axis)[0], *resolution)
        return other

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise if X has neither the image shape of `fit` nor flat rows of that shape.

        Parameters
        ----------
        shape : tuple of int
            The shape of X, (N, ...).

        Raises
        ------
        InvalidInputError
        """
        advice = ""
        if self.layout.fits(shape[1:]) and self.resolution is None:
            advice = f" To resize images of any size, set resolution={self.tensor_shape_[1:]}."
        elif len(shape) == 3 and self.layout.fits(shape):
            advice = " Put a single image into a list: [X]."
        check_shape(shape, self.image_shape_, advice)

    def _level_values(self) -> NDArray[Any]:
        """Return the value of each level, (L,), in the dtype of `fit`; first and last are the pixel range."""
        share = np.arange(self.n_levels_)
        last = self.n_levels_ - 1
        values = ((last - share) * self.low_ + share * self.high_) / last
        values[0], values[-1] = self.low_, self.high_
        if not np.issubdtype(self.dtype_, np.floating):
            values = np.rint(values)
        return values.astype(self.dtype_)

    @property
    def _channels_last(self) -> bool:
        return len(self.image_shape_) == 3 and self.channel_axis == -1

    def _range(self, flat: NDArray[Any]) -> tuple[float, float]:
        lowest, highest = flat.min().item(), flat.max().item()
        if flat.dtype.kind in "iu" and max(-lowest, highest) > LARGEST_INTEGER:
            raise InvalidInputError(
                f"X has integers from {lowest} to {highest}, which float64 cannot represent exactly. Pass "
                "values from -2**53 to 2**53."
            )
        if self.pixel_range == "auto":
            return (0.0, 255.0) if flat.dtype == np.uint8 else (float(lowest), float(highest))
        low, high = map(float, self.pixel_range)
        if lowest < low or highest > high:
            raise InvalidInputError(
                f"X has values from {lowest:g} to {highest:g}, outside pixel_range=({low:g}, {high:g}). Set "
                "pixel_range to the range of the images, or to 'auto'."
            )
        return low, high

    def _check_range(self) -> None:
        """Raise if the range exceeds what float64 or the dtype of the images can represent."""
        low, high, dtype = self.low_, self.high_, self.dtype_
        if not max(-low, high) <= LARGEST_VALUE:
            raise InvalidInputError(
                f"X has values from {low:g} to {high:g}, too far apart for float64. Rescale X."
            )
        smallest, largest = _limits(dtype)
        if low < smallest or high > largest:
            raise InvalidInputError(
                f"pixel_range=({low:g}, {high:g}) has values that the dtype of X, {dtype}, cannot hold. Set "
                "pixel_range to the range of the images, or convert X to a different dtype."
            )

    @property
    def _holds_whole_numbers(self) -> bool:
        """Whether the images in `fit` are integers, or all levels are."""
        step = (self.high_ - self.low_) / (self.n_levels_ - 1)
        return self.dtype_.kind in "biu" or (self.low_.is_integer() and step.is_integer())

    def _count_levels(self, flat: NDArray[Any]) -> int:
        if self.n_levels != "auto":
            return int(self.n_levels)
        if not (self.low_.is_integer() and self.high_.is_integer() and all_whole(flat)):
            return MAX_LEVELS
        return int(min(max(self.high_ - self.low_ + 1, 2), MAX_LEVELS))

    def _quantise(self, flat: NDArray[Any]) -> tuple[NDArray[np.uint8], int]:
        """Return the levels of the values, and the number of values outside the range."""
        if flat.dtype == np.uint8 and (self.low_, self.high_, self.n_levels_) == (0.0, 255.0, 256):
            return flat, 0
        levels, n_outside = np.empty(flat.shape, dtype=np.uint8), 0
        rounding = float(np.finfo(flat.dtype).eps) if flat.dtype.kind == "f" else 0.0
        for part, result in zip(parts(flat), parts(levels), strict=True):
            values = part.astype(np.float64)
            n_outside += self._count_outside(values, rounding)
            np.rint(self._shares(values) * (self.n_levels_ - 1), out=result, casting="unsafe")
        return levels, n_outside

    def _warn_of_clipping(self, n_outside: int, n_values: int, slip: str | None) -> None:
        advice = f"{slip}. {SAME_SCALE}" if slip else "Set pixel_range in fit for a wider range."
        warnings.warn(
            f"{n_outside} of {n_values} values of X are outside the fitted range from {self.low_:g} to "
            f"{self.high_:g}, and were clipped. {advice}",
            PixelClippingWarning,
            stacklevel=4,
        )

    def _shares(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale values to [0, 1] by the pixel range."""
        span = self.high_ - self.low_
        # A constant range has a single level, 0.
        return ((values - self.low_) / span).clip(0, 1) if span > 0 else np.zeros_like(values)

    def _count_outside(self, values: NDArray[np.float64], rounding: float) -> int:
        """Count the values outside the range, with a relative tolerance for rounding."""
        tolerance = max(1e-6, rounding) * (self.high_ - self.low_)
        return int(((values < self.low_ - tolerance) | (values > self.high_ + tolerance)).sum())


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the smallest and the largest value of a dtype."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
