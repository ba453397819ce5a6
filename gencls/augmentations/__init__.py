"""Augmentations: ways to vary training images, and the registry that finds them by name."""

from .base import Augmentation, has_orbit
from .composed import Composed
from .flip import Flip
from .random_crop import RandomCrop
from .registry import (
    AUGMENTATIONS,
    get_augmentation,
    list_augmentations,
    make_augmentation,
    register_augmentation,
)
from .shift import Shift

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Composed",
    "Flip",
    "RandomCrop",
    "Shift",
    "get_augmentation",
    "has_orbit",
    "list_augmentations",
    "make_augmentation",
    "register_augmentation",
]
