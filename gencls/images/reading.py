"""Read image files as arrays of 8-bit values: functions and the transformer `ReadImages`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._common.validation import (
    Rule,
    both_sides,
    check_parameters,
    choice,
    either,
    flag,
    optional,
    real,
    sides,
    whole,
)
from .collecting import ImageMistake, in_one_array, read_all, unreadable
from .decoding import MODES, ImageSource, Reading, read_source, source_name
from .listing import listed
from .resizing import FILTERS
from .stateless import StatelessTransformer

__all__ = ["ReadImages", "read_image", "read_images"]

MAX_PIXELS = 64_000_000
IMAGES = "must be a list of paths or images, or an array (N, H, W) or (N, H, W, C)."


def read_image(
    source: ImageSource,
    *,
    size: int | tuple[int, int] | None = None,
    mode: str = "RGB",
    resample: str = "bilinear",
    max_pixels: int = MAX_PIXELS,
    value_range: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Read one image as an array of 8-bit values.

    Supported formats are BMP, GIF, JPEG, JPEG 2000, PNG, PPM, TIFF, WebP, and AVIF with Pillow 11.3 or later.
    The EXIF orientation is applied. 16-bit grey is scaled to 8 bits. If ``mode`` has no alpha channel,
    transparent pixels are blended with white. Colour profiles are ignored. Thumbnails and masks in a TIFF are
    skipped. Animations and files of several pages are refused; so are floats, and integers of an unknown
    range, without `value_range`.

    Parameters
    ----------
    source : str, path-like, bytes, binary file, PIL.Image.Image or ndarray of uint8
        A path; the content of an image file, as bytes or as an open binary file, which is read from its
        beginning and stays open; or an image: a Pillow image of any format, or an array (H, W) or (H, W, C)
        whose C channels are grey, grey and alpha, RGB or RGBA. The source is not modified: a Pillow image
        that is not decoded yet stays undecoded.
    size : int, pair of int or None, default=None
        The size of the result: an int for both sides, or (height, width), at least 1. The aspect ratio is not
        preserved. None keeps the size.
    mode : {"L", "RGB", "RGBA"}, default="RGB"
        Grey, colour, or colour with an alpha channel.
    resample : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default="bilinear"
        The resampling filter of Pillow. All filters except "nearest" are antialiased when an image shrinks.
        The result is rounded to 8 bits, so a likelihood over 256 levels remains exact.
    max_pixels : int, default=64_000_000
        Images with more pixels are refused before decoding. The limit of Pillow applies in addition: Pillow
        warns above ``PIL.Image.MAX_IMAGE_PIXELS`` and refuses twice that number. Raise both limits for larger
        images that you trust.
    value_range : (float, float) or None, default=None
        The values of black and white, which become 0 and 255, for grey of 16 bits or more, and for floats.
        Values outside are clipped, with a `PixelClippingWarning`. None is (0, 65535), with a
        `NarrowRangeWarning` if an image uses less than a sixteenth of that range, apart from pure black and
        white: many cameras, X-ray machines and satellites write 12 bits, with the range (0, 4095). 8-bit
        images are not scaled.

    Returns
    -------
    ndarray of uint8, of shape (H, W, C), or (H, W) with ``mode="L"``
        Values from 0 to 255, in a new array.

    Raises
    ------
    ImageFileError
        If the source cannot be read safely and correctly. The message names the file.
    InvalidInputError
        If `source` has a different type.
    InvalidParameterError
        If other parameters are invalid; all of them are reported together.

    Examples
    --------
    >>> import numpy as np
    >>> from gencls.images import read_image
    >>> read_image(np.arange(16, dtype=np.uint8).reshape(4, 4), size=2, mode="L", resample="box")
    array([[ 3,  5],
           [11, 13]], dtype=uint8)
    """
    values = {"size": size, "mode": mode, "resample": resample, "max_pixels": max_pixels}
    reading = _check_reading("read_image", values | {"value_range": value_range})
    pixels, remark = read_source(source, reading, "the image")
    if remark is not None:
        warnings.warn(f"{source_name(source, 'the image')}: {remark.words}", remark.category, stacklevel=2)
    return pixels


def read_images(
    sources: Iterable[ImageSource],
    *,
    size: int | tuple[int, int] | None = 32,
    mode: str = "RGB",
    resample: str = "bilinear",
    max_pixels: int = MAX_PIXELS,
    n_jobs: int | None = None,
    verbose: int = 0,
    value_range: tuple[float, float] | None = None,
) -> tuple[NDArray[np.uint8], list[ImageMistake]]:
    """Read all readable images, and list the unreadable ones.

    `ReadImages` raises if a single image is damaged, because a step of a pipeline must not change the number
    of rows. This function skips damaged images, so that you can remove their labels.

    Parameters
    ----------
    sources : iterable of length N
        Paths and images, see `ReadImages.transform`.
    size, mode, resample, max_pixels, n_jobs, verbose, value_range
        See `ReadImages`.

    Returns
    -------
    images : ndarray of uint8, of shape (n, H, W, C), or (n, H, W) with ``mode="L"``
        The n readable images, in the order of `sources`.
    mistakes : list of ImageMistake, of length N - n
        The unreadable images: ``position`` in `sources`, from 0, ``source`` as passed, and ``message``.

    Raises
    ------
    ImageFileError
        If no image is readable, or the readable images differ in size and ``size`` is None.
    InvalidInputError
        If `sources` is empty, a single image, a table, or ambiguous.
    InvalidParameterError
        If other parameters are invalid; all of them are reported together.

    Examples
    --------
    >>> import numpy as np
    >>> from gencls.images import read_images
    >>> images, mistakes = read_images([np.zeros((20, 30), np.uint8), b"damaged"], size=8)
    >>> images.shape
    (1, 8, 8, 3)
    >>> labels = np.delete(["cat", "dog"], [mistake.position for mistake in mistakes])
    """
    values = {"size": size, "mode": mode, "resample": resample, "max_pixels": max_pixels, "n_jobs": n_jobs}
    reading = _check_reading("read_images", values | {"verbose": verbose, "value_range": value_range})
    given = listed(sources, "sources", f"sources of read_images {IMAGES}")
    decoded, mistakes = read_all(given, reading, "sources", n_jobs=n_jobs, verbose=verbose)
    if not decoded:
        raise unreadable(mistakes, len(given))
    return in_one_array(decoded, given, "sources"), mistakes


