"""gencls: generative image classification with class-conditional PixelCNN++ and Bayes' theorem."""

from ._version import __version__ as __version__
from .conditioners import (
    Conditioner,
    Modulation,
    Site,
    Sites,
    get_conditioner,
    list_conditioners,
    per_site,
    register_conditioner,
)
from .density.likelihood import DiscretizedLogisticMixture
from .density.model import ConditionalPixelCNN
from .errors import (
    AmbiguousShapeWarning,
    CompilationWarning,
    ConditionerContractError,
    ConditionerError,
    DataSetError,
    GenclsError,
    ImageFileError,
    InvalidInputError,
    InvalidParameterError,
    MissingPackageError,
    ModelFileError,
    NarrowRangeWarning,
    NonFiniteLossError,
    PixelClippingWarning,
    PixelScaleWarning,
    SkippedFilesWarning,
    TrainingDivergedWarning,
    TrainingInterruptedWarning,
)
from .estimators.classifier import GenerativeBayesClassifier
from .estimators.pretrained import list_pretrained, load_pretrained, model_card
from .images.codec import ImageCodec
from .images.reading import ReadImages
from .metrics.probabilities import bits_per_dim, expected_calibration_error, neg_bits_per_dim_scorer

__all__ = [
    "AmbiguousShapeWarning",
    "CompilationWarning",
    "ConditionalPixelCNN",
    "Conditioner",
    "ConditionerContractError",
    "ConditionerError",
    "DataSetError",
    "DiscretizedLogisticMixture",
    "GenclsError",
    "GenerativeBayesClassifier",
    "ImageCodec",
    "ImageFileError",
    "InvalidInputError",
    "InvalidParameterError",
    "MissingPackageError",
    "ModelFileError",
    "Modulation",
    "NarrowRangeWarning",
    "NonFiniteLossError",
    "PixelClippingWarning",
    "PixelScaleWarning",
    "ReadImages",
    "Site",
    "Sites",
    "SkippedFilesWarning",
    "TrainingDivergedWarning",
    "TrainingInterruptedWarning",
    "bits_per_dim",
    "expected_calibration_error",
    "get_conditioner",
    "list_conditioners",
    "list_pretrained",
    "load_pretrained",
    "model_card",
    "neg_bits_per_dim_scorer",
    "per_site",
    "register_conditioner",
]
