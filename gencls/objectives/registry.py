"""The registry of objectives of this package and of plug-in packages."""

from __future__ import annotations

from .._common.registry import Registry
from ..errors import ObjectiveError
from .base import Objective

__all__ = ["OBJECTIVES", "get_objective", "list_objectives", "make_objective", "register_objective"]

OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    "gencls.objectives",
    {
        "hybrid": f"{__package__}.hybrid:Hybrid",
        "likelihood": f"{__package__}.likelihood:Likelihood",
    },
    base=Objective,
    error=ObjectiveError,
)


def register_objective(name: str, target: type[Objective] | str, *, replace: bool = False) -> None:
    """Register an objective under a name, for this process.

    An installed package registers its objectives in every process through entry points of the group
    ``gencls.objectives`` instead.

    Parameters
    ----------
    name : str
    target : type or str
        A subclass of `Objective`, or its location ``"package.module:Class"``, which is imported on first use.
    replace : bool, default=False
        Whether to replace a different objective of this name.

    Raises
    ------
    ObjectiveError
        If the name belongs to a different objective. The same one can be registered again.
    """
    OBJECTIVES.register(name, target, replace=replace)


def get_objective(name: str) -> type[Objective]:
    """Find the class of an objective.

    Parameters
    ----------
    name : str
        One of `list_objectives`.

    Returns
    -------
    type
        The subclass of `Objective`.

    Raises
    ------
    ObjectiveError
        If no objective has this name, several packages provide it, or it cannot be imported.
    """
    return OBJECTIVES.get(name)


def list_objectives() -> list[str]:
    """List the names of all objectives: of this package, of installed packages, and registered ones.

    Returns
    -------
    list of str
        Sorted.
    """
    return OBJECTIVES.list()


def make_objective(objective: str | type[Objective] | Objective) -> Objective:
    """Turn a name, a class or an instance into a new instance."""
    return OBJECTIVES.make(objective)
