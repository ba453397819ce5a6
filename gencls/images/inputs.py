"""Image files, and images of different sizes, as X: read, cut and reduced one by one.

All other X, such as an array of images of one size, are left to `layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..errors import InvalidInputError
from .codec import ImageCodec
from .collecting import read_all, unreadable, warn_of_remarks
from .decoding import Reading
from .layout import (
    as_numbers,
    as_numpy,
    check_is_collection,
    holds_objects,
    is_unread,
    named,
    select_column,
)
from .listing import listed
from .reading import MAX_PIXELS
from .resizing import resize_images
from .shapes import Layout, tensor_shape_of
from .views import views_of

__all__ = ["SeparateImages", "levels_of_views", "separate", "stack", "stack_for_fit"]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of Pillow, by number of channels
KEPT = 4  # sides of the images that `fit` keeps for crops, relative to those of the levels
RULE = "X must be a list or column of image files, or of arrays."

Size = tuple[int, int]
Convert = Callable[[NDArray[Any], str], NDArray[Any]]


class SeparateImages(NamedTuple):
    """Images that do not form one array: files (paths, bytes, Pillow images), or arrays of several sizes."""

    items: Sequence[Any]
    are_files: bool


def separate(X: Any, codec: ImageCodec | None = None) -> SeparateImages | None:
    """Return the images of X, if they are files, or arrays of other sizes.

    Parameters
    ----------
    X : object
    codec : ImageCodec, optional
        Fitted. Without it, arrays of one size are not separate.

    Returns
    -------
    SeparateImages or None
        None if X has the image shape of the codec, or is anything else.

    Raises
    ------
    InvalidInputError
        If X is no collection, or has both files and other objects.
    """
    check_is_collection(X)
    column = select_column(X)
    first = _first(column)
    if is_unread(first):
        return SeparateImages(_files(column), are_files=True)
    arrays, shapes = _arrays(column, first)
    is_other = codec is not None and shapes != {codec.image_shape_} and all(map(codec.layout.fits, shapes))
    return SeparateImages(arrays, are_files=False) if shapes and (len(shapes) > 1 or is_other) else None


def levels_of_views(
    images: SeparateImages, codec: ImageCodec, views: str | Sequence[str] | None, *, strict: bool = False
) -> list[NDArray[np.uint8]]:
    """Levels of the views of all images; no more than one original is in memory for each thread.

    Each image is reduced to the size of those in `fit`, if these were larger than the levels, and never
    enlarged. Views are cut out of the result and reduced to the levels. The aspect ratio is not preserved.

    Parameters
    ----------
    images : SeparateImages of length N
    codec : ImageCodec
        Fitted.
    views : str or sequence of str, optional
        As in `views_of`.
    strict : bool, default=False
        As in `ImageCodec.encode`. Files have no other scale.

    Returns
    -------
    list of ndarray of shape (N, C, H, W)
        One array for each view, the first of the whole images.

    Raises
    ------
    ImageFileError
        If files cannot be read, or are smaller than the levels; it lists all of them.
    InvalidInputError
        If arrays have other axes or channels, are smaller than the levels, or have values that are not finite
        numbers.
    """
    size = codec.tensor_shape_[1:]
    largest = codec.native_size if codec.native_size != size else None

    def cut(image: NDArray[Any], name: str) -> NDArray[Any]:
        _check_size(image, size, name)
        small = image[None] if largest is None else _shrunk(image, largest)[None]
        return np.concatenate([resize_images(view, size) for view in views_of(small, views, size)])

    found = np.stack(_each(images, cut, codec.layout), axis=1)
    if images.are_files:
        return [codec.encode_images(codec.from_bytes(view)) for view in found]
    return [codec.encode_checked(found[0], strict=strict), *map(codec.encode_images, found[1:])]


def stack(images: SeparateImages, codec: ImageCodec) -> NDArray[Any]:
    """Resize images to those of the codec, in layout, size and range.

    Parameters
    ----------
    images : SeparateImages of length N
    codec : ImageCodec
        Fitted.

    Returns
    -------
    ndarray of shape (N, ...)

    Raises
    ------
    ImageFileError, InvalidInputError
        As in `levels_of_views`.
    """

    def resize(image: NDArray[Any], name: str) -> NDArray[Any]:
        _check_size(image, codec.tensor_shape_[1:], name)
        return resize_images(image[None], codec.native_size)[0]

    found = np.stack(_each(images, resize, codec.layout))
    values = codec.from_bytes(found) if images.are_files else found
    return codec.layout.from_channels_last(values)


def stack_for_fit(
    images: SeparateImages, resolution: Size, image_shape: tuple[int, ...] | None, channel_axis: int
) -> NDArray[Any]:
    """Resize images to one size that is larger than the resolution, so that crops can be cut out of them.

    Parameters
    ----------
    images : SeparateImages of length N
    resolution : tuple of int
        Rows and columns of the levels.
    image_shape : tuple of int, optional
        The shape of the result. By default its sides are those of the largest images, but at most four times
        the resolution. Files then become grey images if all of them are grey, else colour images.
    channel_axis : {-1, 1}

    Returns
    -------
    ndarray of shape (N, ...)
        Bytes for files, else numbers of the dtype of the arrays.

    Raises
    ------
    ImageFileError
        If files cannot be read, or are smaller than the resolution; it lists all of them.
    InvalidInputError
        If arrays differ in axes or channels, are smaller than the resolution, or have values that are not
        finite numbers.
    """
    layout, sides = _layout_for_fit(images, image_shape, channel_axis)
    largest = sides or (KEPT * resolution[0], KEPT * resolution[1])

    def shrink(image: NDArray[Any], name: str) -> NDArray[Any]:
        _check_size(image, resolution, name)
        return _shrunk(image, largest)

    kept = _each(images, shrink, layout)
    rows, columns = sides or np.max([image.shape[:2] for image in kept], axis=0).tolist()
    found = np.concatenate([resize_images(image[None], (rows, columns)) for image in kept])
    if images.are_files and image_shape is None and (found == found[..., :1]).all():
        layout = Layout(2, 1, channel_axis)  # all images are grey
    return layout.from_channels_last(found)


# The images of X


def _first(X: Any) -> Any:
    """Return the first element of a list or column of objects; None of arrays of numbers and of other X."""
    is_array = isinstance(X, np.ndarray | torch.Tensor) and not holds_objects(X)
    if is_array or getattr(X, "ndim", 1) != 1 or not hasattr(X, "__len__") or len(X) == 0:
        return None
    return _unwrapped(X.iloc[0] if hasattr(X, "iloc") else X[0])


def _unwrapped(item: Any) -> Any:
    """Return the field of a row of one field."""
    return item[0] if isinstance(item, tuple | list) and len(item) == 1 else item


def _files(X: Any) -> list[Any]:
    items = listed(X, "X", RULE)
    _check_one_kind(items)
    return items


def _check_one_kind(items: Sequence[Any]) -> None:
    """Raise if there are both files, whose pixels are bytes, and arrays, whose scale is that of `fit`."""
    kinds = [is_unread(item) for item in items]
    if len(set(kinds)) > 1:
        other = kinds.index(not kinds[0])
        raise InvalidInputError(
            f"X must have either image files or arrays, but X[0] is {named(items[0])} and X[{other}] is "
            f"{named(items[other])}. Remove the latter, or convert all images to one kind."
        )


def _arrays(X: Any, first: Any) -> tuple[Sequence[Any], set[tuple[int, ...]]]:
    """Return arrays of two or three axes, and their shapes; nothing for other X."""
    if len(getattr(X, "shape", ())) in (3, 4):
        return X, {tuple(X.shape[1:])}
    is_column = isinstance(X, list | tuple) or hasattr(X, "iloc") or holds_objects(X)
    if not is_column or len(getattr(first, "shape", ())) not in (2, 3):
        return [], set()
    items = [_unwrapped(item) for item in X]
    _check_one_kind(items)
    shapes = {tuple(getattr(item, "shape", ())) for item in items}
    return (items, shapes) if all(len(shape) in (2, 3) for shape in shapes) else ([], set())


# One image


def _layout_for_fit(
    images: SeparateImages, image_shape: tuple[int, ...] | None, channel_axis: int
) -> tuple[Layout, Size | None]:
    """Return the layout of the images, and their size if it is given."""
    if image_shape is not None:
        return Layout.of(image_shape, channel_axis), tensor_shape_of(image_shape, channel_axis)[1:]
    if images.are_files:
        return Layout(3, 3, channel_axis), None
    return Layout.of(tuple(images.items[0].shape), channel_axis), None


def _each(images: SeparateImages, convert: Convert, layout: Layout) -> list[NDArray[Any]]:
    """Convert the pixels (H, W, C) of each image."""
    if not images.are_files:
        names = (f"X[{position}]" for position in range(len(images.items)))
        pairs = zip(images.items, names, strict=True)
        return [convert(_pixels(item, layout, name), name) for item, name in pairs]
    if layout.n_channels not in MODES:
        raise InvalidInputError(
            f"X must be arrays: image files cannot be read as images with {layout.n_channels} channels."
        )
    reading = Reading(None, MODES[layout.n_channels], Image.Resampling.BILINEAR, MAX_PIXELS, None)
    grey = layout.n_channels == 1
    decoded, mistakes = read_all(
        images.items,
        reading,
        "X",
        convert=lambda pixels, name: convert(pixels[..., None] if grey else pixels, name),
    )
    if mistakes:
        raise unreadable(mistakes, len(images.items))
    warn_of_remarks(decoded, images.items, "X")
    return [image.pixels for image in decoded.values()]


def _pixels(item: Any, layout: Layout, name: str) -> NDArray[Any]:
    """Return an array as (H, W, C)."""
    image = as_numbers(as_numpy(item, name))
    if not layout.fits(image.shape):
        raise InvalidInputError(f"{name} must have the shape {layout}, got {image.shape}.")
    if image.dtype.kind == "c" or not np.isfinite(image).all():
        raise InvalidInputError(f"{name} must have only finite real numbers. Remove it, or fill the gaps.")
    return layout.channels_last(image[None])[0]


def _check_size(image: NDArray[Any], smallest: Size, name: str) -> None:
    """Raise if an image would have to be enlarged: its density would be that of a blurred image."""
    if image.shape[0] < smallest[0] or image.shape[1] < smallest[1]:
        raise InvalidInputError(
            f"{name} has {image.shape[0]} rows and {image.shape[1]} columns, fewer than the "
            f"{smallest[0]}×{smallest[1]} of the model. Pass a larger image, or enlarge it by "
            f"ReadImages(size={smallest})."
        )


def _shrunk(image: NDArray[Any], largest: Size) -> NDArray[Any]:
    """Reduce the sides of an image that are larger."""
    size = (min(image.shape[0], largest[0]), min(image.shape[1], largest[1]))
    return resize_images(image[None], size)[0]
