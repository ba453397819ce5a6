"""Training on skorch."""

from .net import GenerativeNet, make_net

__all__ = [
    "GenerativeNet",
    "make_net",
]
