"""One check for each kind of plug-in."""

from __future__ import annotations

from ..augmentations import AUGMENTATIONS, Augmentation
from ..conditioners import Conditioner
from ..objectives import OBJECTIVES, Objective
from . import augmentation_rules, conditioner_rules, objective_rules
from .contract import Subject

__all__ = ["check_augmentation", "check_conditioner", "check_objective"]


def check_conditioner(conditioner: str | type[Conditioner] | Conditioner, *, verbose: int = 0) -> None:
    """Check that a conditioner keeps the contract; it takes about a second.

    Parameters
    ----------
    conditioner : str, type or Conditioner
        A name of `list_conditioners`, a class, or an instance with hyper-parameters of its own. It is not
        changed.
    verbose : int, default=0
        1 writes a line for each rule to standard error.

    Raises
    ------
    ConditionerContractError
        If rules are broken. The message lists each with the observation and the remedy. Most rules depend on
        a few foundations; a broken foundation is reported without them.
    ConditionerError
        If there is no such conditioner.

    Examples
    --------
    >>> from gencls.testing import check_conditioner
    >>> check_conditioner("mild")
    """
    conditioner_rules.CONTRACT.check(conditioner_rules.ConditionerSubject(conditioner), verbose)


def check_objective(objective: str | type[Objective] | Objective, *, verbose: int = 0) -> None:
    """Check that an objective keeps the contract; it takes less than a second.

    Parameters
    ----------
    objective : str, type or Objective
        A name of `list_objectives`, a class, or an instance with hyper-parameters of its own. It is not
        changed.
    verbose : int, default=0
        1 writes a line for each rule to standard error.

    Raises
    ------
    ObjectiveContractError
        If rules are broken. The message lists each with the observation and the remedy. Most rules depend on
        a few foundations; a broken foundation is reported without them.
    ObjectiveError
        If there is no such objective.

    Examples
    --------
    >>> from gencls.objectives import Hybrid
    >>> from gencls.testing import check_objective
    >>> check_objective("likelihood")
    >>> check_objective(Hybrid(weight=0.1, n_contrasted=2))
    """
    objective_rules.CONTRACT.check(Subject(OBJECTIVES, objective), verbose)


def check_augmentation(augmentation: str | type[Augmentation] | Augmentation, *, verbose: int = 0) -> None:
    """Check that an augmentation keeps the contract; it takes less than a second.

    Parameters
    ----------
    augmentation : str, type or Augmentation
        A name of `list_augmentations`, a class, or an instance with hyper-parameters of its own. It is not
        changed. Check the augmentations of a list one by one.
    verbose : int, default=0
        1 writes a line for each rule to standard error.

    Raises
    ------
    AugmentationContractError
        If rules are broken. The message lists each with the observation and the remedy. Most rules depend on
        a few foundations; a broken foundation is reported without them.
    AugmentationError
        If there is no such augmentation.

    Examples
    --------
    >>> from gencls.augmentations import Shift
    >>> from gencls.testing import check_augmentation
    >>> check_augmentation("flip")
    >>> check_augmentation(Shift(2))
    """
    augmentation_rules.CONTRACT.check(Subject(AUGMENTATIONS, augmentation), verbose)
