"""Reading, cropping, layout and quantisation of images."""

from .codec import ImageCodec
from .crops import CropImages, crop_at_random, six_crops
from .reading import ReadImages, read_image, read_images

__all__ = [
    "CropImages",
    "ImageCodec",
    "ReadImages",
    "crop_at_random",
    "read_image",
    "read_images",
    "six_crops",
]
