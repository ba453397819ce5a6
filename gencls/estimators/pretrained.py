"""Models that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._common.validation import check_parameters, choice
from ..model_files.reading import read_card
from .classifier import GenerativeBayesClassifier

__all__ = ["list_pretrained", "load_pretrained", "model_card"]

MODELS = Path(__file__).parent / "_models"
ENDING = ".safetensors"


def list_pretrained() -> list[str]:
    """List the names of the models that come with the package.

    Returns
    -------
    list of str
        Sorted.
    """
    return sorted(path.name.removesuffix(ENDING) for path in MODELS.glob(f"*{ENDING}"))


def load_pretrained(name: str, device: str = "auto") -> GenerativeBayesClassifier:
    """Load a model that comes with the package.

    Parameters
    ----------
    name : str
        One of `list_pretrained`.
    device : str, default="auto"
        A torch device; ``"auto"`` is a GPU if one is available.

    Returns
    -------
    GenerativeBayesClassifier
        Fitted.

    Raises
    ------
    InvalidParameterError
        If the name is unknown, or the device is not available.
    """
    return GenerativeBayesClassifier.load(_file("load_pretrained", name), device)


def model_card(name: str) -> dict[str, Any]:
    """Return the card of a model that comes with the package: its data, training and figures.

    Parameters
    ----------
    name : str
        One of `list_pretrained`.

    Returns
    -------
    dict
    """
    return read_card(_file("model_card", name))


def _file(caller: str, name: str) -> Path:
    check_parameters(caller, {"name": name}, {"name": choice(*list_pretrained())})
    return MODELS / f"{name}{ENDING}"
