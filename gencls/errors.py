"""The exceptions of gencls: each also derives from the type that callers already catch."""

from __future__ import annotations

__all__ = [
    "AmbiguousShapeWarning",
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
    "NonFiniteLossError",
    "PixelClippingWarning",
    "PixelScaleWarning",
    "TrainingInterruptedWarning",
]


class GenclsError(Exception):
    """The base of every exception that gencls raises on purpose."""


class InvalidParameterError(GenclsError, ValueError, TypeError):
    """A constructor parameter has a wrong type or value (several are reported together)."""


class InvalidInputError(GenclsError, ValueError, TypeError):
    """X, y or another argument of a method does not fit."""


class ImageFileError(GenclsError, ValueError):
    """A file is no image that can be read safely; the message names the file."""


class DataSetError(GenclsError, OSError):
    """A data set is missing, incomplete, or not the one that was expected."""


class ConditionerError(GenclsError, LookupError, ValueError):
    """A conditioner is unknown, or conflicts with another."""


class ConditionerContractError(GenclsError, AssertionError):
    """A conditioner breaks the contract that `gencls.testing.check_conditioner` checks."""


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


class PixelClippingWarning(UserWarning):
    """Some values lay outside the range that ``fit`` saw and were clipped to it."""


class PixelScaleWarning(UserWarning):
    """Images are on another scale than those of ``fit``, or use so small a part of it that they may be."""


class TrainingInterruptedWarning(UserWarning):
    """Training was interrupted by the user; what was learned until then is kept."""
