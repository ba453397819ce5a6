"""Plug-ins for gencls: a conditioner, an objective and an augmentation."""
