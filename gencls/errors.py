"""Exceptions and warnings of gencls; each also derives from a type that callers already catch."""

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
    """Base class of all exceptions that gencls raises deliberately."""


class InvalidParameterError(GenclsError, ValueError, TypeError):
    """A parameter has a wrong type or value; all wrong parameters are reported together."""


class InvalidInputError(GenclsError, ValueError, TypeError):
    """X, y or another argument of a method is invalid."""


class ImageFileError(InvalidInputError):
    """Images cannot be read safely and correctly.

    The message names the first of these images, the attributes list all.

    Attributes
    ----------
    positions : list of int
        Positions of the images in the input, from 0.
    sources : list
        The images as they were passed, usually paths.
    messages : list of str
        One message per image: the mistake and the remedy.
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
    """A data set is missing, incomplete, or differs from the expected one.

    Attributes
    ----------
    rows : list of int
        Invalid rows of the table, from 1; empty if the error does not concern rows.
    messages : list of str
        One message per invalid row.
    """

    def __init__(self, message: str, rows: Iterable[int] = (), messages: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.rows, self.messages = list(rows), list(messages)


class PluginError(GenclsError, LookupError, ValueError):
    """A plug-in is unknown, cannot be imported, or conflicts with another plug-in."""


class ConditionerError(PluginError):
    """A conditioner is unknown, cannot be imported, or conflicts with another conditioner."""


class ObjectiveError(PluginError):
    """An objective is unknown, cannot be imported, or conflicts with another objective."""


class AugmentationError(PluginError):
    """An augmentation is unknown, cannot be imported, or conflicts with another augmentation."""


class PluginContractError(GenclsError, AssertionError):
    """A plug-in violates the contract of its kind."""


class ConditionerContractError(PluginContractError):
    """A conditioner violates the contract that `gencls.testing.check_conditioner` checks."""


class ObjectiveContractError(PluginContractError):
    """An objective violates the contract that `gencls.testing.check_objective` checks."""


class AugmentationContractError(PluginContractError):
    """An augmentation violates the contract that `gencls.testing.check_augmentation` checks."""


class MissingPackageError(GenclsError, ImportError):
    """An optional dependency is not installed; the message contains the install command."""


class ModelFileError(GenclsError, ValueError):
    """A model cannot be read safely from a file, or cannot be written to a file."""


class NonFiniteLossError(GenclsError, ArithmeticError):
    """The training loss is NaN or infinite; the last finite weights are kept."""


class CompilationWarning(UserWarning):
    """Compilation was requested but is not available; computation continues without it."""


class AmbiguousShapeWarning(UserWarning):
    """Rows of X were folded to an improbable image shape; set `image_shape` to be explicit."""


class NarrowRangeWarning(UserWarning):
    """16-bit images use less than a sixteenth of their range, so conversion to 8 bits loses most detail."""


class PixelClippingWarning(UserWarning):
    """Values outside the range of ``fit``, or outside a given range, were clipped."""


class SkippedFilesWarning(UserWarning):
    """Files were excluded from a data set; the message reports how many, and why."""


class TrainingDivergedWarning(ConvergenceWarning):
    """Training ended with a density worse than the uniform distribution; predictions are useless."""


class PixelScaleWarning(UserWarning):
    """The scale of the images differs, or seems to differ, from the scale in ``fit``."""


class LongTrainingWarning(UserWarning):
    """Training will take more than ten minutes on this machine."""


class TrainingInterruptedWarning(UserWarning):
    """The user interrupted training; the weights learned so far are kept."""
