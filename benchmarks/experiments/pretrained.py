"""The models that come with the package, with their cards, into results/models.

CPU: a minute for the digits; those of CPEN455 are trained by `classifiers`.
"""

from __future__ import annotations

from experiments import Experiment
from measures.pretrained import pretrained

EXPERIMENT = Experiment(
    measure=pretrained,
    cells={
        "digits": {"data": "digits", "n_filters": 24, "max_epochs": 15, "lr": 3e-3},
        "cpen455": {"data": "cpen455", "cell": "16×16", "of_seed": 3, "of_seeds": "0 to 4"},
        "cpen455-24x24": {"data": "cpen455", "cell": "24×24", "of_seed": 0, "of_seeds": "0 to 2"},
    },
    seeds=1,
)
