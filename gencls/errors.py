"""The exceptions of gencls: each also derives from the type that callers already catch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "AmbiguousShapeWarning",
    "AugmentationContractError",
    "AugmentationError",
    "CompilationWarning",
    "ConditionerContractError",
    "ConditionerError",
    "DataSetError",
    "GenclsError",
    "ImageFileError",
    "InvalidInputError",
    "InvalidParameterError",
    "MissingPackageError",
    "ModelFileError",
    "NarrowRangeWarning",
    "NonFiniteLossError",
    "ObjectiveContractError",
    "ObjectiveError",
    "PixelClippingWarning",
    "PixelScaleWarning",
    "PluginContractError",
    "PluginError",
    "SkippedFilesWarning",
    "TrainingDivergedWarning",
    "TrainingInterruptedWarning",
]


class GenclsError(Exception):
    """The base of every exception that gencls raises on purpose."""


class InvalidParameterError(GenclsError, ValueError, TypeError):
    """A constructor parameter has a wrong type or value (several are reported together)."""


class InvalidInputError(GenclsError, ValueError, TypeError):
    """X, y or another argument of a method does not fit."""


class ImageFileError(InvalidInputError):
    """Images cannot be read safely and rightly; the message names the first ones, the attributes name all.

    Attributes
    ----------
    positions : list of int
        Their positions among the images that were given, from 0.
    sources : list
        The images themselves, as they were given: mostly paths.
    messages : list of str
        The mistake in each of them, and the remedy.
    """

    def __init__(
        self,
        message: str,
        positions: Iterable[int] = (),
        sources: Iterable[Any] = (),
        messages: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.positions, self.sources, self.messages = list(positions), list(sources), list(messages)


class DataSetError(GenclsError, OSError):
    """A data set is missing, incomplete, or not the one that was expected.

    Attributes
    ----------
    rows : list of int
        The rows of the table that are wrong, from 1; empty if something else is.
    messages : list of str
        What is wrong with each of them.
    """

    def __init__(self, message: str, rows: Iterable[int] = (), messages: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.rows, self.messages = list(rows), list(messages)


class PluginError(GenclsError, LookupError, ValueError):
    """A plug-in is unknown, cannot be imported, or conflicts with a different one."""


class ConditionerError(PluginError):
    """A conditioner is unknown, cannot be imported, or conflicts with a different one."""


class ObjectiveError(PluginError):
    """An objective is unknown, cannot be imported, or conflicts with a different one."""


class AugmentationError(PluginError):
    """An augmentation is unknown, cannot be imported, or conflicts with a different one."""


class PluginContractError(GenclsError, AssertionError):
    """A plug-in breaks the contract of its kind."""


class ConditionerContractError(PluginContractError):
    """A conditioner breaks the contract that `gencls.testing.check_conditioner` checks."""


class ObjectiveContractError(PluginContractError):
    """An objective breaks the contract that `gencls.testing.check_objective` checks."""


class AugmentationContractError(PluginContractError):
    """An augmentation breaks the contract that `gencls.testing.check_augmentation` checks."""


class MissingPackageError(GenclsError, ImportError):
    """An optional package is not installed; the message says how to install it."""


class ModelFileError(GenclsError, ValueError):
    """A file holds no model that can be read safely, or a model cannot be written to one."""


class NonFiniteLossError(GenclsError, ArithmeticError):
    """Training met a loss that is NaN or infinite; the last good weights are kept."""


class CompilationWarning(UserWarning):
    """Compiling was asked for, but does not work here; all is computed as without."""


class AmbiguousShapeWarning(UserWarning):
    """Rows of X were taken for images of a shape that is probably not meant; `image_shape` settles it."""


class NarrowRangeWarning(UserWarning):
    """Images of 16 bits use less than a sixteenth of their range: little of them is left at 8 bits."""


class PixelClippingWarning(UserWarning):
    """Some values lay outside the range that ``fit`` saw, or that was given, and were clipped to it."""


class SkippedFilesWarning(UserWarning):
    """Files were left out of a data set; the message says how many, and why."""


class TrainingDivergedWarning(ConvergenceWarning):
    """Training ended with a density that is worse than none; predictions are of no use."""


class PixelScaleWarning(UserWarning):
    """Images are on another scale than those of ``fit``, or use so small a part of it that they may be."""


class TrainingInterruptedWarning(UserWarning):
    """Training was interrupted by the user; what was learned until then is kept."""
