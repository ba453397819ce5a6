"""What several test files need: small models in float64 away from their start, and checks of contracts."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import torch

from gencls import ConditionalPixelCNN, Flip
from gencls.augmentations import Augmentation

# One shift at every block, one linear map, one map over positions: enough for properties of the network.
# All conditioners go through `check_conditioner` in test_zoo.py.
REPRESENTATIVE = ("strong", "low-rank", "spatial-film")


class Inverted(Augmentation):
    """Images are as probable as their negatives."""

    def __init__(self, n_levels=2):
        self.n_levels = n_levels

    def orbit(self, levels):
        return [levels, self.n_levels - 1 - levels]


class Swapped(Augmentation):
    """The first two columns may be swapped, which does not commute with a flip."""

    def orbit(self, levels):
        return [levels, torch.cat([levels[..., [1, 0]], levels[..., 2:]], dim=-1)]


def four_of_each(n_levels):
    """A symmetry with four images in each orbit: flipped or not, inverted or not."""
    return [Flip(), Inverted(n_levels)]


def make_model(image_shape=(1, 4, 4), n_levels=4, n_classes=3, conditioner="mild", *, seed=0, **options):
    """A small model in float64 and evaluation mode whose every parameter is away from its start."""
    defaults = {"n_layers": 1, "n_filters": 4, "n_mixtures": 2}
    torch.manual_seed(seed)
    model = ConditionalPixelCNN(image_shape, n_levels, n_classes, conditioner, **(defaults | options))
    return disturb(model.double().eval())


@torch.no_grad()
def disturb(module, size=0.3):
    """Add normal noise to every parameter: gains and biases too start at values that hide mistakes."""
    for parameter in module.parameters():
        parameter.add_(size * torch.randn_like(parameter))
    return module


def make_levels(model, n_images=5, seed=0):
    """Random images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.likelihood.n_levels, (n_images, *model.image_shape), generator=generator)


def make_labels(model, n_images=5):
    """Every class in turn."""
    return torch.arange(n_images) % model.n_classes


def all_images(image_shape, n_levels):
    """Every image there is, (L ** (C · H · W), C, H, W)."""
    n_dimensions = int(torch.Size(image_shape).numel())
    return torch.tensor(list(itertools.product(range(n_levels), repeat=n_dimensions))).reshape(
        -1, *image_shape
    )


def check_wrong(check, contract, plugin, broken):
    """Check that a contract reports exactly these rules as broken by a class."""
    with pytest.raises(contract.error) as caught:
        check(plugin)
    message = str(caught.value)
    named = re.findall(r"^- (\w+): ", message, re.MULTILINE)
    assert sorted(named) == sorted(broken)
    n_rules = len(contract.foundations) + len(contract.rules)
    place = f"{plugin.__module__}:{plugin.__name__}"
    assert message.startswith(f"The {contract.kind} {place} breaks {len(named)} of the {n_rules} rules")
    assert message.count("  Seen: ") == message.count("  What to do: ") == len(named)


def check_page(name, contract):
    """Check that the table of a page names all rules, in their order."""
    page = Path(__file__).parent.parent / "docs" / name
    _, text = page.read_text(encoding="utf-8").split("\nThe rules:\n")
    named = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert named == [rule.name for rule in contract.foundations + contract.rules]
