"""The contract of a conditioner, as a check for the test suite of whoever writes one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice

from ..backends.random_numbers import DrawingFrom
from ..conditioners import Conditioner
from ..errors import ConditionerContractError
from .rules import FOUNDATIONS, RULES
from .subject import Broken, Rule, Subject

__all__ = ["check_conditioner"]


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
        If rules are broken. The message names each, what was seen, and what to do. Most rules rest on a few
        foundations: if one of these is broken, it alone is reported.
    ConditionerError
        If there is no such conditioner.

    Examples
    --------
    >>> from gencls.testing import check_conditioner
    >>> check_conditioner("mild")
    """
    subject = Subject(conditioner)
    with DrawingFrom(seed=0):
        broken = list(islice(_failures(subject, FOUNDATIONS, verbose), 1))
        broken = broken or list(_failures(subject, RULES, verbose))
    if broken:
        n_rules = len(FOUNDATIONS) + len(RULES)
        header = (
            f"The conditioner {subject.name} breaks {len(broken)} of the {n_rules} rules of the contract:"
        )
        raise ConditionerContractError("\n".join([header, *broken]))


def _failures(subject: Subject, rules: Iterable[Rule], verbose: int) -> Iterator[str]:
    for rule in rules:
        seen = _try(rule, subject)
        if verbose:
            sys.stderr.write(f"{'broken' if seen else 'holds '} {rule.name}\n")
        if seen:
            yield f"- {rule.name}: {rule.promise}\n  Seen: {seen}\n  What to do: {rule.remedy}"


def _try(rule: Rule, subject: Subject) -> str:
    """What was seen where the rule is broken, else nothing."""
    try:
        rule.check(subject)
    except Broken as broken:
        return str(broken)
    except Exception as error:
        return f"{type(error).__name__} was raised: {error}"
    return ""
