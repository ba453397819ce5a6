"""Augmentations: more training images than there are."""
