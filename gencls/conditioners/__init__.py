"""Conditioners, which condition the network on the class, and their registry."""

from .base import Conditioner, Modulation, Modulations, Site, Sites, per_site, zero_embedding, zeroed
from .registry import CONDITIONERS, get_conditioner, list_conditioners, make_conditioner, register_conditioner

__all__ = [
    "CONDITIONERS",
    "Conditioner",
    "Modulation",
    "Modulations",
    "Site",
    "Sites",
    "get_conditioner",
    "list_conditioners",
    "make_conditioner",
    "per_site",
    "register_conditioner",
    "zero_embedding",
    "zeroed",
]
