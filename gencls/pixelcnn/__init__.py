"""The network of PixelCNN++ (Salimans et al. 2017)."""

from .execution import Execution
from .layers import weights_resolved
from .network import PixelCNN
from .sites import Modulation, Modulations, Site, Sites, upper_left

__all__ = [
    "Execution",
    "Modulation",
    "Modulations",
    "PixelCNN",
    "Site",
    "Sites",
    "upper_left",
    "weights_resolved",
]
