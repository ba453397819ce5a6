"""Loaders of labelled images, in the style of `sklearn.datasets`.

Each loader returns a ``Bunch``: images in ``data``, integer codes in ``target``, the names of the codes in
``target_names``, the source of each image in ``filenames``, and a description in ``DESCR``.
"""

from .cpen455 import fetch_cpen455
from .image_folder import load_image_folder
from .image_table import load_image_csv

__all__ = [
    "fetch_cpen455",
    "load_image_csv",
    "load_image_folder",
]
