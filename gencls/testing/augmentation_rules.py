"""The rules for augmentations, each a function that raises when it is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..augmentations import Augmentation, has_orbit
from ..backends.random_numbers import DrawingFrom, new_generator
from ..errors import AugmentationContractError
from .common_rules import fits_a_model_file, is_an_estimator, pickles, require_meta, require_unchanged
from .contract import Contract, Subject, require
from .models import CLASSES, TOLERANCE, all_images, random_images, tiny_model

__all__ = ["CONTRACT"]

CONTRACT = Contract("augmentation", AugmentationContractError)

SHAPES = ((1, 1, 1), (3, 1, 5), (1, 4, 4), (2, 5, 3))  # C, H and W
HOOKS = ("per_epoch", "per_batch", "orbit")
SIZE = (4, 5)  # of the images that the model learns


CONTRACT.foundation("Give each parameter of __init__ a default, and store it unchanged.")(is_an_estimator)


@CONTRACT.foundation("Let check raise InvalidParameterError for wrong values only, and change nothing.")
def accepts_its_parameters(subject: Subject) -> None:
    """Its check accepts its hyper-parameters for images of 32×32, and does not change them."""
    augmentation = subject.make()
    before = augmentation.get_params(deep=False)
    augmentation.check((3, 32, 32))
    require_unchanged(augmentation, before, "check")


@CONTRACT.foundation("Override per_epoch, per_batch or orbit; check the spelling of their names.")
def has_a_hook(subject: Subject) -> None:
    """It overrides at least one of the hooks."""
    kind = type(subject.make())
    own = [name for name in HOOKS if getattr(kind, name) is not getattr(Augmentation, name)]
    require(bool(own), f"{kind.__name__} overrides none of {', '.join(HOOKS)}")


@CONTRACT.foundation("Return an array of the dtype of the images, with an image for each of them.")
def keeps_images(subject: Subject) -> None:
    """Its per_epoch keeps the dtype, the number and the channels of images."""
    for images in image_arrays():
        found = subject.make().per_epoch(images, SIZE, np.random.RandomState(0))
        require(isinstance(found, np.ndarray), f"a {type(found).__name__} was returned")
        require(found.dtype == images.dtype, f"images of {images.dtype} become {found.dtype}")
        fits = found.ndim == 4 and (len(found), found.shape[3]) == (len(images), images.shape[3])
        require(fits, f"images of the shape {images.shape} become {found.shape}")


@CONTRACT.foundation("Return a tensor of the shape and the dtype of the levels.")
def keeps_levels(subject: Subject) -> None:
    """Its per_batch keeps the shape and the dtype of levels."""
    for levels in level_tensors():
        for generator in (new_generator(0), None):
            found = subject.make().per_batch(levels, generator)
            require(isinstance(found, Tensor), f"a {type(found).__name__} was returned")
            require(found.dtype == levels.dtype, f"levels of {levels.dtype} become {found.dtype}")
            shapes = tuple(levels.shape), tuple(found.shape)
            require(shapes[0] == shapes[1], f"levels of the shape {shapes[0]} become {shapes[1]}")


@CONTRACT.foundation("Return a list that begins with the levels, always of the same length.")
def starts_with_the_images(subject: Subject) -> None:
    """Its orbit is a list of tensors like the levels, and begins with the levels."""
    lengths = set()
    for levels in level_tensors():
        found = subject.make().orbit(levels)
        require(isinstance(found, list), f"a {type(found).__name__} was returned")
        require(bool(found) and torch.equal(found[0], levels), "the images themselves are not the first")
        for each in found:
            fits = each.shape == levels.shape and each.dtype == levels.dtype
            require(fits, f"levels {tuple(levels.shape)} become {tuple(each.shape)}, {each.dtype}")
        lengths.add(len(found))
    require(len(lengths) == 1, f"orbits have the lengths {sorted(lengths)}")


@CONTRACT.rule("Clip to the lowest and the highest value of all images or levels.")
def keeps_the_range(subject: Subject) -> None:
    """Images stay within the range of all given images, and levels within 0 to L - 1."""
    for images in image_arrays():
        found = subject.make().per_epoch(images, SIZE, np.random.RandomState(0))
        require(fits_into(found, images.min(), images.max()), f"images of {images.dtype}: {ends(found)}")
    for n_levels in (2, 3, 256):
        levels = random_images((3, 4, 5), n_levels, 64).to(torch.uint8)
        found = subject.make().per_batch(levels, new_generator(0)).numpy()
        require(fits_into(found, 0, n_levels - 1), f"levels below {n_levels}: {ends(found)}")


@CONTRACT.rule("Work on a copy of the input of a hook.")
def leaves_its_input_alone(subject: Subject) -> None:
    """No hook changes its input in place."""
    augmentation = subject.make()
    images = next(image_arrays())
    before = images.copy()
    augmentation.per_epoch(images, SIZE, np.random.RandomState(0))
    require(np.array_equal(images, before), "per_epoch changes its images in place")
    levels = random_images((3, 4, 5), 256)
    kept = levels.clone()
    augmentation.per_batch(levels, new_generator(0))
    require(torch.equal(levels, kept), "per_batch changes its levels in place")
    augmentation.orbit(levels)
    require(torch.equal(levels, kept), "orbit changes its levels in place")


@CONTRACT.rule("Keep no state, and draw in per_epoch only from its random_state.")
def follows_its_random_state(subject: Subject) -> None:
    """The same seed of the RandomState gives the same images, regardless of calls in between."""
    augmentation, images = subject.make(), next(image_arrays())
    with DrawingFrom(seed=1) as drawing:
        one, _, other = (
            augmentation.per_epoch(images, SIZE, np.random.RandomState(seed)) for seed in (3, 4, 3)
        )
    require(not drawing.generators, "per_epoch draws from torch's default generator")
    require(np.array_equal(one, other), "with the same seed, images differ")


@CONTRACT.rule("Keep no state, and pass the generator to every function of torch that draws in per_batch.")
def follows_its_generator(subject: Subject) -> None:
    """The same seed of the generator gives the same levels, and torch's default generator is not used."""
    augmentation, levels = subject.make(), random_images((3, 4, 5), 256, 64)
    with DrawingFrom(seed=1) as drawing:
        one, _, other = (augmentation.per_batch(levels, new_generator(seed)) for seed in (3, 4, 3))
    require(not drawing.generators, "with a generator, torch's default generator is used")
    require(torch.equal(one, other), "with the same seed, levels differ")


