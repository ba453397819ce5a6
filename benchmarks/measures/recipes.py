"""Named recipes, and residual networks, of different cost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import splits
from baselines.residual_network import residual_network
from experiments import Run
from gencls import GenerativeBayesClassifier
from measures.first_fits import as_a_user
from records import Row


def recipe_or_network(run: Run, *, recipe: str | None = None, **settings: Any) -> Row:
    """Fit a recipe, or without one a residual network."""
    return residual_network(run, **settings) if recipe is None else by_recipe(run, recipe=recipe, **settings)


def by_recipe(run: Run, *, recipe: str, data: str, share: float = 1.0) -> Row:
    """Fit a recipe to the images as given.

    Parameters
    ----------
    run : Run
    recipe : str
    data : str
    share : float
        Of the epochs of each stage, rounded up.
    """
    clf = GenerativeBayesClassifier.from_recipe(recipe, device=run.device, random_state=run.seed)
    stages = [replace(stage, epochs=math.ceil(share * stage.epochs)) for stage in clf.stages or []]
    clf.set_params(stages=stages or None, checkpoint_dir=run.kept("-checkpoint"))
    row = as_a_user(run, clf, splits.load(data))
    clf.set_params(checkpoint_dir=None).save(run.kept(".safetensors"))
    return row
