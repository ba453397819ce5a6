"""p(image | class) is a probability, and the class enters where the algorithms say."""

from __future__ import annotations

import pickle
from copy import deepcopy

import numpy as np
import plain
import pytest
import torch
from helpers import REPRESENTATIVE, all_images, four_of_each, make_labels, make_levels, make_model

from gencls import ConditionalPixelCNN, Conditioner, Modulation, get_conditioner, list_conditioners, per_site
from gencls.augmentations import make_augmentation
from gencls.conditioners import zero_embedding
from gencls.pixelcnn import Execution

TINY = [((1, 1, 2), 3), ((1, 2, 2), 2), ((2, 1, 2), 2), ((1, 2, 1), 17), ((4, 1, 1), 2), ((3, 1, 1), 4)]


class Everything(Conditioner):
    """All that a modulation can do, as maps over positions, at every site."""

    def build(self, n_classes, sites):
        self.n_classes = n_classes
        self.maps = per_site(sites, lambda s: zero_embedding(n_classes, 2 * s.channels * s.height * s.width))
        self.mix = per_site(sites, lambda s: zero_embedding(n_classes, 2 * s.channels))

    def forward(self, labels):
        modulations = {}
        for site, maps in self.maps.items():
            shape = (2, site.channels, site.height, site.width)
            scale, shift = maps(labels).unflatten(1, shape).unbind(1)
            left, right = self.mix[site](labels).chunk(2, dim=1)
            modulations[site] = Modulation(shift, 1 + scale, (left[:, :, None], right[:, None, :]))
        return modulations


CONDITIONERS = [*REPRESENTATIVE, Everything]
SYMMETRIES = {"none": lambda n_levels: None, "flip": lambda n_levels: "flip", "four": four_of_each}


def total_probability(model):
    """The sum over all images, for each class."""
    images = all_images(model.image_shape, model.likelihood.n_levels)
    return model.log_prob_per_class(images, torch.arange(model.n_classes)).exp().sum(0)


