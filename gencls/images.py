"""Image files into arrays of 8-bit values: `read_image` for one, the transformer `ReadImages` for many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from ._decoding import MODES, RESAMPLING, ImageSource, Reading, read_source, some_of, source_name
from .errors import GenclsError, ImageFileError, InvalidInputError
from .stateless import StatelessTransformer
from .validation import Rule, both_sides, check_parameters, choice, either, flag, optional, sides, whole

__all__ = ["ReadImages", "read_image"]

MAX_PIXELS = 64_000_000


def read_image(
    source: ImageSource,
    *,
    size: int | tuple[int, int] | None = None,
    mode: str = "RGB",
    resample: str = "bilinear",
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Read one image into an array of 8-bit values.

    The formats are BMP, GIF, JPEG, JPEG 2000, PNG, PPM, TIFF and WebP. An orientation that the camera noted
    (EXIF) is applied. 16-bit grey is scaled to 8 bits. What is transparent is laid on white where ``mode``
    has no alpha channel. Colour profiles are not applied. Animations, pages, floats, and integers of an
    uncertain range are refused.

    Parameters
    ----------
    source : str, path-like, bytes, binary file, PIL.Image.Image or ndarray of uint8
        A path; the content of an image file, as bytes or as an open binary file, which is read from its
        beginning and stays open; or an image: Pillow's, or an array (H, W) or (H, W, C) whose C channels are
        grey, grey and alpha, RGB or RGBA. Nothing that is given is changed.
    size : int, pair of int or None, default=None
        The size to bring the image to: both sides, or (height, width), at least 1. The ratio of the sides is
        not kept. None leaves the size as it is.
    mode : {"L", "RGB", "RGBA"}, default="RGB"
        Grey, colour, or colour with an alpha channel.
    resample : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default="bilinear"
        Pillow's filter for the change of size. All but "nearest" are antialiased when an image shrinks. The
        result is rounded to 8 bits, so that a likelihood over 256 levels stays exact.
    max_pixels : int, default=64_000_000
        Images of more pixels than this are refused before they are decoded. Pillow's own guard stays in
        force: it warns above ``PIL.Image.MAX_IMAGE_PIXELS`` and refuses twice that.

    Returns
    -------
    ndarray of uint8, of shape (H, W, C), or (H, W) with ``mode="L"``
        The values, from 0 to 255. The array is the caller's own.

    Raises
    ------
    ImageFileError
        The source cannot be read safely and rightly. The message names the file.
    InvalidInputError
        ``source`` is none of the types above.
    InvalidParameterError
        Another parameter is wrong; all that are wrong are reported.

    Examples
    --------
    >>> import numpy as np
    >>> from gencls.images import read_image
    >>> read_image(np.arange(16, dtype=np.uint8).reshape(4, 4), size=2, mode="L", resample="box")
    array([[ 3,  5],
           [11, 13]], dtype=uint8)
    """
    values = {"size": size, "mode": mode, "resample": resample, "max_pixels": max_pixels}
    reading = _check_reading("read_image", values)
    return read_source(source, reading, "the image")


