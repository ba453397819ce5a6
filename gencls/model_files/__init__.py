"""Model files: safetensors with JSON, and without pickle."""

from .reading import read_card, read_model
from .snapshot import Snapshot
from .writing import write_model

__all__ = [
    "Snapshot",
    "read_card",
    "read_model",
    "write_model",
]