class ReadImages(StatelessTransformer):
    """Read paths or images as one array of images, as the first step of a pipeline.

    The transformer is stateless: ``fit`` only checks the parameters and is optional. See `read_image` for how
    each image is read.

    Parameters
    ----------
    size : int, pair of int or None, default=32
        The size of all images: an int for both sides, or (height, width). With None, all images must have the
        same size.
    mode : {"L", "RGB", "RGBA"}, default="RGB"
        Grey, colour, or colour with an alpha channel.
    resample : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default="bilinear"
        The resampling filter of Pillow.
    max_pixels : int, default=64_000_000
        Images with more pixels are refused before decoding.
    n_jobs : int or None, default=None
        Number of threads, as in joblib; -1 uses all cores.
    verbose : int, default=0
        If not 0, show a progress bar.
    value_range : (float, float) or None, default=None
        The values of black and white for grey of 16 bits or more, and for floats; None is (0, 65535). A
        single warning reports the number of images that use less than a sixteenth of that range.

    See Also
    --------
    read_images : Skip unreadable images and list them.

    Examples
    --------
    >>> import numpy as np
    >>> from gencls.images import ReadImages
    >>> ReadImages(size=8).transform([np.zeros((20, 30), np.uint8), np.zeros((64, 64, 3), np.uint8)]).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = 32,
        mode: str = "RGB",
        resample: str = "bilinear",
        max_pixels: int = MAX_PIXELS,
        n_jobs: int | None = None,
        verbose: int = 0,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.size = size
        self.mode = mode
        self.resample = resample
        self.max_pixels = max_pixels
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.value_range = value_range

    def transform(self, X: Iterable[ImageSource]) -> NDArray[np.uint8]:
        """Read the images.

        Parameters
        ----------
        X : iterable of length N
            Paths or other sources of `read_image`, possibly mixed: a list, an array, a pandas Series, or a
            table of one column. A uint8 array (N, H, W) or (N, H, W, C) is N images. An array of three axes,
            the last of length 1 to 4, could also be one image (H, W, C), and is refused: pass ``[X]`` for one
            image, ``X[..., None]`` for grey images.

        Returns
        -------
        ndarray of uint8, of shape (N, H, W, C), or (N, H, W) with ``mode="L"``
            Values from 0 to 255.

        Raises
        ------
        ImageFileError
            If images are unreadable, or differ in size and ``size`` is None. The message names the first of
            them; the attributes ``positions``, ``sources`` and ``messages`` list all. `read_images` skips
            them.
        InvalidInputError
            If X is empty, a single image, a table, or ambiguous.
        InvalidParameterError
            If parameters are invalid; all of them are reported together.
        """
        reading = self._check()
        given = listed(X, "X", f"X of ReadImages {IMAGES}")
        decoded, mistakes = read_all(given, reading, "X", n_jobs=self.n_jobs, verbose=self.verbose)
        if mistakes:
            raise unreadable(mistakes, len(given))
        return in_one_array(decoded, given, "X")

    def _check(self) -> Reading:
        return _check_reading("ReadImages", self.get_params())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags


def _is_n_jobs(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value != 0


def _is_range(value: Any) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 2 or not all(map(MODERATE.accepts, value)):
        return False
    low, high = map(float, value)
    return low < high and math.isfinite(255 / (high - low))


MODERATE = real("a number from -1e300 to 1e300", lambda value: -1e300 <= value <= 1e300)
READING_RULES = {
    "size": optional(sides()),
    "mode": choice(*MODES),
    "resample": choice(*FILTERS),
    "max_pixels": whole(1),
    "n_jobs": optional(Rule("an int other than 0", _is_n_jobs)),
    "verbose": either(flag(), whole(0)),
    "value_range": optional(Rule("a pair (black, white) of finite numbers, black below white", _is_range)),
}


def _check_reading(owner: str, values: Mapping[str, Any]) -> Reading:
    check_parameters(owner, values, {name: READING_RULES[name] for name in values})
    size, value_range = values["size"], values["value_range"]
    return Reading(
        size=None if size is None else both_sides(size),
        mode=values["mode"],
        resample=Image.Resampling[values["resample"].upper()],
        max_pixels=int(values["max_pixels"]),
        value_range=None if value_range is None else (float(value_range[0]), float(value_range[1])),
    )
