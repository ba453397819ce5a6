"""The density p(image | class)."""

from .likelihood import DiscretizedLogisticMixture
from .model import ConditionalPixelCNN

__all__ = [
    "ConditionalPixelCNN",
    "DiscretizedLogisticMixture",
]
