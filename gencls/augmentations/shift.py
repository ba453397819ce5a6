"""Images that are shifted by a few pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from .._common.validation import check_parameters, shortened, whole
from ..errors import InvalidParameterError
from .base import Augmentation

__all__ = ["Shift"]


class Shift(Augmentation):
    """Shift each image by a few pixels, up or down and left or right; the pixels at the edge are repeated.

    It reduces overfitting when a hybrid objective is trained on few images. As the density also learns the
    repeated edges, it makes a long training by maximum likelihood worse.

    Parameters
    ----------
    most : int, default=1
        Largest shift in pixels, from 0 to below the larger side of the images. All shifts up to it are
        equally likely.
    """

    def __init__(self, most: int = 1):
        self.most = most

    def per_batch(self, levels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if self.most == 0:
            return levels
        n_images, n_channels, height, width = levels.shape
        rows, columns = (
            self._origins(n_images, size, generator).to(levels.device) for size in (height, width)
        )
        taller = levels.gather(2, rows[:, None, :, None].expand(-1, n_channels, -1, width))
        return taller.gather(3, columns[:, None, None, :].expand(-1, n_channels, height, -1))

    def check(self, image_shape: tuple[int, int, int]) -> None:
        check_parameters("Shift", self.get_params(), {"most": whole(0)})
        larger = max(image_shape[1:])
        if self.most >= larger:
            raise InvalidParameterError(
                f"The parameter 'most' of Shift must be below {larger}, the larger side of the images, got "
                f"{shortened(self.most)}. One or two pixels are usual."
            )

    def _origins(self, n_images: int, size: int, generator: torch.Generator | None) -> Tensor:
        """The source positions (N, size) of the pixels along an axis, for each image."""
        most = int(self.most)  # an int of NumPy might overflow
        moves = torch.randint(-most, most + 1, (n_images, 1), generator=generator)
        return (torch.arange(size) + moves).clamp(0, size - 1)
