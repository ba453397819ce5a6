"""The learning curve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._common.unwrapping import unwrap
from .._common.validation import check_parameters, optional, shortened
from ..errors import InvalidInputError
from .axes import AXES, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TrainingHistoryDisplay"]


class TrainingHistoryDisplay:
    """The learning curve: bits per dimension, and validation accuracy if available, over the epochs.

    Use :meth:`from_estimator` or :meth:`from_history` to create a display.

    Parameters
    ----------
    history : sequence of mapping
        One mapping per epoch, with the keys ``epoch`` and ``train_bpd`` and, with a validation set,
        ``valid_bpd`` and ``valid_accuracy``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of bits per dimension; lower is better.
    accuracy_ax_ : matplotlib Axes or None
        The twin axes of the accuracy, on the right; None without accuracies.
    figure_ : matplotlib Figure
    """

    ax_: Axes
    accuracy_ax_: Axes | None
    figure_: Any

    def __init__(self, history: Sequence[Mapping[str, Any]]):
        self.history = history

    @classmethod
    def from_estimator(cls, clf: Any, *, ax: Axes | None = None) -> TrainingHistoryDisplay:
        """Plot the learning curve of a fitted classifier.

        Parameters
        ----------
        clf : GenerativeBayesClassifier, or a pipeline or search that ends in one
            A fitted estimator, of which ``history_`` is plotted; a search is represented by its best
            estimator.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        TrainingHistoryDisplay

        Raises
        ------
        InvalidInputError
            If `clf` does not contain such a classifier.
        """
        return cls.from_history(unwrap(clf, "history_").history_, ax=ax)

    @classmethod
    def from_history(
        cls, history: Iterable[Mapping[str, Any]], *, ax: Axes | None = None
    ) -> TrainingHistoryDisplay:
        """Plot the learning curve from the records of the epochs.

        Parameters
        ----------
        history : iterable of mapping or DataFrame
            One record per epoch, see the parameter of the class.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        TrainingHistoryDisplay

        Raises
        ------
        InvalidInputError
            If `history` is not a list of records, or is empty.
        """
        check_parameters("TrainingHistoryDisplay", {"ax": ax}, {"ax": optional(AXES)})
        if hasattr(history, "to_dict"):
            history = history.to_dict("records")  # a pandas DataFrame
        records = list(history) if isinstance(history, Iterable) else [history]
        if not all(isinstance(record, Mapping) and "epoch" in record for record in records):
            raise InvalidInputError(
                "history must be a list of dicts with the key 'epoch', such as history_, got "
                f"{shortened(history)}."
            )
        if not records:
            raise InvalidInputError("history must have at least one epoch, got none.")
        return cls(records).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> TrainingHistoryDisplay:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        TrainingHistoryDisplay
            The display itself.
        """
        self.ax_ = axes_or_new(type(self).__name__, ax, figsize=(6.4, 4.0))
        self.figure_ = self.ax_.figure
        self._draw(self.ax_, "train_bpd", label="Training", color="C0")
        self._draw(self.ax_, "valid_bpd", label="Validation", color="C1")
        self.ax_.set(xlabel="Epoch", ylabel="Bits per dimension")
        self.ax_.locator_params(axis="x", integer=True)
        self.accuracy_ax_ = self._plot_accuracy()
        lines = [line for axes in (self.ax_, self.accuracy_ax_) if axes is not None for line in axes.lines]
        self.ax_.legend(handles=lines, loc="center right")
        return self

    def _plot_accuracy(self) -> Axes | None:
        if not any("valid_accuracy" in record for record in self.history):
            return None
        axes = self.ax_.twinx()
        self._draw(axes, "valid_accuracy", label="Validation accuracy", color="C2", linestyle="--")
        axes.set_ylabel("Accuracy")
        return axes

    def _draw(self, axes: Axes, key: str, **style: Any) -> None:
        """Plot one curve over the epochs that have the key, if any."""
        points = [(record["epoch"], record[key]) for record in self.history if record.get(key) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 30 else "", **style)
