"""Read many images: all mistakes in one error, all remarks in one warning."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm import tqdm

from ..errors import GenclsError, ImageFileError
from .decoding import Decoded, ImageSource, Reading, read_source, some_of, source_name

__all__ = ["ImageMistake", "in_one_array", "read_all", "summary_of", "unreadable", "warn_of_remarks"]

Convert: TypeAlias = Callable[[NDArray[np.uint8], str], NDArray[np.uint8]]

LONGEST_LINE = 350  # characters per mistake in a list of mistakes


class ImageMistake(NamedTuple):
    """An unreadable image: its position, its source as passed, and an error message."""

    position: int
    source: Any
    message: str


def read_all(
    sources: Sequence[ImageSource],
    reading: Reading,
    name: str,
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
    convert: Convert | None = None,
) -> tuple[dict[int, Decoded], list[ImageMistake]]:
    """Return the decoded images by position, and a list of unreadable images.

    `convert` is applied to the pixels and the name of each image as soon as it is read.
    """
    shown = tqdm(sources, desc="Reading images", unit=" images", disable=not verbose)
    read = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_read_or_mistake)(source, reading, f"{name}[{index}]", index, convert)
        for index, source in enumerate(shown)
    )
    good = {index: result for index, result in enumerate(read) if isinstance(result, Decoded)}
    return good, [result for result in read if isinstance(result, ImageMistake)]


def _read_or_mistake(
    source: ImageSource, reading: Reading, fallback: str, index: int, convert: Convert | None
) -> Decoded | ImageMistake:
    try:
        image = read_source(source, reading, fallback)
        if convert is None:
            return image
        return image._replace(pixels=convert(image.pixels, source_name(source, fallback)))
    except GenclsError as error:
        return ImageMistake(index, source, str(error))


def in_one_array(
    decoded: Mapping[int, Decoded], sources: Sequence[ImageSource], name: str
) -> NDArray[np.uint8]:
    """Stack images of one size, and warn once per category of remarks."""
    names = {index: source_name(sources[index], f"{name}[{index}]") for index in decoded}
    _check_one_size({index: image.pixels.shape for index, image in decoded.items()}, sources, names)
    warn_of_remarks(decoded, sources, name)
    return np.stack([image.pixels for image in decoded.values()])


def _check_one_size(
    shapes: Mapping[int, tuple[int, ...]], sources: Sequence[ImageSource], names: Mapping[int, str]
) -> None:
    """Raise if some images differ from the most frequent size."""
    usual = Counter(shapes.values()).most_common(1)[0][0]
    others = [index for index, shape in shapes.items() if shape != usual]
    if not others:
        return
    first = next(index for index, shape in shapes.items() if shape == usual)
    (height, width), (other_height, other_width) = usual[:2], shapes[others[0]][:2]
    message = (
        f"With size=None, all images must have the same size, but {len(others)} of {len(shapes)} differ from "
        f"most: {names[first]} is {height} pixels high and {width} wide, and {names[others[0]]} is "
        f"{other_height} high and {other_width} wide. Set size to resize all images, such as size=32."
    )
    messages = [f"{names[index]} has the shape {shapes[index]}, but most have {usual}." for index in others]
    raise ImageFileError(message, others, [sources[index] for index in others], messages)


def warn_of_remarks(decoded: Mapping[int, Decoded], sources: Sequence[ImageSource], name: str) -> None:
    """Warn once per category of remarks."""
    remarks = [(index, image.remark) for index, image in decoded.items() if image.remark]
    for category, number in Counter(remark.category for _, remark in remarks).items():
        index, first = next((index, remark) for index, remark in remarks if remark.category is category)
        which = source_name(sources[index], f"{name}[{index}]")
        words = f"{number} of {len(sources)} images, the first of them {which}: {first.words}"
        warnings.warn(words, category, stacklevel=4)


def unreadable(mistakes: Sequence[ImageMistake], n_images: int) -> ImageFileError:
    """Return the error for unreadable images."""
    messages = [mistake.message for mistake in mistakes]
    return ImageFileError(
        messages[0] if len(mistakes) == 1 else summary_of(mistakes, n_images),
        [mistake.position for mistake in mistakes],
        [mistake.source for mistake in mistakes],
        messages,
    )


def summary_of(mistakes: Sequence[ImageMistake], n_images: int) -> str:
    """Return the number of unreadable images, and the messages of the first of them."""
    lines = [_cut(mistake.message) for mistake in mistakes]
    return f"{len(mistakes)} of the {n_images} images cannot be read:\n{some_of(lines)}"


def _cut(line: str) -> str:
    """Shorten the middle of a message, which starts with the path and ends with advice."""
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half]}…{line[-half:]}"
