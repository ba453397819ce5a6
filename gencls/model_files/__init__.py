"""Model files: safetensors with JSON, and without pickle."""

from .persistence import Snapshot, read_card, read_model, write_model

__all__ = [
    "Snapshot",
    "read_card",
    "read_model",
    "write_model",
]
