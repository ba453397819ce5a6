"""The conditioners at the size of the paper: 32×32, a network of 5/120/10, two hours of a GPU each."""

from __future__ import annotations

from experiments import Experiment
from gencls import list_conditioners
from measures.fits import fit_for_a_time

EXPERIMENT = Experiment(
    measure=fit_for_a_time,
    cells={
        conditioner: {
            "conditioner": conditioner,
            "n_layers": 5,
            "n_filters": 120,
            "n_mixtures": 10,
            "data": "cpen455",
            "size": 32,
            "flipped_copies": True,
            "seconds": 7200,
            "lr": 1e-3,
            "batch_size": 16,
        }
        for conditioner in list_conditioners()
    },
)
