"""The registry of conditioners of this package and of plug-in packages."""

from __future__ import annotations

from .._common.registry import Registry
from ..errors import ConditionerError
from .base import Conditioner

__all__ = [
    "CONDITIONERS",
    "get_conditioner",
    "list_conditioners",
    "make_conditioner",
    "register_conditioner",
]

CONDITIONERS: Registry[Conditioner] = Registry(
    "conditioner",
    "gencls.conditioners",
    {
        "early": f"{__package__}.early:Early",
        "early-film": f"{__package__}.early_film:EarlyFilm",
        "embedding": f"{__package__}.embedding:Embedding",
        "film": f"{__package__}.film:Film",
        "head": f"{__package__}.head:Head",
        "late": f"{__package__}.late:Late",
        "low-rank": f"{__package__}.low_rank:LowRank",
        "mild": f"{__package__}.mild:Mild",
        "spatial": f"{__package__}.spatial:Spatial",
        "spatial-film": f"{__package__}.spatial_film:SpatialFilm",
        "strong": f"{__package__}.strong:Strong",
        "template": f"{__package__}.template:Template",
        "unconditional": f"{__package__}.unconditional:Unconditional",
    },
    base=Conditioner,
    error=ConditionerError,
)


def register_conditioner(name: str, target: type[Conditioner] | str, *, replace: bool = False) -> None:
    """Register a conditioner under a name, for this process.

    An installed package registers its conditioners in every process through entry points of the group
    ``gencls.conditioners`` instead.

    Parameters
    ----------
    name : str
    target : type or str
        A subclass of `Conditioner`, or its location ``"package.module:Class"``, which is imported on first
        use.
    replace : bool, default=False
        Whether to replace a different conditioner of this name.

    Raises
    ------
    ConditionerError
        If the name belongs to a different conditioner. The same one can be registered again.
    """
    CONDITIONERS.register(name, target, replace=replace)


def get_conditioner(name: str) -> type[Conditioner]:
    """Find the class of a conditioner.

    Parameters
    ----------
    name : str
        One of `list_conditioners`.

    Returns
    -------
    type
        The subclass of `Conditioner`.

    Raises
    ------
    ConditionerError
        If no conditioner has this name, several packages provide it, or it cannot be imported.
    """
    return CONDITIONERS.get(name)


def list_conditioners() -> list[str]:
    """List the names of all conditioners: of this package, of installed packages, and registered ones.

    Returns
    -------
    list of str
        Sorted.
    """
    return CONDITIONERS.list()


def make_conditioner(conditioner: str | type[Conditioner] | Conditioner) -> Conditioner:
    """Turn a name, a class or an instance into a new instance that has not been built."""
    return CONDITIONERS.make(conditioner)
