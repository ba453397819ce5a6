"""A wrong augmentation for every rule of the contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import check_page, check_wrong

from gencls.augmentations import Augmentation
from gencls.errors import InvalidParameterError
from gencls.testing import check_augmentation
from gencls.testing.augmentation_rules import CONTRACT

WRONG: dict[type, tuple[str, ...]] = {}


def breaks(*rules):
    """Name all rules that an augmentation breaks."""

    def add(augmentation):
        WRONG[augmentation] = rules
        return augmentation

    return add


class Right(Augmentation):
    """Half of the images have their rows reversed in each epoch, and half one level less in each batch."""

    def per_epoch(self, images, size, random_state):
        chosen = random_state.uniform(size=len(images)) < 0.5
        return np.where(chosen[:, None, None, None], images[:, ::-1], images)

    def per_batch(self, levels, generator=None):
        chosen = (torch.rand(len(levels), generator=generator) < 0.5).to(levels.device)
        return torch.where(chosen[:, None, None, None] & (levels > 0), levels - 1, levels)


class Symmetric(Augmentation):
    """With an orbit, as a flip has one."""

    def transform(self, levels):
        return levels.flip(-1)

    def per_batch(self, levels, generator=None):
        orbit = torch.stack(self.orbit(levels))
        chosen = torch.randint(len(orbit), (len(levels),), generator=generator)
        return orbit[chosen, torch.arange(len(levels))]

    def orbit(self, levels):
        return [levels, self.transform(levels)]


@breaks("is_an_estimator")
class NeedsAnArgument(Right):
    def __init__(self, size):
        self.size = size


@breaks("is_an_estimator")
class ChangesItsArgument(Right):
    def __init__(self, sizes=(1, 2)):
        self.sizes = list(sizes)


@breaks("accepts_its_parameters")
class RefusesItsDefault(Right):
    def __init__(self, size=3):
        self.size = size

    def check(self, image_shape):
        raise InvalidParameterError(f"'size' must be below {self.size}")


@breaks("accepts_its_parameters")
class ChangesAParameterInCheck(Right):
    def __init__(self, size=None):
        self.size = size

    def check(self, image_shape):
        self.size = image_shape[1]


@breaks("has_a_hook")
class Misspelled(Augmentation):
    def per_batches(self, levels, generator=None):
        return levels


@breaks("keeps_images")
class ImagesOfFloat64(Right):
    def per_epoch(self, images, size, random_state):
        return images / 1


@breaks("keeps_images")
class TwiceTheImages(Right):
    def per_epoch(self, images, size, random_state):
        return np.concatenate([images, images])


@breaks("keeps_images")
class GreyImages(Right):
    def per_epoch(self, images, size, random_state):
        return images[..., 0]


@breaks("keeps_images")
class ATensor(Right):
    def per_epoch(self, images, size, random_state):
        return torch.from_numpy(images)


@breaks("keeps_levels")
class LevelsOfFloat(Right):
    def per_batch(self, levels, generator=None):
        return levels.float()


@breaks("keeps_levels")
class SmallerImages(Right):
    def per_batch(self, levels, generator=None):
        return levels[:, :, 1:]


@breaks("keeps_levels")
class NeedsAGenerator(Right):
    def per_batch(self, levels, generator=None):
        return super().per_batch(levels, torch.Generator().manual_seed(generator.initial_seed()))


@breaks("starts_with_the_images")
class OrbitInATuple(Symmetric):
    def orbit(self, levels):
        return tuple(super().orbit(levels))


@breaks("starts_with_the_images")
class TheImagesLast(Symmetric):
    def orbit(self, levels):
        return super().orbit(levels)[::-1]


@breaks("starts_with_the_images")
class OrbitsOfTheirOwnLength(Symmetric):
    def orbit(self, levels):
        return super().orbit(levels) if levels.shape[3] > 1 else [levels]


@breaks("keeps_the_range")
class Brighter(Right):
    def per_batch(self, levels, generator=None):
        return levels + 1


@breaks("keeps_the_range")
class Noise(Right):
    def per_epoch(self, images, size, random_state):
        return images + random_state.randint(-9, 10, size=images.shape).astype(images.dtype)


@breaks("leaves_its_input_alone")
class WritesIntoImages(Right):
    def per_epoch(self, images, size, random_state):
        images[:, 0] = images[:, -1]
        return images


@breaks("leaves_its_input_alone")
class WritesIntoLevels(Right):
    def per_batch(self, levels, generator=None):
        levels[:, :, 0] = 0
        return levels


@breaks("follows_its_random_state")
class RandomByNumpy(Right):
    own = np.random.RandomState(0)

    def per_epoch(self, images, size, random_state):
        return super().per_epoch(images, size, self.own)


@breaks("follows_its_random_state")
class EveryOtherEpoch(Right):
    n_epochs = 0

    def per_epoch(self, images, size, random_state):
        self.n_epochs += 1
        return super().per_epoch(images, size, random_state) if self.n_epochs % 3 else images


@breaks("follows_its_generator")
class RandomByTorch(Right):
    def per_batch(self, levels, generator=None):
        return super().per_batch(levels)


@breaks("follows_its_device")
class ChoosesOnTheCPU(Right):
    def per_batch(self, levels, generator=None):
        chosen = torch.rand(len(levels), 1, 1, 1, generator=generator) < 0.5
        return torch.where(chosen & (levels > 0), levels - 1, levels)


@breaks("keeps_pixels_in_their_rows")
class UpsideDown(Symmetric):
    def transform(self, levels):
        return levels.flip(-2)


@breaks("has_an_orbit_for_each_image")
class SwapsImages(Symmetric):
    def transform(self, levels):
        return levels.flip(0)


@breaks("is_its_own_inverse", "is_closed")
class Rolls(Symmetric):
    def transform(self, levels):
        return levels.roll(1, -1)


@breaks("is_its_own_inverse", "is_closed", "is_a_probability")
class ForgetsTheImage(Symmetric):
    def transform(self, levels):
        return torch.zeros_like(levels)


@breaks("is_closed")
class LacksACombination(Symmetric):
    def orbit(self, levels):
        first = levels[..., :2].flip(-1)
        return [levels, levels.flip(-1), torch.cat([first, levels[..., 2:]], dim=-1)]


@breaks("trains_on_its_orbit")
class NeverTransforms(Symmetric):
    def per_batch(self, levels, generator=None):
        return levels


@breaks("trains_on_its_orbit")
class AndAlsoDarkens(Symmetric):
    def per_batch(self, levels, generator=None):
        return Right.per_batch(self, super().per_batch(levels, generator), generator)


@breaks("pickles")
class KeepsALambda(Right):
    def __init__(self):
        self.scale = lambda value: 2 * value


@breaks("fits_a_model_file")
class TakesAnObject(Right):
    def __init__(self, sides=frozenset({"left"})):
        self.sides = sides


def test_every_rule_has_a_wrong_augmentation():
    named = {rule for rules in WRONG.values() for rule in rules}
    assert named == {rule.name for rule in CONTRACT.foundations + CONTRACT.rules}


def test_the_page_for_authors_has_every_rule():
    check_page("write-an-augmentation.md", CONTRACT)


@pytest.mark.parametrize("plugin", WRONG, ids=lambda plugin: plugin.__name__)
def test_a_wrong_augmentation_is_caught(plugin):
    check_wrong(check_augmentation, CONTRACT, plugin, WRONG[plugin])


@pytest.mark.parametrize("plugin", [Right, Right(), Symmetric], ids=["class", "instance", "symmetric"])
def test_a_right_augmentation_passes(plugin):
    check_augmentation(plugin)
