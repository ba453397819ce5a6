"""A conditioner for gencls: biases that tilt across the image."""

from __future__ import annotations

import torch
from torch import Tensor

from gencls.conditioners import Conditioner, Modulation, Modulations, Site, Sites, per_site, zero_embedding

__all__ = ["Tilt"]


class Tilt(Conditioner):
    """A bias for each class in every gated block that changes evenly from row to row and column to column."""

    def build(self, n_classes: int, sites: Sites) -> None:
        """Create the parameters: three numbers for each class and feature."""
        self.tilt = per_site(sites.named("second"), lambda site: zero_embedding(n_classes, 3 * site.channels))

    def forward(self, labels: Tensor) -> Modulations:
        """The modulations for labels (N,)."""
        return {site: Modulation(shift=self._plane(site, tilt(labels))) for site, tilt in self.tilt.items()}

    def _plane(self, site: Site, coefficients: Tensor) -> Tensor:
        """Coefficients (N, 3 F) of planes give the planes (N, F, H, W)."""
        level, down, right = coefficients[..., None, None].chunk(3, dim=1)
        rows = torch.linspace(-1, 1, site.height).to(coefficients)[:, None]
        columns = torch.linspace(-1, 1, site.width).to(coefficients)
        return level + down * rows + right * columns
