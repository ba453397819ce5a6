"""The interface of conditioners."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, TypeVar

from sklearn.base import BaseEstimator
from torch import Tensor, nn

from ..pixelcnn import Modulation, Modulations, Site, Sites

__all__ = [
    "Conditioner",
    "Modulation",
    "Modulations",
    "Site",
    "Sites",
    "per_site",
    "zero_embedding",
    "zeroed",
]

M = TypeVar("M", bound=nn.Module)


class Conditioner(BaseEstimator, nn.Module):
    """Base class of conditioners, which condition the network on the class.

    A conditioner is configured like a scikit-learn estimator and built like a torch module: its constructor
    only stores hyper-parameters (and calls ``super().__init__()``), so that it can be cloned and searched
    (``conditioner__rank``); :meth:`build` creates the parameters once the classes and the network's sites are
    known; and :meth:`forward` maps labels to modulations of the sites. A conditioner has no access to the
    images, so it cannot break causality. It runs once per batch in training, and once per class when all
    classes are scored.

    Examples
    --------
    >>> from torch import nn
    >>> from gencls.conditioners import Conditioner, Modulation, per_site
    >>> class LateShift(Conditioner):
    ...     '''A bias for each class in the last stage.'''
    ...     def build(self, n_classes, sites):
    ...         chosen = sites.named("second").in_stages([5])
    ...         self.bias = per_site(chosen, lambda site: nn.Embedding(n_classes, site.channels))
    ...     def forward(self, labels):
    ...         return {site: Modulation(shift=bias(labels)) for site, bias in self.bias.items()}
    """

    ignores_labels: ClassVar[bool] = False
    """Whether the modulations deliberately ignore the labels, as in a model of p(x)."""

    is_random: ClassVar[bool] = False
    """Whether `forward` draws random numbers from torch in training, as dropout does."""

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def build(self, n_classes: int, sites: Sites) -> None:
        """Create the parameters.

        Parameters
        ----------
        n_classes : int
            K.
        sites : Sites
            All sites of the network, in the order of the forward pass. A conditioner may use any of them.
        """
        raise NotImplementedError

    @abstractmethod
    def forward(self, labels: Tensor) -> Modulations:
        """Compute the modulations for these labels.

        Parameters
        ----------
        labels : Tensor of shape (N,)
            Integers from 0 to K - 1.

        Returns
        -------
        dict of Site to Modulation
            The modulation of each site on which the conditioner acts; these sites do not depend on the
            labels. Row i belongs to label i.
        """
        raise NotImplementedError


class per_site(nn.Module):  # noqa: N801  it reads as a function
    """One module for each site, such as ``per_site(sites, lambda site: nn.Embedding(10, site.channels))``."""

    def __init__(self, sites: Iterable[Site], make: Callable[[Site], nn.Module]):
        super().__init__()
        self.sites = Sites(sites)
        self.made = nn.ModuleDict({site.key: make(site) for site in self.sites})

    def __getitem__(self, site: Site) -> nn.Module:
        return self.made[site.key]

    def items(self) -> Iterable[tuple[Site, nn.Module]]:
        """Pairs of site and module, in the order of the forward pass."""
        return [(site, self.made[site.key]) for site in self.sites]


def zero_embedding(n_classes: int, size: int) -> nn.Embedding:
    """A learned vector for each class that starts at 0: training begins with the unconditioned network."""
    return zeroed(nn.Embedding(n_classes, size))


def zeroed(module: M) -> M:
    """Set all parameters of a module to 0, for the last layer before a modulation."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
