"""The registry of augmentations of this package and of plug-in packages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .._common.registry import Registry
from ..errors import AugmentationError
from .base import Augmentation
from .composed import Composed

__all__ = [
    "AUGMENTATIONS",
    "get_augmentation",
    "list_augmentations",
    "make_augmentation",
    "register_augmentation",
]

AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    "gencls.augmentations",
    {
        "flip": f"{__package__}.flip:Flip",
        "random-crop": f"{__package__}.random_crop:RandomCrop",
        "shift": f"{__package__}.shift:Shift",
    },
    base=Augmentation,
    error=AugmentationError,
)


def register_augmentation(name: str, target: type[Augmentation] | str, *, replace: bool = False) -> None:
    """Register an augmentation under a name, for this process.

    An installed package registers its augmentations in every process through entry points of the group
    ``gencls.augmentations`` instead.

    Parameters
    ----------
    name : str
    target : type or str
        A subclass of `Augmentation`, or its location ``"package.module:Class"``, which is imported on first
        use.
    replace : bool, default=False
        Whether to replace a different augmentation of this name.

    Raises
    ------
    AugmentationError
        If the name belongs to a different augmentation. The same one can be registered again.
    """
    AUGMENTATIONS.register(name, target, replace=replace)


def get_augmentation(name: str) -> type[Augmentation]:
    """Find the class of an augmentation.

    Parameters
    ----------
    name : str
        One of `list_augmentations`.

    Returns
    -------
    type
        The subclass of `Augmentation`.

    Raises
    ------
    AugmentationError
        If no augmentation has this name, several packages provide it, or it cannot be imported.
    """
    return AUGMENTATIONS.get(name)


def list_augmentations() -> list[str]:
    """List the names of all augmentations: of this package, of installed packages, and registered ones.

    Returns
    -------
    list of str
        Sorted.
    """
    return AUGMENTATIONS.list()


def make_augmentation(
    augmentation: str | type[Augmentation] | Augmentation | Sequence[Any] | None,
) -> Composed:
    """Turn None, a name, a class, an instance, or a list of these, into a new instance.

    Returns
    -------
    Composed
        Without `Composed` augmentations among its parts.

    Raises
    ------
    AugmentationError
        If something else is given.
    """
    return Composed([] if augmentation is None else list(_parts(augmentation)))


def _parts(augmentation: Any) -> Iterator[Augmentation]:
    """The parts of a list or of a composed augmentation, on all levels."""
    given: Any = augmentation.parts if isinstance(augmentation, Composed) else augmentation
    if not isinstance(given, list | tuple):
        yield AUGMENTATIONS.make(given)
        return
    for each in given:
        yield from _parts(each)