class ReadImages(StatelessTransformer):
    """Turn paths or images into one array of images: the first step of a pipeline.

    It learns nothing: ``fit`` only checks the parameters, and ``transform`` may be called without it. See
    `read_image` for how each image is read.

    Parameters
    ----------
    size : int, pair of int or None, default=32
        The size to bring every image to: both sides, or (height, width). With None, all images must have one.
    mode : {"L", "RGB", "RGBA"}, default="RGB"
        Grey, colour, or colour with an alpha channel.
    resample : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default="bilinear"
        Pillow's filter for the change of size.
    max_pixels : int, default=64_000_000
        Images of more pixels than this are refused before they are decoded.
    n_jobs : int or None, default=None
        How many images are read at a time, in threads, as joblib understands it; -1 is one for each core.
    verbose : int, default=0
        Show a progress bar where it is not 0.

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
    ) -> None:
        self.size = size
        self.mode = mode
        self.resample = resample
        self.max_pixels = max_pixels
        self.n_jobs = n_jobs
        self.verbose = verbose

    def transform(self, X: Iterable[ImageSource]) -> NDArray[np.uint8]:
        """Read the images.

        Parameters
        ----------
        X : iterable of length N
            Paths, the other sources that `read_image` takes, or a mixture of them: a list, an array, a series
            of pandas. An array of uint8 of shape (N, H, W) or (N, H, W, C) is N images.

        Returns
        -------
        ndarray of uint8, of shape (N, H, W, C), or (N, H, W) with ``mode="L"``
            The values, from 0 to 255.

        Raises
        ------
        ImageFileError
            Images cannot be read, or differ in size while ``size`` is None. The message names the first ones.
        InvalidInputError
            X is empty, is a single image or a table, or holds something that is no image.
        InvalidParameterError
            A parameter is wrong; all that are wrong are reported.
        """
        return _read_all(_listed(X), self._check(), n_jobs=self.n_jobs, verbose=self.verbose)

    def _check(self) -> Reading:
        return _check_reading("ReadImages", self.get_params())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags


def _is_n_jobs(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value != 0


READING_RULES = {
    "size": optional(sides()),
    "mode": choice(*MODES),
    "resample": choice(*RESAMPLING),
    "max_pixels": whole(1),
    "n_jobs": optional(Rule("an int other than 0", _is_n_jobs)),
    "verbose": either(flag(), whole(0)),
}


def _check_reading(owner: str, values: Mapping[str, Any]) -> Reading:
    check_parameters(owner, values, {name: READING_RULES[name] for name in values})
    size = values["size"]
    return Reading(
        size=None if size is None else both_sides(size),
        mode=values["mode"],
        resample=Image.Resampling[values["resample"].upper()],
        max_pixels=int(values["max_pixels"]),
    )


# Many images


def _listed(X: Any) -> list[Any]:
    """Return the images of X in a list; refuse what is one image, or a table of numbers."""
    rule = "X of ReadImages must be a list of paths or images, or an array (N, H, W) or (N, H, W, C)."
    if isinstance(X, str | bytes | os.PathLike | Image.Image) or hasattr(X, "read"):
        raise InvalidInputError(f"{rule} Got a single {type(X).__name__}. Put it into a list: [X].")
    if getattr(X, "ndim", 1) in (0, 2):
        raise InvalidInputError(
            f"{rule} Got a {type(X).__name__} of shape {tuple(X.shape)}. Select the one column that holds "
            "the paths, or fold rows of pixels into (N, height, width, channels)."
        )
    if not isinstance(X, Iterable):
        raise InvalidInputError(f"{rule} Got {X!r}, which cannot be iterated over.")
    listed = list(X)
    if not listed:
        raise InvalidInputError(f"{rule} Got none. Check where the list comes from.")
    return listed


def _read_all(
    sources: Sequence[ImageSource], reading: Reading, *, n_jobs: int | None = None, verbose: int = 0
) -> NDArray[np.uint8]:
    """Read all images into one array; those that cannot be read are reported together."""
    shown = tqdm(sources, desc="Reading images", unit=" images", disable=not verbose)
    read = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_read_or_mistake)(source, reading, f"X[{index}]") for index, source in enumerate(shown)
    )
    mistakes = [result for result in read if isinstance(result, GenclsError)]
    if len(mistakes) == 1:
        raise mistakes[0]
    if mistakes:
        summary = f"{len(mistakes)} of the {len(read)} images cannot be read:"
        raise type(mistakes[0])(f"{summary}\n{some_of([str(mistake) for mistake in mistakes])}")
    _check_one_size(read, sources)
    return np.stack(read)


def _read_or_mistake(source: ImageSource, reading: Reading, name: str) -> NDArray[np.uint8] | GenclsError:
    try:
        return read_source(source, reading, name)
    except GenclsError as mistake:
        return mistake


def _check_one_size(images: Sequence[NDArray[np.uint8]], sources: Sequence[ImageSource]) -> None:
    first = images[0].shape
    for index, image in enumerate(images):
        if image.shape != first:
            name, first_name = source_name(sources[index], f"X[{index}]"), source_name(sources[0], "X[0]")
            raise ImageFileError(
                f"With size=None all images must have one size, but {first_name} is {first[0]} pixels high "
                f"and {first[1]} wide, and {name} is {image.shape[0]} high and {image.shape[1]} wide. Give a "
                "size to bring all of them to, such as size=32."
            )
