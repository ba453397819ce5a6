"""Displays in the style of scikit-learn, based on matplotlib: images by class, and the learning curve.

For a confusion matrix, see :class:`sklearn.metrics.ConfusionMatrixDisplay`.
"""

from .sample_grid import SampleGridDisplay
from .training_history import TrainingHistoryDisplay

__all__ = [
    "SampleGridDisplay",
    "TrainingHistoryDisplay",
]
