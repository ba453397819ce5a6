"""The contracts of plug-ins, as checks for the test suites of their packages."""

from .checks import check_augmentation, check_conditioner, check_objective

__all__ = ["check_augmentation", "check_conditioner", "check_objective"]