@pytest.mark.parametrize(("image_shape", "n_levels"), TINY, ids=str)
@pytest.mark.parametrize("conditioner", CONDITIONERS)
def test_the_probabilities_of_all_images_sum_to_1_for_each_class(conditioner, image_shape, n_levels):
    model = make_model(image_shape, n_levels, conditioner=conditioner)
    with torch.inference_mode():
        found = total_probability(model)
    torch.testing.assert_close(found, torch.ones(3).double(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["above", "row_above", "left"])
def test_they_would_not_if_a_pixel_saw_itself(name):
    model = make_model((1, 2, 2), 2)
    getattr(model.network, name).shift = None
    with torch.inference_mode():
        assert (total_probability(model) - 1).abs().min() > 1e-3


@pytest.mark.parametrize("image_shape", [(1, 3, 5), (3, 4, 3)], ids=str)
@pytest.mark.parametrize("conditioner", CONDITIONERS)
def test_all_classes_at_once_give_what_one_at_a_time_gives(conditioner, image_shape):
    model = make_model(image_shape, 5, n_classes=4, conditioner=conditioner)
    levels = make_levels(model, 6)
    classes = torch.tensor([3, 0, 2])
    together = model.log_prob_per_class(levels, classes)
    assert together.shape == (6, 3)
    assert together.dtype == torch.float64
    for column, label in enumerate(classes):
        alone = model(levels, label.expand(6))
        assert alone.shape == (6,)
        torch.testing.assert_close(together[:, column], alone, rtol=1e-12, atol=1e-12)
    one_by_one = [model.log_prob_per_class(levels, label[None]) for label in classes]
    torch.testing.assert_close(together, torch.cat(one_by_one, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("image_shape", [(1, 1, 1), (1, 5, 3), (3, 9, 2)], ids=str)
@pytest.mark.parametrize("conditioner", CONDITIONERS)
@torch.inference_mode()
def test_the_upper_rows_have_the_scores_of_the_whole_images_rows(conditioner, image_shape, symmetry):
    model = make_model(image_shape, 5, conditioner=conditioner, symmetry=SYMMETRIES[symmetry](5))
    levels, modulations = make_levels(model, 3), model.modulate_classes(torch.arange(3))

    def rows(levels):
        """log q of the rows up to each one: (K, N, H)."""
        return model.pixel_log_prob(levels, modulations).sum(-1).cumsum(-1).expand(3, -1, -1)

    expected = torch.stack([rows(each) for each in model.symmetry.orbit(levels)]).exp().mean(0).log()
    labels = torch.tensor([[2, 0, 1], [0, 1, 1]])
    for n_rows in range(1, image_shape[1] + 1):
        changed = levels.clone()
        changed[:, :, n_rows:] = 0  # the rows below make no difference
        found = model.log_prob_per_class(changed, torch.arange(3), n_rows)
        torch.testing.assert_close(found.T, expected[..., n_rows - 1], rtol=1e-12, atol=1e-12)
        own = model.log_prob_modulated(changed, model.modulate_images(labels), n_rows).expand(2, -1)
        torch.testing.assert_close(own, found.T.gather(0, labels), rtol=1e-12, atol=1e-12)
    assert torch.equal(model.log_prob_per_class(levels, torch.arange(3), 0), torch.zeros(3, 3).double())


def test_only_the_upper_rows_are_computed():
    model = make_model((1, 8, 3))
    shapes = []
    hook = model.network.head.register_forward_hook(lambda _, inputs, out: shapes.append(out.shape[-2:]))
    model.log_prob_per_class(make_levels(model), torch.arange(3), 3)
    hook.remove()
    assert shapes == [(3, 3)]


@pytest.mark.parametrize("conditioner", CONDITIONERS)
def test_images_of_a_batch_do_not_touch_each_other(conditioner):
    model = make_model((1, 4, 4), conditioner=conditioner)
    levels, labels = make_levels(model, 5), make_labels(model, 5)
    together = model(levels, labels)
    alone = torch.cat([model(levels[[i]], labels[[i]]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("conditioner", CONDITIONERS)
def test_the_class_makes_a_difference(conditioner):
    model = make_model((1, 3, 3), conditioner=conditioner)
    scores = model.log_prob_per_class(make_levels(model), torch.arange(3))
    assert (scores - scores[:, :1])[:, 1:].abs().min() > 1e-4


@pytest.mark.parametrize("conditioner", CONDITIONERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_of_a_pixel_change_only_with_earlier_pixels(conditioner, channels):
    """The same as the zero Jacobian, on levels: a changed pixel changes nothing up to itself."""
    model = make_model((channels, 3, 4), conditioner=conditioner)
    levels = make_levels(model, 1)
    changed = levels.repeat(12, 1, 1, 1)
    for pixel in range(12):
        changed.view(12, channels, 12)[pixel, :, pixel] += 1
        changed %= 4

    def outputs(images):
        scaled = model.likelihood.scale(images, torch.float64)
        return model.network(scaled, model.modulate_images(torch.ones(len(images), dtype=torch.long)))[0]

    with torch.inference_mode():
        difference = (outputs(changed) - outputs(levels)).flatten(2).abs().amax(1)
    assert (difference.tril() < 1e-12).all()
    assert (difference.triu(1)[:-1].amax(1) > 1e-6).all()


# Symmetry: q of the network, p of the model


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize(
    ("image_shape", "n_levels"), [((1, 2, 2), 2), ((2, 1, 2), 2), ((1, 1, 3), 3)], ids=str
)
@torch.inference_mode()
def test_with_a_symmetry_the_probabilities_sum_to_1_too(symmetry, image_shape, n_levels):
    model = make_model(image_shape, n_levels, symmetry=SYMMETRIES[symmetry](n_levels))
    torch.testing.assert_close(total_probability(model), torch.ones(3).double(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@torch.inference_mode()
def test_p_is_the_mean_of_q_over_the_orbit(symmetry):
    wanted = SYMMETRIES[symmetry](4)
    model, without = make_model((2, 3, 4), symmetry=wanted), make_model((2, 3, 4))
    levels, labels = make_levels(model, 6), make_labels(model, 6)
    torch.testing.assert_close(model(levels, labels), without(levels, labels), rtol=0, atol=0)
    orbit = make_augmentation(wanted).orbit(levels)
    assert len(orbit) == {"none": 1, "flip": 2, "four": 4}[symmetry]
    expected = torch.stack([without(each, labels) for each in orbit]).exp().mean(0).log()
    torch.testing.assert_close(model.log_prob(levels, labels), expected, rtol=1e-12, atol=1e-12)
    assert torch.allclose(model.log_prob(levels, labels), model(levels, labels)) == (symmetry == "none")
    for each in orbit:
        found = model.log_prob(each, labels)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    several = torch.stack([labels, (labels + 1) % 3])
    assert torch.equal(model.log_prob(levels, several)[0], model.log_prob(levels, labels))


@torch.inference_mode()
def test_the_mean_holds_where_probabilities_underflow():
    model = make_model((1, 30, 30), 256, symmetry="flip")
    levels = make_levels(model, 1)
    one, other = (model(each, torch.tensor([0])) for each in (levels, levels.flip(-1)))
    assert max(one, other) < -745  # its exponential is 0 in float64
    expected = np.logaddexp(one.numpy(), other.numpy()) - np.log(2)
    np.testing.assert_allclose(model.log_prob(levels, torch.tensor([0])), expected, rtol=1e-12)


def test_augmentations_without_an_orbit_are_no_symmetry():
    model = make_model(symmetry=["flip", "shift", "random-crop"])
    assert [type(part).__name__ for part in model.symmetry.parts] == ["Flip"]
    assert make_model(symmetry=["shift"]).symmetry.parts == []


@pytest.mark.parametrize("training", [False, True])
def test_the_network_sees_images_as_they_are(training):
    """Flipping at random is for training, which does it before it calls the model."""
    model = make_model((1, 3, 4), symmetry="flip").train(training)
    levels = make_levels(model, 1).expand(32, -1, -1, -1)
    assert len(model(levels, torch.zeros(32, dtype=torch.long)).unique()) == 1


# Execution


@pytest.mark.parametrize("training", [False, True])
def test_dropout_is_that_of_the_execution(training):
    """Whatever `train` and `eval` say."""
    model = make_model(symmetry="flip").train(training)
    levels, labels = make_levels(model), make_labels(model)
    with_dropout, without = Execution(dropout=0.5), model(levels, labels)
    assert torch.equal(model(levels, labels), without)
    assert not torch.equal(model(levels, labels, with_dropout), without)
    assert not torch.equal(model(levels, labels, with_dropout), model(levels, labels, with_dropout))
    assert torch.equal(model(levels, labels, Execution(dropout=0.0)), without)
    for score in (model, model.log_prob):
        one, other = (
            score(levels, labels, Execution(dropout=0.5, generator=torch.Generator().manual_seed(3)))
            for _ in range(2)
        )
        assert torch.equal(one, other)


def test_with_a_generator_the_stream_of_torch_is_not_read():
    model = make_model()
    before = torch.get_rng_state()
    model(make_levels(model), make_labels(model), Execution(dropout=0.5, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pass_leaves_nothing_behind():
    """Passes with different executions, in any order, give what each gives on a fresh model."""
    ways = [
        Execution(),
        Execution(dropout=0.4, generator=torch.Generator()),
        Execution(dtype=torch.bfloat16),
        Execution(compiled=True),
        Execution(checkpointed=True, dropout=0.2, generator=torch.Generator()),
    ]
    fresh = make_model((3, 5, 4), 256, conditioner="film").float()
    levels, labels = make_levels(fresh), make_labels(fresh)

    def learn(model, way):
        """The log-probabilities, and the gradients of their sum."""
        if way.generator is not None:
            way.generator.manual_seed(1)
        model.zero_grad()
        log_prob = model(levels, labels, way)
        log_prob.sum().backward()
        return [log_prob.detach(), *(each.grad for each in model.parameters())]

    expected = [learn(deepcopy(fresh), way) for way in ways]
    before = {name: vars(module).copy() for name, module in fresh.named_modules()}
    for index in (4, 0, 3, 1, 2, 0):
        found = learn(fresh, ways[index])
        assert all(torch.equal(*pair) for pair in zip(found, expected[index], strict=True)), ways[index]
    assert {name: vars(module) for name, module in fresh.named_modules()} == before
    assert not torch.equal(expected[0][0], expected[1][0])
    assert not torch.equal(expected[0][0], expected[2][0])


# Mild and strong: Algorithms 1 and 2


@pytest.mark.parametrize(("conditioner", "names"), [("mild", {"second"}), ("strong", {"first", "second"})])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_mild_and_strong_touch_exactly_these_sites(conditioner, names, n_layers):
    model = make_model((1, 7, 7), conditioner=conditioner, n_layers=n_layers)
    modulations = model.conditioner(torch.arange(3))
    wanted = [site for site in model.network.sites if site.name in names]
    assert set(modulations) == set(wanted)
    assert len(wanted) == len(names) * 2 * (6 * n_layers + 2)
    for site, modulation in modulations.items():
        assert modulation.shift.shape == (3, site.channels)
        assert modulation.scale is None
        assert modulation.mix is None


@pytest.mark.parametrize(("conditioner", "names"), [("mild", {"second"}), ("strong", {"first", "second"})])
@pytest.mark.parametrize("image_shape", [(1, 1, 2), (3, 3, 5), (1, 7, 7)], ids=str)
def test_mild_and_strong_are_the_plain_network_with_biases_added(conditioner, names, image_shape):
    model = make_model(image_shape, conditioner=conditioner, n_layers=2, n_filters=3)
    levels, labels = make_levels(model, 3), make_labels(model, 3)
    images = 2 * levels.double() / 3 - 1

    def bias(name, stream, stage, block):
        if name in names:
            table = model.conditioner.bias.made[f"{name}-{stream}-{stage}-{block}"].weight
            return table[labels][:, :, None, None]
        return None

    found = model.network(images, model.modulate_images(labels))[0]
    torch.testing.assert_close(found, plain.forward(model.network, images, bias), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(found, plain.forward(model.network, images))
    scores = [plain.image_log_prob(*pair, 2, 4) for pair in zip(found, levels, strict=True)]
    expected = torch.tensor(scores, dtype=torch.float64)
    torch.testing.assert_close(model(levels, labels), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("conditioner", ["mild", "strong"])
def test_they_start_as_the_unconditioned_network(conditioner):
    model = ConditionalPixelCNN((1, 5, 5), 4, 3, conditioner, n_filters=4).double().eval()
    images = model.likelihood.scale(make_levels(model), torch.float64)
    found = model.network(images, model.modulate_images(make_labels(model)))
    torch.testing.assert_close(found, model.network(images, {}), rtol=1e-12, atol=1e-12)
    assert model.network(images, {}).std() > 0.01


@pytest.mark.parametrize(
    ("conditioner", "name"), [("mild", "second"), ("strong", "second"), ("strong", "first")]
)
def test_each_bias_stands_in_one_block_only(conditioner, name):
    """A bias in one block is the same as that block with the bias of its own convolution moved."""
    model = make_model((1, 4, 4), conditioner=conditioner)
    moved = deepcopy(model)
    label, key = 2, f"{name}-horizontal-4-1"
    with torch.no_grad():
        for place, table in moved.conditioner.bias.made.items():
            block = place.split("-")
            stage = (*moved.network.down, *moved.network.up)[int(block[2])]
            getattr(getattr(stage, block[1])[int(block[3])], block[0]).conv.bias += table.weight[label]
            table.weight.zero_()
    levels = make_levels(model)
    labels = torch.full((5,), label)
    torch.testing.assert_close(model(levels, labels), moved(levels, labels), rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        moved.conditioner.bias.made[key].weight[label] += 1
    assert not torch.allclose(model(levels, labels), moved(levels, labels))


# The rest


@pytest.mark.parametrize("conditioner", list_conditioners())
def test_a_name_a_class_and_an_instance_give_the_same_model(conditioner):
    kind = get_conditioner(conditioner)
    instance = kind()
    given = [make_model(conditioner=each) for each in (conditioner, kind, instance)]
    levels, labels = make_levels(given[0]), make_labels(given[0])
    for model in given:
        assert type(model.conditioner) is kind
        assert model.conditioner is not instance
        torch.testing.assert_close(model(levels, labels), given[0](levels, labels), rtol=0, atol=0)
    assert not list(instance.parameters())


@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_models_pickle_with_their_symmetry(conditioner):
    model = make_model(conditioner=conditioner, symmetry="flip")
    levels, labels = make_levels(model), make_labels(model)
    again = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(again.log_prob(levels, labels), model.log_prob(levels, labels), rtol=0, atol=0)


def test_initialising_keeps_values_finite_and_probabilities_whole():
    model = make_model((1, 2, 2), 2, conditioner="strong")
    model.initialise(make_levels(model, 8), make_labels(model, 8))
    with torch.inference_mode():
        torch.testing.assert_close(total_probability(model), torch.ones(3).double(), rtol=0, atol=1e-9)


def test_what_a_model_says_of_itself():
    model = make_model((3, 4, 5))
    assert model.n_dimensions == 60
    assert model.dtype == torch.float64
    assert model.device == torch.device("cpu")


def test_float32_models_sum_in_float64():
    model = make_model((1, 4, 4)).float()
    assert model(make_levels(model), make_labels(model)).dtype == torch.float64
