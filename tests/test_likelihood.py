"""The likelihood is a probability, the right one, and samples follow it."""

from __future__ import annotations

import itertools

import numpy as np
import plain
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare

from gencls import DiscretizedLogisticMixture

COLOURS = [(1, 2), (1, 3), (1, 17), (1, 256), (2, 2), (2, 3), (2, 17), (3, 2), (3, 3), (3, 5), (4, 2), (4, 3)]
SMALL = [(1, 2), (1, 17), (2, 3), (3, 3), (4, 2)]


def all_colours(n_channels, n_levels):
    """Every colour of one pixel, (L ** C, C, 1, 1)."""
    return torch.tensor(list(itertools.product(range(n_levels), repeat=n_channels)))[..., None, None]


def some_parameters(likelihood, size, *, n=20, seed=0, dtype=torch.float64):
    """Parameters (n, 1, n_parameters, 1, 1) of n pixels, ready to be met with all colours."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, 1, likelihood.n_parameters, 1, 1, generator=generator, dtype=torch.float64)
    return (size * noise).to(dtype)


def colour_log_probs(likelihood, parameters, colours):
    """Log-probability of every one of the colours for every pixel: (n, colours)."""
    shape = (len(parameters), len(colours), likelihood.n_parameters, 1, 1)
    return likelihood.log_prob(parameters.expand(shape), colours)[..., 0, 0]


def total_probability(log_prob):
    """Sums over colours: log-probabilities (n, colours) give (n,)."""
    return log_prob.exp().sum(1)


@pytest.mark.parametrize(("n_channels", "n_levels"), COLOURS)
@pytest.mark.parametrize("size", [0.0, 1.0, 5.0, 50.0, 150.0])
def test_the_probabilities_of_all_colours_sum_to_1(n_channels, n_levels, size):
    likelihood = DiscretizedLogisticMixture(n_channels, n_levels, n_mixtures=3)
    parameters = some_parameters(likelihood, size)
    log_prob = colour_log_probs(likelihood, parameters, all_colours(n_channels, n_levels))
    torch.testing.assert_close(total_probability(log_prob), torch.ones(20).double(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("n_channels", "n_levels"), SMALL)
def test_they_sum_to_1_in_float32_as_far_as_that_goes(n_channels, n_levels):
    likelihood = DiscretizedLogisticMixture(n_channels, n_levels, n_mixtures=3)
    parameters = some_parameters(likelihood, 5.0, dtype=torch.float32)
    log_prob = colour_log_probs(likelihood, parameters, all_colours(n_channels, n_levels))
    assert log_prob.dtype == torch.float32
    torch.testing.assert_close(total_probability(log_prob), torch.ones(20), rtol=0, atol=1e-4)


def test_an_approximate_tail_would_not_pass_as_a_probability():
    """A control: the density at the centre of rare bins, as public code has it, fails the check."""
    likelihood = DiscretizedLogisticMixture(1, 256, n_mixtures=1)
    logit, mean, log_scale = torch.tensor([0.0, 2.0, -6.9], dtype=torch.float64)
    levels = all_colours(1, 256)
    x = likelihood.scale(levels, torch.float64)
    inverse, half = (-log_scale).exp(), 1 / 255
    upper, lower = (x - mean + half) * inverse, (x - mean - half) * inverse
    difference = torch.sigmoid(upper) - torch.sigmoid(lower)
    middle = (x - mean) * inverse
    rare = middle - log_scale - 2 * F.softplus(middle) - np.log(127.5)
    log_prob = torch.where(difference > 1e-5, difference.clamp(min=1e-12).log(), rare)
    log_prob[0] = upper[0] - F.softplus(upper[0])
    log_prob[-1] = torch.where(difference[-1] > 1e-5, -F.softplus(lower[-1]), rare[-1])
    assert abs(float(log_prob.exp().sum()) - 1) > 1e-2

    parameters = torch.stack([logit, mean, log_scale])[None, None, :, None, None]
    assert abs(float(total_probability(colour_log_probs(likelihood, parameters, levels))) - 1) < 1e-9


@pytest.mark.parametrize(("n_channels", "n_levels"), COLOURS)
@pytest.mark.parametrize("size", [0.5, 2.0])
def test_it_agrees_with_a_plain_implementation(n_channels, n_levels, size):
    likelihood = DiscretizedLogisticMixture(n_channels, n_levels, n_mixtures=3)
    parameters = some_parameters(likelihood, size, n=4, seed=1)
    colours = all_colours(n_channels, n_levels)
    colours = colours[torch.linspace(0, len(colours) - 1, 40).long()]
    found = colour_log_probs(likelihood, parameters, colours)
    expected = [
        [plain.colour_log_prob(pixel, colour, 3, n_levels) for colour in colours[..., 0, 0].tolist()]
        for pixel in parameters[:, 0, :, 0, 0].tolist()
    ]
    # What plain differences lose in the far tails is theirs: 1e-19 in the probability.
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("n_channels", "n_levels"), [(2, 3), (3, 3), (4, 2)])
def test_a_channel_depends_on_no_later_channel(n_channels, n_levels):
    """Summed over the last channel, the rest is what a likelihood without that channel says."""
    m = 2
    whole = DiscretizedLogisticMixture(n_channels, n_levels, m)
    part = DiscretizedLogisticMixture(n_channels - 1, n_levels, m)
    parameters = some_parameters(whole, 1.0, n=5)[:, 0, :, 0, 0]
    logits, means, log_scales, couplings = parameters.split(
        [m, *[m * n_channels] * 2, m * whole.n_couplings], 1
    )
    kept = [
        logits,
        *(each.unflatten(1, (m, n_channels))[:, :, :-1].flatten(1) for each in (means, log_scales)),
        couplings.unflatten(1, (m, whole.n_couplings))[:, :, : part.n_couplings].flatten(1),
    ]
    colours = all_colours(n_channels, n_levels)
    found = colour_log_probs(whole, parameters[:, None, :, None, None], colours).exp()
    found = found.reshape(5, n_levels ** (n_channels - 1), n_levels).sum(-1)
    joined = torch.cat(kept, 1)[:, None, :, None, None]
    expected = colour_log_probs(part, joined, all_colours(n_channels - 1, n_levels)).exp()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_a_channel_does_depend_on_those_before_it():
    likelihood = DiscretizedLogisticMixture(2, 3, 1)
    parameters = some_parameters(likelihood, 1.0, n=1)
    probabilities = colour_log_probs(likelihood, parameters, all_colours(2, 3)).exp().reshape(3, 3)
    conditional = probabilities / probabilities.sum(1, keepdim=True)
    assert (conditional[0] - conditional[2]).abs().max() > 0.01


EXTREMES = {
    "logits": (-1e4, 1e4),
    "means": (-1e4, -30.0, 30.0, 1e4),
    "log-scales": (-1e4, -50.0, 10.0, 60.0),
    "couplings": (-1e4, 1e4),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("n_levels", [2, 3, 256])
@pytest.mark.parametrize("part", EXTREMES)
def test_values_and_gradients_are_finite_at_the_extremes(dtype, n_levels, part):
    likelihood = DiscretizedLogisticMixture(2, n_levels, 2)
    first, last = {"logits": (0, 2), "means": (2, 6), "log-scales": (6, 10), "couplings": (10, 12)}[part]
    levels = torch.tensor([[0, 0], [0, n_levels - 1], [n_levels // 2, 0], [n_levels - 1, n_levels - 1]])
    for values in itertools.product(EXTREMES[part], repeat=2):
        parameters = some_parameters(likelihood, 1.0, n=1, dtype=dtype)[0]
        parameters[:, first:last, 0, 0] = torch.tensor(values, dtype=dtype).repeat_interleave(
            (last - first) // 2
        )
        parameters.requires_grad_()
        log_prob = colour_log_probs(likelihood, parameters[None], levels[..., None, None])
        log_prob.sum().backward()
        assert torch.isfinite(log_prob).all(), values
        assert (log_prob <= 1e-6).all(), values
        assert torch.isfinite(parameters.grad).all(), values


@pytest.mark.parametrize(("n_channels", "n_levels"), [(1, 2), (1, 5), (1, 17), (2, 3), (3, 2), (4, 2)])
@pytest.mark.parametrize("size", [0.5, 2.0])
def test_samples_are_as_frequent_as_their_probabilities(n_channels, n_levels, size):
    likelihood = DiscretizedLogisticMixture(n_channels, n_levels, n_mixtures=3)
    parameters = some_parameters(likelihood, size, n=1, seed=2)[0, 0, :, 0, 0]
    n = 20_000
    noise = np.random.RandomState(0).random_sample((20_000, 3 + n_channels))
    samples = likelihood.sample(parameters.expand(n, -1), torch.from_numpy(noise))
    assert samples.shape == (n, n_channels)
    assert samples.dtype == torch.int64

    colours = all_colours(n_channels, n_levels)
    expected = (
        n * colour_log_probs(likelihood, parameters[None, None, :, None, None], colours).exp()[0].numpy()
    )
    places = (samples * n_levels ** torch.arange(n_channels - 1, -1, -1)).sum(1)
    observed = np.bincount(places.numpy(), minlength=len(colours))
    frequent = expected > 5
    observed = np.append(observed[frequent], observed[~frequent].sum())
    expected = np.append(expected[frequent], expected[~frequent].sum())
    assert chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-3

    if n_levels**n_channels > 2 and size > 1:  # a control: other probabilities would not pass
        assert chisquare(observed, np.full(len(observed), observed.mean())).pvalue < 1e-3


def test_the_same_noise_gives_the_same_samples():
    likelihood = DiscretizedLogisticMixture(3, 256, 2)
    parameters = some_parameters(likelihood, 1.0, n=50)[:, 0, :, 0, 0]
    one, other = torch.from_numpy(np.random.RandomState(0).random_sample((2, 50, 5)))
    first = likelihood.sample(parameters, one)
    torch.testing.assert_close(first, likelihood.sample(parameters, one.clone()), rtol=0, atol=0)
    assert (first != likelihood.sample(parameters, other)).any()


@pytest.mark.parametrize("log_scale", [90.0, 1e4])
@pytest.mark.parametrize("n_levels", [3, 256])
def test_nor_does_a_scale_overflow(n_levels, log_scale):
    """So that training comes back from there: the gradient points to smaller scales."""
    likelihood = DiscretizedLogisticMixture(1, n_levels, 1)
    parameters = torch.tensor([0.0, 0.0, log_scale])[:, None, None].requires_grad_()
    log_prob = likelihood.log_prob(parameters, torch.tensor([[[1]]]))
    (gradient,) = torch.autograd.grad(log_prob.sum(), parameters)
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(gradient).all()
    assert float(gradient[2]) == pytest.approx(-1)


@pytest.mark.parametrize("n_levels", [2, 3, 256])
@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        (60.0, torch.float64),
        (15.0, torch.float32),
        (60.0, torch.float32),
    ],
    ids=str,
)
def test_samples_lie_on_the_grid_at_the_extremes(size, dtype, n_levels):
    likelihood = DiscretizedLogisticMixture(3, n_levels, 2)
    parameters = some_parameters(likelihood, size, n=500, dtype=dtype)[:, 0, :, 0, 0]
    tiny = float(np.finfo(np.float32).eps) / 2
    noise = torch.from_numpy(np.random.RandomState(0).choice([tiny, 0.5, 1 - tiny], size=(500, 5)))
    samples = likelihood.sample(parameters, noise)
    assert samples.min() == 0
    assert samples.max() == n_levels - 1


def test_more_noise_in_a_value_gives_a_higher_level():
    likelihood = DiscretizedLogisticMixture(1, 17, 1)
    parameters = torch.tensor([[0.0, 0.1, -1.0]]).expand(99, -1)
    noise = torch.stack([torch.full((99,), 0.5), torch.linspace(0.01, 0.99, 99)], dim=1)
    levels = likelihood.sample(parameters, noise)[:, 0]
    assert (levels.diff() >= 0).all()
    assert levels[0] < levels[-1]


@pytest.mark.parametrize("n_levels", [2, 3, 17, 256])
def test_levels_stand_on_a_grid_from_minus_1_to_1(n_levels):
    scaled = DiscretizedLogisticMixture(1, n_levels, 1).scale(torch.arange(n_levels), torch.float64)
    torch.testing.assert_close(scaled, torch.linspace(-1, 1, n_levels).double(), rtol=0, atol=1e-6)


def test_a_component_has_a_smallest_scale():
    """However small λ is, a component stays wide enough to be trained."""
    likelihood = DiscretizedLogisticMixture(1, 256, 1)
    level = torch.tensor([[[128]]])
    mean = float(likelihood.scale(level, torch.float64))
    for log_scale in (-20.0, -1e4):
        parameters = torch.tensor([0.0, mean, log_scale], dtype=torch.float64)[:, None, None]
        assert float(likelihood.log_prob(parameters, level).exp()) == pytest.approx(np.tanh(4), abs=1e-5)


@pytest.mark.parametrize(("n_channels", "expected"), [(1, 3), (2, 6), (3, 10), (4, 15)])
def test_how_many_parameters_a_component_has(n_channels, expected):
    assert DiscretizedLogisticMixture(n_channels, 256, 1).n_parameters == expected
    assert DiscretizedLogisticMixture(n_channels, 256, 5).n_parameters == 5 * expected


def test_leading_axes_broadcast():
    likelihood = DiscretizedLogisticMixture(2, 5, 2)
    generator = torch.Generator().manual_seed(0)
    parameters = torch.randn(3, 4, likelihood.n_parameters, 2, 3, generator=generator, dtype=torch.float64)
    levels = torch.randint(5, (4, 2, 2, 3), generator=generator)
    found = likelihood.log_prob(parameters, levels)
    assert found.shape == (3, 4, 2, 3)
    torch.testing.assert_close(
        found[1, 2], likelihood.log_prob(parameters[1, 2], levels[2]), rtol=1e-12, atol=0
    )


def test_one_set_of_parameters_serves_many_colours():
    likelihood = DiscretizedLogisticMixture(2, 5, 2)
    parameters = some_parameters(likelihood, 1.0, n=1)
    found = likelihood.log_prob(parameters, all_colours(2, 5))
    assert found.shape == (1, 25, 1, 1)
    torch.testing.assert_close(found[..., 0, 0], colour_log_probs(likelihood, parameters, all_colours(2, 5)))
