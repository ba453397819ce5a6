"""Displays in the style of scikit-learn, drawn by matplotlib: images by class, and the learning curve.

A confusion matrix is scikit-learn's own business: see :class:`sklearn.metrics.ConfusionMatrixDisplay`.
"""

from .sample_grid import SampleGridDisplay
from .training_history import TrainingHistoryDisplay

__all__ = [
    "SampleGridDisplay",
    "TrainingHistoryDisplay",
]
