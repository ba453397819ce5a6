"""gencls: generative image classification with class-conditional PixelCNN++ and Bayes' theorem."""

from .codec import ImageCodec
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
from .errors import (
    ConditionerContractError,
    ConditionerError,
    DataSetError,
    GenclsError,
    ImageFileError,
    InvalidInputError,
    InvalidParameterError,
    MissingPackageError,
    NonFiniteLossError,
    PixelClippingWarning,
    TrainingInterruptedWarning,
)
from .estimator import GenerativeBayesClassifier
from .images import ReadImages
from .likelihood import DiscretizedLogisticMixture
from .metrics import bits_per_dim, neg_bits_per_dim_scorer
from .model import ConditionalPixelCNN

__version__ = "0.1.0"

__all__ = [
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
    "Modulation",
    "NonFiniteLossError",
    "PixelClippingWarning",
    "ReadImages",
    "Site",
    "Sites",
    "TrainingInterruptedWarning",
    "bits_per_dim",
    "get_conditioner",
    "list_conditioners",
    "neg_bits_per_dim_scorer",
    "per_site",
    "register_conditioner",
]