@CONTRACT.rule("Draw on the CPU, and move the result to levels.device.")
def follows_its_device(subject: Subject) -> None:
    """Its per_batch and its orbit keep levels on their device."""
    augmentation, levels = subject.make(), random_images((1, 4, 4), 3).to("meta")
    require_meta("per_batch", lambda: [augmentation.per_batch(levels, new_generator(0))])
    require_meta("orbit", lambda: augmentation.orbit(levels))


@CONTRACT.rule("Transform rows independently of the rows below them.")
def keeps_pixels_in_their_rows(subject: Subject) -> None:
    """The orbit of the upper rows of images is the upper rows of their orbit."""
    levels = random_images((2, 4, 5), 256)
    whole = subject.make().orbit(levels)
    for n_rows in range(levels.shape[2]):
        upper = subject.make().orbit(levels[:, :, :n_rows])
        same = all(torch.equal(one, each[:, :, :n_rows]) for one, each in zip(upper, whole, strict=True))
        require(same, f"the orbit of the upper {n_rows} of {levels.shape[2]} rows differs")


@CONTRACT.rule("Transform each image by itself, and draw no random numbers.")
def has_an_orbit_for_each_image(subject: Subject) -> None:
    """The orbit of an image does not depend on the other images, and is always the same."""
    levels = random_images((2, 4, 5), 256)
    together = subject.make().orbit(levels)
    for position in range(len(levels)):
        own = slice(position, position + 1)
        same = all(map(torch.equal, subject.make().orbit(levels[own]), [each[own] for each in together]))
        require(same, "an image has a different orbit by itself")


