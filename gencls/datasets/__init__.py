"""Data sets: images in folders, listed in tables, and downloaded."""

from .loaders import fetch_cpen455, load_image_csv, load_image_folder

__all__ = [
    "fetch_cpen455",
    "load_image_csv",
    "load_image_folder",
]
