"""Recipes: parameters of a classifier under a name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from .._common.validation import shortened
from ..augmentations import Flip, RandomCrop
from ..conditioners import get_conditioner
from ..errors import InvalidParameterError
from ..objectives import Hybrid
from ..training.plan import Stage

__all__ = ["list_recipes", "parameters_of"]


def _paper() -> dict[str, Any]:
    """The setting of the paper: mild conditioning, maximum likelihood, 250 epochs."""
    return {"conditioner": "mild", "objective": "likelihood", "max_epochs": 250, "dropout": 0.5}


def _photographs() -> dict[str, Any]:
    """Photographs at 8×8: random crops, likelihood, then the hybrid objective; six views in prediction."""
    low_rank: Any = get_conditioner("low-rank")
    return {
        "conditioner": low_rank(first_stage=3),
        "augmentation": [Flip(), RandomCrop(smallest=0.9)],
        "resolution": 8,
        "batch_size": 16,
        "views": "six-crops",
        "stages": [
            Stage(16, lr=3e-3),
            Stage(
                8,
                lr=1e-3,
                objective=Hybrid(weight=1.0, temperature=4.0),
                augmentation=[Flip(), RandomCrop(smallest=0.8)],
            ),
        ],
    }


RECIPES: dict[str, Callable[[], dict[str, Any]]] = {"paper": _paper, "photographs": _photographs}


def list_recipes() -> list[str]:
    """Name the recipes of `GenerativeBayesClassifier.from_recipe`.

    Returns
    -------
    list of str
        Sorted.
    """
    return sorted(RECIPES)


def parameters_of(name: str) -> dict[str, Any]:
    """The parameters of a recipe.

    Raises
    ------
    InvalidParameterError
        If there is no such recipe.
    """
    if name not in list_recipes():
        nearest = difflib.get_close_matches(str(name), RECIPES, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise InvalidParameterError(
            f"The parameter 'name' of from_recipe must be one of {', '.join(map(repr, list_recipes()))}, got "
            f"{shortened(name)}.{hint}"
        )
    return RECIPES[name]()
