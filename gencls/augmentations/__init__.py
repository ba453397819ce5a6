"""Augmentations: ways to vary training images, and the registry that finds them by name."""

from .base import Augmentation
from .composed import Composed
from .flip import Flip
from .random_crop import RandomCrop
from .registry import (
    get_augmentation,
    list_augmentations,
    make_augmentation,
    register_augmentation,
)
from .shift import Shift

__all__ = [
    "Augmentation",
    "Composed",
    "Flip",
    "RandomCrop",
    "Shift",
    "get_augmentation",
    "list_augmentations",
    "make_augmentation",
    "register_augmentation",
]
