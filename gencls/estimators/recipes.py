"""Recipes: parameters of a classifier under a name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from .._common.validation import shortened
from ..augmentations import Augmentation, Flip, RandomCrop
from ..errors import InvalidParameterError
from ..objectives import Hybrid
from ..training.plan import Stage

__all__ = ["list_recipes", "parameters_of"]


def _paper() -> dict[str, Any]:
    """The setting of the paper and its code: mild conditioning, maximum likelihood, no averaged weights."""
    return {
        "conditioner": "mild",
        "objective": "likelihood",
        "augmentation": None,
        "resolution": 32,
        "max_epochs": 250,
        "lr": 2e-4,
        "n_layers": 5,
        "n_filters": 120,
        "n_mixtures": 10,
        "dropout": 0.5,
        "batch_size": 64,
        "temperature": 1.0,
        "net_params": {"ema_decay": 0.0},
    }


def _digits() -> dict[str, Any]:
    """Small grey images such as digits: a smaller network; likelihood, then the hybrid objective."""
    return {
        "conditioner": "low-rank",
        "augmentation": None,
        "n_filters": 24,
        "stages": [
            Stage(10, lr=3e-3),
            Stage(5, lr=1e-3, objective=Hybrid(weight=1.0, temperature=4.0, n_contrasted=4)),
        ],
        "batch_size": 16,
    }


def _photographs_fast() -> dict[str, Any]:
    """Photographs at 8×8: likelihood on random crops, then the hybrid objective; predictions of six crops."""
    return _of_photographs(
        8,
        Stage(16, lr=3e-3, augmentation=_cropped(0.9)),
        Stage(8, lr=1e-3, objective=Hybrid(weight=1.0, temperature=4.0), augmentation=_cropped(0.8)),
    )


def _photographs() -> dict[str, Any]:
    """Photographs at 16×16, for which the network first learns smaller copies, at 8×8."""
    return _of_photographs(
        16,
        Stage(24, lr=3e-3, resolution=8, augmentation=_cropped(0.9)),
        Stage(8, lr=2e-3, augmentation=_cropped(0.9)),
        Stage(10, lr=7e-4, objective=Hybrid(weight=1.0, temperature=8.0), augmentation=_cropped(0.8)),
    )


def _photographs_best() -> dict[str, Any]:
    """Photographs at 24×24: a long training at 16×16, whose weights learn the larger images in few epochs."""
    small, large = Hybrid(weight=1.0, temperature=8.0), Hybrid(weight=1.0, temperature=18.0)
    return _of_photographs(
        24,
        Stage(80, lr=2e-3, resolution=16),
        Stage(12, lr=7e-4, resolution=16, objective=small, augmentation=_cropped(0.8)),
        Stage(4, lr=4e-4, resolution=16, objective=Hybrid(weight=0.2, temperature=8.0)),
        Stage(14, lr=7e-4, objective=large, augmentation=_cropped(0.8)),
        Stage(2, lr=4e-4, objective=Hybrid(weight=0.2, temperature=18.0)),
    )


def _of_photographs(resolution: int, *stages: Stage) -> dict[str, Any]:
    """The parameters that the recipes of photographs share."""
    return {
        "conditioner": "low-rank",
        "augmentation": Flip(),
        "resolution": resolution,
        "views": ["flips", "six-crops"],
        "stages": list(stages),
        "batch_size": 16,
    }


def _cropped(smallest: float) -> list[Augmentation]:
    return [Flip(), RandomCrop(smallest=smallest)]


RECIPES: dict[str, Callable[[], dict[str, Any]]] = {
    "paper": _paper,
    "digits": _digits,
    "photographs": _photographs,
    "photographs-best": _photographs_best,
    "photographs-fast": _photographs_fast,
}


def list_recipes() -> list[str]:
    """List the names of the recipes of `GenerativeBayesClassifier.from_recipe`.

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
