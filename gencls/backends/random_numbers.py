"""Torch's random numbers from generators of our own.

Torch has one stream of random numbers for a whole process. Trainings in several threads would share it, so
that none of them could be repeated, and whoever seeds it changes it for all threads. Nothing here seeds it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["DrawingFrom", "draw_key", "new_generator"]

# The overloads of torch's operators that draw, and those of the same with a generator.
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
    """A stream of random numbers that follows from a seed."""
    return torch.Generator(device).manual_seed(seed)


def draw_key(generator: torch.Generator | None) -> int:
    """A seed for a stream of its own, from 0 to 2**32 - 1; without a generator, from torch's own stream."""
    return int(torch.randint(2**32, (), generator=generator))


class DrawingFrom(TorchDispatchMode):
    """While this is open, the calling thread draws from streams that follow from a seed.

    It is for code that draws from torch's own stream, such as the constructors of modules. An operator takes
    some microseconds longer in it.

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
        """Call an operator, with a generator if it draws and has none."""
        kwargs = kwargs or {}
        draw, device = _drawing(func), _device(args, kwargs)
        if draw is None or device.type == "meta" or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        return draw(*args, **(kwargs | {"generator": self._on(device)}))

    def _on(self, device: torch.device) -> torch.Generator:
        """The stream of a device."""
        if device not in self.generators:
            self.generators[device] = new_generator(self.seed, device)
        return self.generators[device]


def _device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device:
    """Where an operator draws."""
    found = (each.device for each in args if isinstance(each, Tensor))
    return torch.device(kwargs.get("device") or next(found, "cpu"))


@cache
def _drawing(func: Any) -> Draw | None:
    """The same operator with a generator; None if it draws nothing."""
    packet, name = func.overloadpacket, func._overloadname
    if packet.__name__ in WRITTEN_HERE and name in ("default", "low_dtype"):
        return WRITTEN_HERE[packet.__name__]
    overloads = (getattr(packet, each, None) for each in (name, OVERLOADS.get(name, name)))
    return next((each for each in overloads if each is not None and _takes_generator(each)), None)


def _takes_generator(overload: Any) -> bool:
    return any(argument.name == "generator" for argument in overload._schema.arguments)


def _filled(fill: str) -> Draw:
    """A function that makes an empty tensor like a given one, and fills it."""

    def draw(like: Tensor, *, generator: torch.Generator, **kwargs: Any) -> Tensor:
        filled: Tensor = getattr(torch.ops.aten.empty_like(like, **kwargs), fill)(generator=generator)
        return filled

    return draw


def _randint_like(like: Tensor, *bounds: int, generator: torch.Generator, **kwargs: Any) -> Tensor:
    """Integers from 0, or from the first of two bounds, to below the last."""
    low, high = (0, *bounds)[-2:]
    drawn: Tensor = torch.ops.aten.empty_like(like, **kwargs).random_(low, high, generator=generator)
    return drawn


def _dropout(values: Tensor, p: float, train: bool, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The values with dropout, and which of them are kept."""
    probability = 1 - p if train else 1.0
    kept = torch.empty_like(values, dtype=torch.bool).bernoulli_(probability, generator=generator)
    return values * kept / (probability or 1.0), kept


# Operators that take no generator, in all versions of torch or in some.
WRITTEN_HERE: dict[str, Draw] = {
    "native_dropout": _dropout,
    "rand_like": _filled("uniform_"),
    "randint_like": _randint_like,
    "randn_like": _filled("normal_"),
}
