"""The contract of gencls, and the properties of this objective."""

import math

import numpy as np
import torch
from gencls_example_plugin.pairwise import Pairwise

from gencls.objectives import Scores, get_objective
from gencls.testing import check_objective


def test_the_contract_holds() -> None:
    """All rules, for the class of the name."""
    check_objective("pairwise")


def test_the_name_leads_to_the_class() -> None:
    """The entry point leads here."""
    assert get_objective("pairwise") is Pairwise


def test_equal_classes_cost_the_logarithm_of_2() -> None:
    """The loss of equal scores is log 2."""
    candidates = torch.tensor([[0, 1], [1, 0]])
    scores = Scores(torch.full((2, 2), -5.0), candidates, torch.ones(2), np.full(2, 0.5), n_dimensions=5)
    terms = Pairwise(weight=3.0).terms(scores)
    assert math.isclose(terms["pairwise"], math.log(2), rel_tol=1e-6)
    assert math.isclose(Pairwise(weight=3.0).loss(terms), 1 + 3 * math.log(2), rel_tol=1e-6)
