"""Sites, at which a class can enter the network, and modulations, which act on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from .pointwise import channels_first, channels_last, scale_and_shift

__all__ = ["NOTHING", "Modulation", "Modulations", "Site", "Sites", "modulate", "upper_left"]


@dataclass(frozen=True, order=True)
class Site:
    """One place in the network at which a conditioner may act.

    Attributes
    ----------
    name : {"input", "first", "second", "head"}
        ``"input"``: the features after the first convolutions; ``"first"`` and ``"second"``: after the first
        and the second convolution of a gated residual block; ``"head"``: before the last 1×1 convolution.
    stream : {"vertical", "horizontal"}
        The vertical stream sees the rows above, the horizontal one also the pixels to the left.
    stage : int
        0 to 2 on the way down in resolution, 3 to 5 on the way up. ``"input"`` is in stage 0, ``"head"``
        in 5.
    block : int
        The block's number within its stage and stream, from 0.
    channels, height, width : int
        The features' size F, H and W here.
    """

    name: str
    stream: str
    stage: int
    block: int
    channels: int
    height: int
    width: int

    @property
    def key(self) -> str:
        """A name that is unique in the network and valid as a key of ``torch.nn.ModuleDict``."""
        return f"{self.name}-{self.stream}-{self.stage}-{self.block}"

    @property
    def step(self) -> int:
        """Rows and columns of the image that one row and column of the features covers: 1, 2 or 4."""
        return int(2 ** min(self.stage, 5 - self.stage))


class Sites(tuple[Site, ...]):
    """All sites of a network in the order of the forward pass, with ways to pick some of them."""

    __slots__ = ()

    def named(self, *names: str) -> Sites:
        """The sites with one of these names, such as ``sites.named("first", "second")``."""
        return Sites(site for site in self if site.name in names)

    def in_stream(self, stream: str) -> Sites:
        """The sites of one stream."""
        return Sites(site for site in self if site.stream == stream)

    def in_stages(self, stages: Iterable[int]) -> Sites:
        """The sites of these stages, such as ``sites.in_stages(range(3, 6))``."""
        wanted = set(stages)
        return Sites(site for site in self if site.stage in wanted)


@dataclass(frozen=True)
class Modulation:
    r"""The map that a conditioner applies to the features :math:`x` of a site: :math:`s \odot (x + LRx) + b`.

    Every part is optional, and each works at one position at a time, so that no conditioner can break
    causality and a sampler can apply it to a single pixel.

    Attributes
    ----------
    shift : Tensor of shape (N, F) or (N, F, H, W), optional
        :math:`b`; the same at all positions, or a map over them.
    scale : Tensor of shape (N, F) or (N, F, H, W), optional
        :math:`s`; 1 changes nothing.
    mix : tuple of Tensor of shapes (N, F, R) and (N, R, F), optional
        :math:`L` and :math:`R`: a linear map of rank R of the features at each position.
    """

    shift: Tensor | None = None
    scale: Tensor | None = None
    mix: tuple[Tensor, Tensor] | None = None

    def per_image(self) -> Modulation:
        """Row i belongs to image i: ready to act on features of shape (1, N, F, H, W)."""
        return self._arranged((1, -1))

    def per_class(self) -> Modulation:
        """Row k belongs to class k, for every image: (1 or K, N, F, H, W) becomes (K, N, F, H, W)."""
        return self._arranged((-1, 1))

    def per_group(self, n_groups: int) -> Modulation:
        """Row g · N + i belongs to image i in group g: (1 or G, N, F, H, W) becomes (G, N, F, H, W)."""
        return self._arranged((n_groups, -1))

    def at(self, rows: slice, columns: slice) -> Modulation:
        """The part of an arranged modulation for some of the positions."""

        def cut(value: Tensor | None) -> Tensor | None:
            return value if value is None or value.shape[-2:] == (1, 1) else value[..., rows, columns]

        return Modulation(cut(self.shift), cut(self.scale), self.mix)

    def apply(self, features: Tensor) -> Tensor:
        """Apply an arranged modulation to features of shape (G, N, F, H, W)."""
        return scale_and_shift(self.mixed(features), self.scale, self.shift)

    def mixed(self, features: Tensor) -> Tensor:
        """Only the first step, the linear map at each position, without `scale` and `shift`."""
        if self.mix is None:
            return features
        left, right = (part.to(features.dtype).mT for part in self.mix)
        positions = channels_last(features).flatten(-3, -2)
        return features + channels_first((positions @ right @ left).unflatten(-2, features.shape[-2:]))

    def _arranged(self, shape: tuple[int, int]) -> Modulation:
        """With the rows unflattened to groups and images."""

        def spread(value: Tensor | None) -> Tensor | None:
            if value is None:
                return None
            return (value[..., None, None] if value.ndim == 2 else value).unflatten(0, shape)

        mix = self.mix and (self.mix[0].unflatten(0, shape), self.mix[1].unflatten(0, shape))
        return Modulation(spread(self.shift), spread(self.scale), mix)


Modulations = dict[Site, Modulation]


NOTHING = Modulation()


def upper_left(modulations: Modulations, n_rows: int, n_columns: int | None = None) -> Modulations:
    """The part of arranged modulations for the upper rows and the left columns; None selects all."""
    return {
        site: each.at(*(slice(n and -(-n // site.step)) for n in (n_rows, n_columns)))
        for site, each in modulations.items()
    }


def modulate(features: Tensor, site: Site, modulations: Modulations) -> Tensor:
    """Apply the modulation of this site, if there is one."""
    return modulations.get(site, NOTHING).apply(features)
