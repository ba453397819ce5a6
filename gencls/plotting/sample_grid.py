"""A grid of images by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._common.unwrapping import unwrap
from .._common.validation import Rule, bounds, check_parameters, optional, shortened, whole
from ..errors import InvalidInputError
from ..estimators._labels import as_labels
from ..images.layout import flatten_images
from ..images.shapes import fold_shape
from .axes import AXES, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SampleGridDisplay"]

RULES = {
    "n_per_class": whole(0),
    "image_shape": optional(Rule("a tuple of 2 or 3 ints", lambda value: _is_shape(value))),
    "channel_axis": whole(-3, 3),
    "pixel_range": optional(bounds()),
    "ax": optional(AXES),
}


class SampleGridDisplay:
    """A grid of images with one row per class.

    Use :meth:`from_estimator` or :meth:`from_images` to create a display.

    Parameters
    ----------
    rows : sequence of ndarray of shape (n, H, W, C)
        The images of each row; n may differ between rows.
    labels : sequence
        The label of each row.
    pixel_range : tuple of float
        The values of black and white.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Notes
    -----
    The channels are grey, grey and alpha, RGB, or RGBA.
    """

    ax_: Axes
    figure_: Any

    def __init__(self, rows: Sequence[NDArray[Any]], labels: Sequence[Any], pixel_range: tuple[float, float]):
        self.rows = rows
        self.labels = labels
        self.pixel_range = pixel_range

    @classmethod
    def from_estimator(
        cls, clf: Any, *, n_per_class: int = 8, random_state: Any = None, ax: Axes | None = None
    ) -> SampleGridDisplay:
        """Plot samples of every class from a fitted classifier.

        Parameters
        ----------
        clf : GenerativeBayesClassifier, or a pipeline or search that ends in one
            A fitted estimator; a search is represented by its best estimator.
        n_per_class : int, default=8
            Number of images per row. All images are sampled together, which takes little longer than
            sampling one.
        random_state : int, RandomState instance or None, default=None
            Passed to ``clf.sample``.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        SampleGridDisplay

        Raises
        ------
        InvalidInputError
            If `clf` does not contain such a classifier.
        """
        _check(n_per_class=n_per_class, ax=ax)
        clf = unwrap(clf, "sample")
        wanted = np.repeat(clf.classes_, n_per_class)
        X, y = clf.sample(len(wanted), y=wanted, random_state=random_state)
        return cls.from_images(
            X,
            y,
            classes=clf.classes_,
            n_per_class=n_per_class,
            image_shape=clf.codec_.drawn_shape_,
            channel_axis=clf.channel_axis,
            pixel_range=(clf.codec_.low_, clf.codec_.high_),
            ax=ax,
        )

    @classmethod
    def from_images(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        *,
        classes: Sequence[Any] | NDArray[Any] | None = None,
        n_per_class: int = 8,
        image_shape: Sequence[int] | None = None,
        channel_axis: int = -1,
        pixel_range: tuple[float, float] | None = None,
        ax: Axes | None = None,
    ) -> SampleGridDisplay:
        """Plot the first images of every class.

        Parameters
        ----------
        X : array-like of shape (n, H, W), (n, H, W, C) or (n, n_features)
            Images; with ``channel_axis=1`` of shape (n, C, H, W).
        y : array-like of shape (n,)
            Labels.
        classes : sequence, default=None
            The classes in the order of the rows. If None, the sorted labels of `y`.
        n_per_class : int, default=8
            Maximum number of images per row.
        image_shape : tuple of int, default=None
            The shape of flat images, with the channels at `channel_axis`. If None, flat images are grey
            squares.
        channel_axis : int, default=-1
            The channel axis of `X`.
        pixel_range : tuple of float, default=None
            The values of black and white. If None, 0 and 255 for uint8, else the extremes of `X`.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        SampleGridDisplay

        Raises
        ------
        InvalidInputError
            If the shapes of `X`, `y` and `image_shape` do not match, or there is no image to plot.
        """
        options = {"image_shape": image_shape, "channel_axis": channel_axis, "pixel_range": pixel_range}
        _check(n_per_class=n_per_class, ax=ax, **options)
        rows, shape = flatten_images(X)
        pixels = np.asarray(rows).reshape(shape)
        images, labels = _channels_last(pixels, image_shape, channel_axis), np.asarray(as_labels(y))
        if labels.shape != (len(images),):
            raise InvalidInputError(
                f"y must have a label for each of the {len(images)} images, got the shape {labels.shape}."
            )
        if not images.size:
            raise InvalidInputError(f"X must have at least one pixel, got the shape {pixels.shape}.")
        names = list(np.unique(labels) if classes is None else classes)
        drawn = [images[labels == name][:n_per_class] for name in names]
        if not any(map(len, drawn)):
            raise InvalidInputError(
                f"X must have at least one image to plot, got none of the classes {shortened(names)} with "
                f"n_per_class={n_per_class}."
            )
        return cls(drawn, names, _value_range(pixels) if pixel_range is None else pixel_range).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> SampleGridDisplay:
        """Plot the grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        SampleGridDisplay
            The display itself.
        """
        mosaic = _mosaic(self.rows, self.pixel_range)
        cell = mosaic.shape[0] / len(self.rows)
        self.ax_ = axes_or_new(type(self).__name__, ax, figsize=_figure_size(mosaic))
        self.figure_ = self.ax_.figure
        low, high = self.pixel_range
        self.ax_.imshow(mosaic, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        centres = [cell * (row + 0.5) - 0.5 for row in range(len(self.rows))]
        self.ax_.set_yticks(centres, map(str, self.labels), parse_math=False)  # names may contain "$"
        self.ax_.set(xticks=[], ylabel="Class")
        self.ax_.tick_params(length=0)
        self.ax_.spines[:].set_visible(False)
        return self


def _check(**values: Any) -> None:
    check_parameters("SampleGridDisplay", values, {name: RULES[name] for name in values})


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) in (2, 3) and all(map(whole(1).accepts, value))


def _channels_last(
    pixels: NDArray[Any], image_shape: Sequence[int] | None, channel_axis: int
) -> NDArray[Any]:
    """Convert images of any accepted layout to (n, H, W, C)."""
    images = _folded(pixels, image_shape) if pixels.ndim == 2 else pixels
    if images.ndim == 3:
        images = images[..., None]
    elif images.ndim == 4:
        images = np.moveaxis(images, channel_axis, -1)
    if images.ndim != 4 or not 1 <= images.shape[-1] <= 4:
        raise InvalidInputError(
            "X must be flat or have the shape (n, H, W) or (n, H, W, C) with 1 to 4 channels, "
            f"got the shape {pixels.shape} with channel_axis={channel_axis}."
        )
    return images


def _folded(flat: NDArray[Any], image_shape: Sequence[int] | None) -> NDArray[Any]:
    n_features = flat.shape[1]
    if image_shape is None:
        image_shape = fold_shape(n_features)
    if int(np.prod(image_shape)) != n_features:
        raise InvalidInputError(
            f"image_shape must multiply to the {n_features} features of X, got "
            f"{shortened(tuple(image_shape))}."
        )
    return flat.reshape(-1, *image_shape)


def _value_range(pixels: NDArray[Any]) -> tuple[float, float]:
    return (0, 255) if pixels.dtype == np.uint8 else (float(pixels.min()), float(pixels.max()))


def _mosaic(rows: Sequence[NDArray[Any]], pixel_range: tuple[float, float], gap: int = 1) -> NDArray[Any]:
    """Tile the images to one image: (rows, columns) for grey images, else (rows, columns, 4).

    Gaps are NaN, or transparent. Grey images keep their values, colour images are scaled to [0, 1].
    """
    tiles = [_tiles(images, pixel_range) for images in rows]
    height, width, channels = tiles[0].shape[1:]
    n_columns = max(len(images) for images in tiles)
    blank = np.nan if channels == 1 else 0.0
    mosaic = np.full((len(tiles), height + gap, n_columns, width + gap, channels), blank)
    for row, images in enumerate(tiles):
        mosaic[row, :height, : len(images), :width] = images.swapaxes(0, 1)
    flat = mosaic.reshape(len(tiles) * (height + gap), n_columns * (width + gap), channels)
    return flat[..., 0] if channels == 1 else flat


def _tiles(images: NDArray[Any], pixel_range: tuple[float, float]) -> NDArray[Any]:
    """Return grey images unchanged, and other images as RGBA from 0 to 1."""
    if images.shape[-1] == 1:
        return images.astype(np.float64)
    low, high = pixel_range
    scaled = np.clip((images - float(low)) / (float(high) - low or 1.0), 0, 1)
    opacity = scaled[..., -1:] if scaled.shape[-1] in (2, 4) else np.ones_like(scaled[..., :1])
    colours = scaled[..., :1].repeat(3, axis=-1) if scaled.shape[-1] == 2 else scaled[..., :3]
    return np.concatenate([colours, opacity], axis=-1)


def _figure_size(mosaic: NDArray[Any]) -> tuple[float, float]:
    """Return the figure size in inches, about six for the longer side of the mosaic."""
    height, width = mosaic.shape[:2]
    scale = 6 / max(height, width)
    return max(width * scale, 1.5) + 0.6, max(height * scale, 1.0) + 0.2
