"""The contract of gencls, and the properties of this conditioner."""

import torch
from gencls_example_plugin.tilt import Tilt

from gencls import get_conditioner
from gencls.pixelcnn import PixelCNN
from gencls.testing import check_conditioner


def test_the_contract_holds() -> None:
    """All rules, for the class of the name."""
    check_conditioner("tilt")


def test_the_name_leads_to_the_class() -> None:
    """The entry point leads here."""
    assert get_conditioner("tilt") is Tilt


def test_the_bias_is_a_plane() -> None:
    """Its second differences are 0."""
    tilt = Tilt()
    tilt.build(2, PixelCNN((1, 5, 7), n_outputs=1, n_layers=1, n_filters=4).sites)
    for parameter in tilt.parameters():
        torch.nn.init.normal_(parameter)
    for modulation in tilt(torch.tensor([0, 1])).values():
        for axis in (-2, -1):
            slope = modulation.shift.diff(dim=axis)
            torch.testing.assert_close(slope.diff(dim=axis), torch.zeros_like(slope.diff(dim=axis)))
