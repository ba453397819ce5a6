"""What the rules of the contract are made with: tiny models, comparisons, and the rule itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..backends.random_numbers import DrawingFrom
from ..conditioners import Conditioner, Modulations, get_conditioner, make_conditioner
from ..density.model import ConditionalPixelCNN

__all__ = [
    "CLASSES",
    "TOLERANCE",
    "Broken",
    "Rule",
    "Subject",
    "equal",
    "parts",
    "random_images",
    "require",
    "rule",
]

CLASSES = torch.arange(3)
TOLERANCE = 1e-9  # in float64


class Broken(Exception):  # noqa: N818  it never leaves this package
    """What was seen where a rule is broken."""


class Subject:
    """The conditioner under examination.

    Parameters
    ----------
    conditioner : str, type or Conditioner
    """

    def __init__(self, conditioner: str | type[Conditioner] | Conditioner):
        self.given = get_conditioner(conditioner) if isinstance(conditioner, str) else conditioner
        kind = self.given if inspect.isclass(self.given) else type(self.given)
        place = f"{kind.__module__}:{kind.__qualname__}"
        self.name = f"{conditioner!r} ({place})" if isinstance(conditioner, str) else place

    def make(self) -> Any:
        """A new instance, not built."""
        return make_conditioner(self.given)

    def model(
        self,
        image_shape: tuple[int, int, int] = (1, 4, 4),
        n_levels: int = 3,
        *,
        seed: int = 0,
        start: bool = False,
    ) -> ConditionalPixelCNN:
        """A tiny model of float64 in evaluation mode, with noise on its weights.

        At the `start` the conditioner's own weights stay as `build` made them.
        """
        with DrawingFrom(seed), torch.no_grad():
            model = ConditionalPixelCNN(
                image_shape, n_levels, len(CLASSES), self.given, n_layers=1, n_filters=4, n_mixtures=2
            ).double()
            for part in (model.network,) if start else (model.network, model.conditioner):
                for parameter in part.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.5)
        return model.eval()


Check = Callable[[Subject], None]


@dataclass(frozen=True)
class Rule:
    """A part of the contract.

    Attributes
    ----------
    name, promise : str
        What it is called, and what it says.
    remedy : str
        What to do where it is broken.
    check : callable
        Takes a `Subject`, and raises `Broken` with what was seen.
    """

    name: str
    promise: str
    remedy: str
    check: Check


def rule(rules: list[Rule], remedy: str) -> Callable[[Check], Check]:
    """Add the function that follows to some rules; its name and its docstring are those of the rule."""

    def add(check: Check) -> Check:
        rules.append(Rule(check.__name__, check.__doc__ or "", remedy, check))
        return check

    return add


def require(holds: bool, seen: str) -> None:
    """Raise `Broken` unless something holds."""
    if not holds:
        raise Broken(seen)


def parts(modulations: Modulations) -> dict[str, Tensor]:
    """All tensors of some modulations, by names for messages."""
    named = {
        f"{name} at {site.key}": value
        for site, each in modulations.items()
        for name, value in (
            ("shift", each.shift),
            ("scale", each.scale),
            ("L of mix", each.mix and each.mix[0]),
            ("R of mix", each.mix and each.mix[1]),
        )
    }
    return {name: value.detach() for name, value in named.items() if value is not None}


def equal(one: dict[str, Tensor], other: dict[str, Tensor], where: str) -> None:
    """Raise `Broken` unless two dicts hold the same tensors."""
    require(one.keys() == other.keys(), f"{where} there are other tensors")
    for name, value in one.items():
        require(torch.allclose(value, other[name], rtol=0, atol=TOLERANCE), f"{where} the {name} is another")


def random_images(model: ConditionalPixelCNN, seed: int = 0) -> Tensor:
    """Levels (6, C, H, W) for a model."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.likelihood.n_levels, (6, *model.image_shape), generator=generator)
