"""Axes for displays: given by the user, or of a new figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._common.validation import Rule
from ..errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AXES", "axes_or_new"]

AXES = Rule("a matplotlib Axes", lambda value: hasattr(value, "imshow"))


def axes_or_new(owner: str, ax: Axes | None, figsize: tuple[float, float]) -> Axes:
    """Return the given axes, or axes of a new figure; matplotlib is imported only here."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingPackageError(
            f'{owner} needs matplotlib, which is not installed. Install it with: pip install "gencls[plot]"'
        ) from error
    axes: Axes = plt.subplots(figsize=figsize, layout="constrained")[1]
    return axes