@CONTRACT.rule("Use transformations that are their own inverse, such as flips.")
def is_its_own_inverse(subject: Subject) -> None:
    """Each transformation of the orbit is its own inverse, so that different images stay different."""
    augmentation = subject.make()
    for images in tiny_images():
        for position, each in enumerate(augmentation.orbit(images)):
            again = augmentation.orbit(each)[position]
            wrong = (again != images).flatten(1).any(1)
            seen = (
                f"applied twice, transformation {position} changes {int(wrong.sum())} of {len(images)} images"
            )
            require(not wrong.any(), seen)


@CONTRACT.rule("Return all combinations of the transformations, each once.")
def is_closed(subject: Subject) -> None:
    """The orbit of a member is the same set of images."""
    augmentation, image = subject.make(), distinct_levels()
    orbit = augmentation.orbit(image)
    for position, each in enumerate(orbit):
        same = members(augmentation.orbit(each)) == members(orbit)
        require(same, f"member {position} has a different orbit")


@CONTRACT.rule(
    "Let per_batch draw a member of the orbit, and move further variations to a separate augmentation."
)
def trains_on_its_orbit(subject: Subject) -> None:
    """With an orbit, training draws all of its members, and no other images."""
    augmentation, image = subject.make(), distinct_levels()
    if not has_orbit(augmentation):
        return
    orbit = set(members(augmentation.orbit(image)))
    seen = set(members(augmentation.per_batch(image.expand(512, -1, -1, -1), new_generator(0)).split(1)))
    require(seen <= orbit, "per_batch makes images that are not in the orbit")
    require(seen == orbit, f"of {len(orbit)} members, 512 images in training were {len(seen)}")


@CONTRACT.rule("This rule follows from the others: repair those first.")
def is_a_probability(subject: Subject) -> None:
    """With its orbit, the probabilities of all images of a tiny size sum to 1 for every class."""
    if not has_orbit(subject.make()):
        return
    for shape, n_levels in (((1, 2, 2), 3), ((2, 1, 2), 2)):
        model = tiny_model(shape, n_levels, symmetry=subject.make())
        images = all_images(shape, n_levels)
        for label in CLASSES:
            total = model.log_prob(images, label.expand(len(images))).exp().sum().item()
            require(abs(total - 1) < TOLERANCE, f"for class {label} and images of {shape} it is {total}")


CONTRACT.rule(
    "Define functions and classes at the top of a module; keep no lambda, file or generator in self."
)(pickles)


CONTRACT.rule("Take hyper-parameters that JSON can hold: numbers, strings, lists, dicts.")(fits_a_model_file)


def image_arrays() -> Iterator[NDArray[Any]]:
    """Images (N, H, W, C) of several shapes and dtypes, of the size of the model and larger."""
    random_state = np.random.RandomState(0)
    for shape, dtype in (
        ((6, 8, 10, 3), "uint8"),
        ((1, *SIZE, 1), "float32"),
        ((4, 9, 11, 4), "float64"),
        ((5, *SIZE, 2), "int16"),
    ):
        images = random_state.randint(0, 256, size=shape)
        images.flat[:2] = 0, 255
        yield (images / 255 if dtype.startswith("float") else images).astype(dtype)


def level_tensors() -> Iterator[Tensor]:
    """Levels (N, C, H, W) of several shapes and dtypes."""
    for shape, n_images in zip(SHAPES, (1, 3, 6, 2), strict=True):
        for dtype in (torch.uint8, torch.int64):
            yield random_images(shape, 3, n_images).to(dtype)


def tiny_images() -> Iterator[Tensor]:
    """All images of some tiny shapes."""
    yield all_images((1, 2, 3), 2)
    yield all_images((2, 1, 2), 3)


def distinct_levels() -> Tensor:
    """An image (1, 3, 2, 4) in which all levels are different."""
    return torch.arange(24).reshape(1, 3, 2, 4)


def members(images: Any) -> list[bytes]:
    """Images in a form that can be compared, sorted."""
    return sorted(each.numpy().tobytes() for each in images)


def fits_into(values: NDArray[Any], lowest: Any, highest: Any) -> bool:
    """Whether values are numbers from the lowest to the highest."""
    return bool(np.isfinite(values).all() and values.min() >= lowest and values.max() <= highest)


def ends(values: NDArray[Any]) -> str:
    """The range of values in words."""
    return f"from {values.min():g} to {values.max():g}"
