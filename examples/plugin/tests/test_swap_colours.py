"""The contract of gencls, and the properties of this augmentation."""

import torch
from gencls_example_plugin.swap_colours import SwapColours

from gencls.augmentations import get_augmentation
from gencls.density import ConditionalPixelCNN
from gencls.testing import check_augmentation


def test_the_contract_holds() -> None:
    """All rules, for the class of the name."""
    check_augmentation("swap-colours")


def test_the_name_leads_to_the_class() -> None:
    """The entry point leads here."""
    assert get_augmentation("swap-colours") is SwapColours


def test_both_orders_of_the_channels_are_equally_probable() -> None:
    """The density of the model has the symmetry."""
    model = ConditionalPixelCNN((3, 4, 4), n_levels=8, n_classes=2, n_filters=4, symmetry="swap-colours")
    levels, labels = torch.randint(8, (5, 3, 4, 4)), torch.zeros(5, dtype=torch.int64)
    with torch.inference_mode():
        assert torch.equal(model.log_prob(levels, labels), model.log_prob(levels.flip(1), labels))
