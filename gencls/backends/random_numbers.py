"""Random numbers of torch from separate generators.

Torch has one global random state per process. If several threads trained models with it, none of the results
would be reproducible, and seeding it would affect all other code. This module never seeds it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["DrawingFrom", "draw_key", "new_generator"]

# Overloads of random operators of torch, and the overloads that take a generator.
OVERLOADS = {
    "default": "generator",
    "low": "low_generator",
    "low_dtype": "low_generator_dtype",
    "low_out": "low_generator_out",
    "out": "generator_out",
    "Tensor": "Tensor_generator",
}

Draw = Callable[..., Any]


def new_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a seeded generator."""
    return torch.Generator(device).manual_seed(seed)


def draw_key(generator: torch.Generator | None) -> int:
    """Draw a seed from 0 to 2**32 - 1; without a generator, from the global random state of torch."""
    return int(torch.randint(2**32, (), generator=generator))


class DrawingFrom(TorchDispatchMode):
    """A context in which random operators of the calling thread use seeded generators.

    It is meant for code that uses the global random state of torch, such as module constructors. Each
    operator takes some microseconds longer in this context.

    Parameters
    ----------
    seed : int
        From 0 to 2**63 - 1.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed
        self.generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call an operator; add a generator to a random operator that has none."""
        kwargs, draw = kwargs or {}, _drawing(func)
        if draw is None or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        device = _device(args, kwargs)
        if device.type == "meta":
            return func(*args, **kwargs)
        return draw(*args, **(kwargs | {"generator": self._on(device)}))

    def _on(self, device: torch.device) -> torch.Generator:
        """Return the generator of a device."""
        if device not in self.generators:
            self.generators[device] = new_generator(self.seed, device)
        return self.generators[device]


def _device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device:
    """Return the device on which an operator draws."""
    found = (each.device for each in args if isinstance(each, Tensor))
    return torch.device(kwargs.get("device") or next(found, "cpu"))


@cache
def _drawing(func: Any) -> Draw | None:
    """Return the operator with a generator argument; None if the operator is not random."""
    packet, name = func.overloadpacket, func._overloadname
    if packet.__name__ in WRITTEN_HERE and name in ("default", "low_dtype"):
        return WRITTEN_HERE[packet.__name__]
    overloads = (getattr(packet, each, None) for each in (name, OVERLOADS.get(name, name)))
    return next((each for each in overloads if each is not None and _takes_generator(each)), None)


def _takes_generator(overload: Any) -> bool:
    return any(argument.name == "generator" for argument in overload._schema.arguments)


def _filled(fill: str) -> Draw:
    """Return a function that creates a tensor like another one and fills it at random."""

    def draw(like: Tensor, *, generator: torch.Generator, **kwargs: Any) -> Tensor:
        filled: Tensor = getattr(torch.ops.aten.empty_like(like, **kwargs), fill)(generator=generator)
        return filled

    return draw


def _randint_like(like: Tensor, *bounds: int, generator: torch.Generator, **kwargs: Any) -> Tensor:
    """Draw integers from 0, or the first of two bounds, up to but excluding the last bound."""
    low, high = (0, *bounds)[-2:]
    drawn: Tensor = torch.ops.aten.empty_like(like, **kwargs).random_(low, high, generator=generator)
    return drawn


def _dropout(values: Tensor, p: float, train: bool, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the values after dropout, and the mask of kept values."""
    probability = 1 - p if train else 1.0
    kept = torch.empty_like(values, dtype=torch.bool).bernoulli_(probability, generator=generator)
    return values * kept / (probability or 1.0), kept


# Operators without a generator argument in some versions of torch.
WRITTEN_HERE: dict[str, Draw] = {
    "native_dropout": _dropout,
    "rand_like": _filled("uniform_"),
    "randint_like": _randint_like,
    "randn_like": _filled("normal_"),
}
