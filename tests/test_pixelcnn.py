"""The network sees the past only, all of it, and computes what the paper says."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import plain
import pytest
import torch
from helpers import REPRESENTATIVE, disturb, make_labels, make_levels, make_model
from torch import nn

from gencls import Modulation
from gencls.pixelcnn import Execution, PixelCNN
from gencls.pixelcnn.blocks import GatedResidualBlock
from gencls.pixelcnn.layers import (
    ShiftedConv2d,
    Stream,
    UpsamplingConv2d,
    WeightNormConv2d,
    data_dependent_init,
)
from gencls.pixelcnn.pointwise import activate, channels_first, channels_last, concat_elu, dropout_mask

SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (5, 3), (7, 7), (8, 8), (1, 9)]


def make_network(image_shape, n_outputs=3, n_layers=1, n_filters=4, seed=0):
    torch.manual_seed(seed)
    return disturb(PixelCNN(image_shape, n_outputs, n_layers, n_filters).double().eval())


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def influence(function, image_shape, output_size=None, seed=0):
    """Which inputs matter for which outputs: gradients as a mask (outputs' pixels, C, H, W).

    One copy of the image for each pixel of the output; a random mixture of that pixel's outputs is
    differentiated, so that an exact zero means that not one of them depends on the input.
    """
    _, height, width = image_shape
    rows, columns = output_size or (height, width)
    images = noise(1, *image_shape, seed=seed).expand(rows * columns, *image_shape).clone().requires_grad_()
    outputs = function(images).flatten(2)
    mixture = torch.einsum("pop,o->", outputs, noise(outputs.shape[1], seed=seed + 1))
    (gradient,) = torch.autograd.grad(mixture, images)
    return gradient != 0


def assert_causal(function, image_shape):
    """No output depends on its own pixel or a later one, and each on its neighbours above and to the left."""
    _, height, width = image_shape
    seen = influence(function, image_shape).flatten(2)
    for pixel in range(height * width):
        assert not seen[pixel, :, pixel:].any(), f"pixel {pixel} sees itself or the future"
        row, column = divmod(pixel, width)
        if column > 0:
            assert seen[pixel, :, pixel - 1].all(), f"pixel {pixel} does not see its left neighbour"
        if row > 0:
            above = slice(pixel - width - (column > 0), pixel - width + 1 + (column < width - 1))
            assert seen[pixel, :, above].all(), f"pixel {pixel} does not see what is above it"


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_no_pixel_depends_on_itself_or_a_later_one(conditioner, channels, size):
    model = make_model((channels, *size), conditioner=conditioner)
    n_copies = size[0] * size[1]
    modulations = model.modulate_images(torch.full((n_copies,), 1))
    assert_causal(lambda images: model.network(images, modulations)[0], model.image_shape)


@pytest.mark.parametrize("size", [(3, 5), (8, 8)], ids=str)
def test_the_check_of_causality_catches_an_ordinary_convolution(size):
    convolution = nn.Conv2d(1, 3, 3, padding=1).double()
    with pytest.raises(AssertionError, match="pixel 0 sees itself or the future"):
        assert_causal(convolution, (1, *size))


@pytest.mark.parametrize("name", ["above", "row_above", "left"])
def test_the_check_of_causality_catches_a_missing_shift(name):
    network = make_network((1, 5, 5))
    getattr(network, name).shift = None
    with pytest.raises(AssertionError, match="sees itself or the future"):
        assert_causal(lambda images: network(images, {})[0], (1, 5, 5))


def test_the_check_of_causality_catches_an_upsampling_of_the_future():
    network = make_network((1, 7, 7))
    network.up[2].resize[1].left = 1
    with pytest.raises(AssertionError, match="sees itself or the future"):
        assert_causal(lambda images: network(images, {})[0], (1, 7, 7))


def test_the_check_of_causality_catches_a_network_that_sees_nothing():
    with pytest.raises(AssertionError, match="pixel 1 does not see its left neighbour"):
        assert_causal(lambda images: 0 * images, (1, 2, 3))


@pytest.mark.parametrize("size", [(5, 5), (7, 7), (2, 9), (9, 2)], ids=str)
def test_there_is_no_blind_spot(size):
    """Every pixel sees all pixels before it, also those above to the right."""
    network = make_network((1, *size), n_layers=2)
    seen = influence(lambda images: network(images, {})[0], (1, *size)).flatten(1)
    n_pixels = size[0] * size[1]
    torch.testing.assert_close(seen, torch.ones(n_pixels, n_pixels, dtype=torch.bool).tril(-1))


@pytest.mark.parametrize("size", [*SIZES, (28, 28)], ids=str)
@pytest.mark.parametrize(("channels", "n_layers"), [(1, 1), (3, 2), (4, 1)])
def test_the_shapes_of_the_outputs(size, channels, n_layers):
    network = make_network((channels, *size), n_outputs=7, n_layers=n_layers)
    assert network(noise(2, channels, *size), {}).shape == (1, 2, 7, *size)


@pytest.mark.parametrize("size", [*SIZES, (4, 6), (13, 11)], ids=str)
@pytest.mark.parametrize(("channels", "n_layers"), [(1, 1), (3, 2)])
def test_the_outputs_are_those_of_a_plain_implementation(size, channels, n_layers):
    network = make_network((channels, *size), n_layers=n_layers, n_filters=3)
    images = noise(2, channels, *size)
    expected = plain.forward(network, images)
    torch.testing.assert_close(network(images, {})[0], expected, rtol=1e-10, atol=1e-10)
    assert expected.std() > 1e-3


@pytest.mark.parametrize(("channels", "n_levels"), [(1, 256), (2, 5), (3, 17), (4, 2)])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 5), (7, 7)], ids=str)
def test_the_log_likelihood_is_that_of_a_plain_implementation(size, channels, n_levels):
    model = make_model((channels, *size), n_levels, conditioner="unconditional", n_layers=2, n_filters=3)
    levels = make_levels(model, 2)
    outputs = plain.forward(model.network, 2 * levels.double() / (n_levels - 1) - 1)
    expected = [plain.image_log_prob(*pair, 2, n_levels) for pair in zip(outputs, levels, strict=True)]
    found = model(levels, make_labels(model, 2))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_every_parameter_gets_a_gradient(conditioner):
    model = make_model((3, 8, 8), 8, conditioner=conditioner, n_layers=2).train()
    loss = -model(make_levels(model, 6), make_labels(model, 6)).mean()
    loss.backward()
    without = [name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()]
    assert without == []


def test_concat_elu_doubles_the_channels():
    x = torch.tensor([-1.0, 0.0, 2.0]).reshape(1, 1, 1, 1, 3)
    shrunk = float(torch.tensor(-1.0).expm1()), float(torch.tensor(-2.0).expm1())
    expected = torch.tensor([[shrunk[0], 0, 2], [1, 0, shrunk[1]]]).reshape(1, 1, 2, 1, 3)
    torch.testing.assert_close(channels_first(concat_elu(channels_last(x))), expected)


# The layers


def test_the_gain_is_the_length_of_the_weights():
    layer = WeightNormConv2d(3, 5, (2, 3)).double()
    disturb(layer)
    torch.testing.assert_close(layer.weight.flatten(1).norm(dim=1), layer.gain.abs())
    before = layer.weight.clone()
    with torch.no_grad():
        layer.direction.mul_(7)
    torch.testing.assert_close(layer.weight, before)


def test_groups_are_convolved_one_by_one():
    layer = WeightNormConv2d(3, 5, (2, 3)).double()
    features = noise(2, 4, 3, 6, 6)
    together = layer(features, padding=(1, 1))
    torch.testing.assert_close(together[1, 2], layer(features[1:, 2:3], padding=(1, 1))[0, 0])


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 1), (5, 6), (8, 7)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_what_shifted_convolutions_see(size, stride):
    """A vertical one the rows up to its own; a horizontal one the columns up to its own too."""
    height, width = size
    out = (-(-height // stride), -(-width // stride))
    kernels: dict[Stream, tuple[int, int]] = {"vertical": (2, 3), "horizontal": (2, 2)}
    for stream, kernel_size in kernels.items():
        layer = ShiftedConv2d(stream, 1, 2, kernel_size, stride=stride).double()
        seen = influence(lambda x, layer=layer: layer(x[None])[0], (1, *size), out)[:, 0]
        for index, (row, column) in enumerate(itertools.product(range(out[0]), range(out[1]))):
            rows, columns = torch.nonzero(seen[index], as_tuple=True)
            first_column, last_column = (-1, 1) if stream == "vertical" else (-1, 0)
            expected = {
                (i, j)
                for i in (stride * row - 1, stride * row)
                for j in range(stride * column + first_column, stride * column + last_column + 1)
                if 0 <= i < height and 0 <= j < width
            }
            assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 1), (5, 6), (8, 7)], ids=str)
@pytest.mark.parametrize("stream", ["vertical", "horizontal"])
def test_upsampling_sees_no_future(size, stream):
    """Image row r sees low-resolution rows up to ⌊r / 2⌋; in the horizontal stream columns likewise."""
    height, width = size
    low = (1, -(-height // 2), -(-width // 2))
    layer = UpsamplingConv2d(stream, 1).double()
    seen = influence(lambda x: layer(x[None], size)[0], low, size)[:, 0]
    for index, (row, column) in enumerate(itertools.product(range(height), range(width))):
        rows, columns = torch.nonzero(seen[index], as_tuple=True)
        assert (rows <= row // 2).all()
        assert len(rows) >= 1
        if stream == "horizontal":
            assert (columns <= column // 2).all()


def test_shifts_move_zeros_in():
    firsts: dict[Literal["down", "right"], Any] = {
        "down": (..., 0, slice(None)),
        "right": (..., slice(None), 0),
    }
    for shift, first in firsts.items():
        layer = ShiftedConv2d("horizontal", 1, 2, (2, 2), shift=shift).double()
        disturb(layer)
        out = layer(noise(1, 1, 1, 4, 4))
        assert (out[first] == 0).all()
        assert (out != 0).any()


# Data-dependent initialisation


def outputs_of_layers(network, images):
    """What every weight-normalised layer gives for these images: name to (layer, outputs)."""
    seen, hooks = {}, []
    for name, module in network.named_modules():
        if isinstance(module, WeightNormConv2d):
            hooks.append(
                module.register_forward_hook(
                    lambda m, _, out, name=name: seen.update({name: (m, out.detach())})
                )
            )
    network(images, {})
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(
    ("size", "n_layers", "share"),
    [((8, 8), 2, 0.9), ((5, 3), 1, 0.8), ((1, 9), 1, 0.4)],  # the vertical stream of a strip sees nothing
    ids=str,
)
def test_initialised_layers_give_mean_0_and_the_wanted_deviation(size, n_layers, share):
    network = PixelCNN((3, *size), 5, n_layers, 6).double()
    images = 2 * torch.rand(64, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    network.initialise(images, {})
    full = total = 0
    for name, (layer, out) in outputs_of_layers(network.eval(), images).items():
        std, mean = torch.std_mean(out, dim=(0, 1, 3, 4), correction=0)
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-9, msg=name)
        varied = layer.gain < layer.init_scale / 0.2 * (1 - 1e-9)  # its deviation was 0.2 at least
        torch.testing.assert_close(std[varied], torch.full_like(std[varied], layer.init_scale), msg=name)
        assert (std[~varied] <= layer.init_scale).all(), name
        full, total = full + int(varied.sum()), total + len(varied)
    assert full > share * total


def test_the_second_convolution_of_a_block_starts_small():
    network = make_network((1, 4, 4))
    scales = {
        name: layer.init_scale for name, layer in network.named_modules() if hasattr(layer, "init_scale")
    }
    assert {name for name, scale in scales.items() if scale != 1} == {
        name for name in scales if name.endswith("second.conv")
    }


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 5), (8, 8)], ids=str)
@pytest.mark.parametrize("n_images", [1, 3])
def test_constant_images_initialise_without_nan_or_huge_gains(size, n_images):
    network = PixelCNN((1, *size), 5, 1, 4)
    images = torch.full((n_images, 1, *size), -1.0)
    network.initialise(images, {})
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter).all(), name
        if name.endswith("gain"):
            assert parameter.abs().max() <= 5.0001, name
    assert torch.isfinite(network(images, {})).all()


@pytest.mark.parametrize("training", [True, False])
def test_initialising_keeps_no_graph_and_no_hooks(training):
    network = make_network((1, 4, 4)).train(training)
    network.initialise(noise(8, 1, 4, 4), {})
    assert network.training is training
    for parameter in network.parameters():
        assert parameter.is_leaf
        assert parameter.requires_grad
        assert parameter.grad is None
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(noise(8, 1, 4, 4, seed=1), {})
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_hooks_go_away_after_an_error_too():
    network = make_network((1, 4, 4))
    with pytest.raises(ZeroDivisionError), data_dependent_init(network):
        raise ZeroDivisionError
    assert not any(module._forward_hooks for module in network.modules())


# Sites


def test_the_sites_stand_in_the_order_of_the_forward_pass():
    network = make_network((1, 7, 7), n_layers=2)
    sites = network.sites
    assert len({site.key for site in sites}) == len(sites)
    assert [site.name for site in sites[:2]] == ["input", "input"]
    assert sites[-1].name == "head"
    stages = [site.stage for site in sites]
    assert stages == sorted(stages)
    blocks = [sum(site.name == "second" and site.stage == stage for site in sites) for stage in range(6)]
    assert blocks == [4, 4, 4, 4, 6, 6]  # two streams; one block more in the last two stages
    sizes = [sites.in_stages([stage])[0] for stage in range(6)]
    assert [(site.height, site.width) for site in sizes] == [(7, 7), (4, 4), (2, 2), (2, 2), (4, 4), (7, 7)]


def test_sites_are_chosen_by_name_stream_and_stage():
    sites = make_network((1, 7, 7)).sites
    assert {site.name for site in sites.named("first", "head")} == {"first", "head"}
    assert {site.stream for site in sites.in_stream("vertical")} == {"vertical"}
    assert {site.stage for site in sites.in_stages(range(3, 6))} == {3, 4, 5}
    chosen = sites.named("second").in_stream("horizontal").in_stages([5])
    assert [site.key for site in chosen] == ["second-horizontal-5-0", "second-horizontal-5-1"]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8)], ids=str)
def test_every_site_takes_maps_of_its_own_size_and_matters(size):
    network = make_network((2, *size))
    shifts = {
        site: noise(1, site.channels, site.height, site.width).requires_grad_() for site in network.sites
    }
    modulations = {site: Modulation(shift=shift).per_image() for site, shift in shifts.items()}
    network(noise(1, 2, *size), modulations).pow(2).sum().backward()
    for site, shift in shifts.items():
        assert shift.grad.any(), site.key


@pytest.mark.parametrize("part", ["input", "first", "second", "head"])
def test_modulations_stand_where_the_plain_implementation_has_them(part):
    network = make_network((1, 5, 6), n_layers=2)
    shifts = {site: noise(1, site.channels, seed=i) for i, site in enumerate(network.sites.named(part))}
    by_place = {(site.name, site.stream, site.stage, site.block): shift for site, shift in shifts.items()}
    images = noise(3, 1, 5, 6)

    def bias(*place):
        return by_place[place][..., None, None] if place in by_place else None

    modulations = {site: Modulation(shift=shift).per_image() for site, shift in shifts.items()}
    found = network(images, modulations)[0]
    torch.testing.assert_close(found, plain.forward(network, images, bias), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(found, plain.forward(network, images))


def dropped(features, probability):
    return features * dropout_mask((1, *features.shape[1:]), probability, 0, features)


class TestDropout:
    @pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
    def test_it_drops_that_share_and_keeps_the_mean(self, probability):
        found = dropped(torch.ones(1, 64, 40, 8, 8), probability)
        assert (found == 0).float().mean() == pytest.approx(probability, abs=0.005)
        assert found.max() == pytest.approx(1 / (1 - probability), rel=1e-4)
        assert len(found.unique()) == 2

    def test_a_key_settles_it(self):
        features = torch.ones(2, 3, 5, 7, 11)
        assert torch.equal(dropped(features, 0.3), dropped(features, 0.3))
        one, other = (dropout_mask((50,), 0.5, key, features) for key in (0, 1))
        assert not torch.equal(one, other)

    def test_single_features_are_dropped(self):
        found = dropped(torch.ones(1, 4, 3, 6, 5), 0.5)
        for axis in (1, 2, 3, 4):  # along none are all dropped together
            assert (found != found.narrow(axis, 0, 1)).any()

    def test_all_groups_lose_the_same_features(self):
        lost = dropped(torch.rand(3, 2, 5, 8, 8) + 1, 0.3) == 0
        assert torch.equal(lost[0], lost[1])
        assert torch.equal(lost[0], lost[2])
        assert not torch.equal(lost[0, 0], lost[0, 1])

    def test_several_groups_lose_what_one_loses(self):
        features = torch.rand(3, 2, 5, 4, 4) + 1
        torch.testing.assert_close(dropped(features[:1], 0.3), dropped(features, 0.3)[:1], rtol=0, atol=0)

    def test_it_multiplies_the_activation(self):
        hidden = torch.randn(2, 3, 4, 4, 5)
        kept = dropout_mask((1, 3, 4, 4, 10), 0.4, 0, hidden)
        found = activate(hidden, (4, 4), kept=kept)
        torch.testing.assert_close(found, concat_elu(hidden) * kept)

    def test_gradients_are_those_of_what_is_kept(self):
        features = torch.ones(1, 2, 3, 4, 4, requires_grad=True)
        found = dropped(features, 0.4)
        found.sum().backward()
        torch.testing.assert_close(features.grad, found.detach())


def test_features_keep_their_channels_last_in_memory():
    model = make_model((3, 8, 8), conditioner="strong")
    strides = []
    hooks = [
        block.register_forward_hook(lambda _module, _inputs, out: strides.append(out.values.stride()[-3]))
        for block in model.network.modules()
        if isinstance(block, GatedResidualBlock)
    ]
    model.log_prob_per_class(make_levels(model), torch.arange(3))
    for hook in hooks:
        hook.remove()
    assert strides
    assert set(strides) == {1}


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpointing_changes_neither_scores_nor_gradients(dropout):
    model = make_model((3, 6, 5))
    found = []
    for checkpointed in (False, True):
        generator = torch.Generator().manual_seed(1)
        execution = Execution(dropout=dropout, checkpointed=checkpointed, generator=generator)
        model.zero_grad()
        log_prob = model(make_levels(model), make_labels(model), execution)
        log_prob.sum().backward()
        found.append([log_prob, *(parameter.grad for parameter in model.parameters())])
    for kept, computed_again in zip(*found, strict=True):
        torch.testing.assert_close(kept, computed_again, rtol=1e-12, atol=1e-12)


def test_checkpointed_blocks_compute_their_convolutions_twice():
    model = make_model((1, 4, 4))
    calls = []
    block = model.network.down[0].vertical[0]
    hook = block.first.conv.register_forward_hook(lambda *_: calls.append(1))
    for checkpointed, expected in ((False, 1), (True, 2)):
        calls.clear()
        model(make_levels(model), make_labels(model), Execution(checkpointed=checkpointed)).sum().backward()
        assert len(calls) == expected
    calls.clear()
    with torch.no_grad():  # nothing to compute again
        model(make_levels(model), make_labels(model), Execution(checkpointed=True))
    assert len(calls) == 1
    hook.remove()


def test_resolved_weights_give_the_same_and_are_forgotten():
    model = make_model((3, 6, 5))
    levels, labels = make_levels(model), make_labels(model)
    expected = model(levels, labels)
    with model.weights_resolved():
        with torch.no_grad():
            model.network.head.gain.mul_(2)
        torch.testing.assert_close(model(levels, labels), expected)
    assert not torch.allclose(model(levels, labels), expected)
