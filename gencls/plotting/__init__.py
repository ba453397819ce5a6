"""Displays in the style of scikit-learn, drawn by matplotlib."""

from .sample_grid import SampleGridDisplay, TrainingHistoryDisplay

__all__ = [
    "SampleGridDisplay",
    "TrainingHistoryDisplay",
]
