"""Training on skorch."""

from .net import GenerativeNet, make_net
from .plan import Plan, PlannedStage, Stage

__all__ = [
    "GenerativeNet",
    "Plan",
    "PlannedStage",
    "Stage",
    "make_net",
]
