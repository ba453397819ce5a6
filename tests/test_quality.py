"""Sample quality, with small networks instead of Inception."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn

from gencls import InvalidInputError, InvalidParameterError, MissingPackageError
from gencls.metrics import frechet_inception_distance, kernel_inception_distance

pytest.importorskip("torchmetrics")


class MeanColours(nn.Module):
    """The mean of each channel over the upper and the lower half: 6 features."""

    def forward(self, images):
        assert images.dtype == torch.uint8
        assert images.shape[1] == 3
        return images.float().unflatten(2, (2, -1)).mean(dim=(3, 4)).flatten(1)


@pytest.fixture
def images():
    """40 real and 50 generated colour images of 6 × 4 pixels."""
    rng = np.random.default_rng(0)
    real = rng.integers(0, 200, (40, 6, 4, 3), dtype=np.uint8)
    generated = rng.integers(40, 256, (50, 6, 4, 3), dtype=np.uint8)
    return real, generated


def features_of(images):
    return MeanColours()(torch.from_numpy(images.transpose(0, 3, 1, 2))).double().numpy()


def fid(images, features, **options):
    """The Fréchet distance of a pair of real and generated images."""
    real, generated = images
    return frechet_inception_distance(real, generated, features, **options)


def kid(images, features, **options):
    """The kernel distance of a pair of real and generated images."""
    real, generated = images
    return kernel_inception_distance(real, generated, features, **options)


def closed_form(real, generated):
    """Equation 6 of Heusel et al., by a matrix square root."""
    covariances = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    root = sqrtm(covariances[0] @ covariances[1]).real
    gap = real.mean(0) - generated.mean(0)
    return gap @ gap + np.trace(covariances[0] + covariances[1] - 2 * root)


def test_fid_is_the_closed_form(images):
    expected = closed_form(*map(features_of, images))
    assert expected > 1000
    assert fid(images, MeanColours()) == pytest.approx(expected, rel=1e-9)


def test_fid_of_the_same_images_is_0_and_that_of_others_is_symmetric(images):
    real, _ = images
    assert frechet_inception_distance(real, real[::-1], MeanColours()) == pytest.approx(0, abs=1e-8)
    there, back = (fid(pair, MeanColours()) for pair in (images, images[::-1]))
    assert there == pytest.approx(back)


def test_kid_is_the_unbiased_estimate_over_all_images(images):
    first, second = (features_of(each[:40]) for each in images)

    def kernel(a, b):
        return (a @ b.T / 6 + 1) ** 3

    within = [kernel(each, each)[~np.eye(40, dtype=bool)].mean() for each in (first, second)]
    expected = sum(within) - 2 * kernel(first, second).mean()
    mean, deviation = kernel_inception_distance(images[0], images[1][:40], MeanColours())
    assert mean == pytest.approx(expected, rel=1e-9)
    assert deviation == pytest.approx(0, abs=1e-6 * expected)


def test_kid_draws_subsets_by_its_own_random_state(images):
    def distance(seed, **options):
        return kid(images, MeanColours(), subsets=5, subset_size=20, random_state=seed, **options)

    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert distance(0) == distance(0)
    assert distance(0) != distance(1)
    assert distance(0)[1] > 0
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("distance", [frechet_inception_distance, kernel_inception_distance])
def test_batches_make_no_difference(images, distance):
    options = {} if distance is frechet_inception_distance else {"random_state": 0}
    whole = distance(*images, MeanColours(), **options)
    assert distance(*images, MeanColours(), batch_size=7, **options) == pytest.approx(whole, rel=1e-12)


def test_the_layout_and_the_range_make_no_difference(images):
    expected = fid(images, MeanColours())
    first = [each.transpose(0, 3, 1, 2) for each in images]
    assert fid(first, MeanColours(), channel_axis=1) == expected
    scaled = [each / 255 * 2 - 1 for each in images]
    assert fid(scaled, MeanColours(), pixel_range=(-1, 1)) == expected


def test_grey_images_are_repeated(images):
    grey = [each[..., 0] for each in images]
    colour = [np.stack([each] * 3, axis=-1) for each in grey]
    only_rows = nn.Sequential(MeanColours(), nn.Linear(6, 2))
    expected = fid(colour, only_rows)
    assert fid(grey, only_rows) == expected
    flat = [each[:, :4].reshape(-1, 16) for each in grey]  # flat squares, like scikit-learn's digits
    square = [each[:, :4] for each in grey]
    assert fid(flat, only_rows) == fid(square, only_rows)


def test_the_network_is_used_in_evaluation_mode_and_restored(images):
    network = nn.Sequential(MeanColours(), nn.Dropout(0.5)).train()
    without = fid(images, MeanColours())
    assert fid(images, network) == without
    assert network.training


def test_too_few_images_for_the_covariance_are_refused(images):
    message = "covariance of 6 features needs more than 6 images, got 6 real and 50 generated"
    with pytest.raises(InvalidInputError, match=message):
        frechet_inception_distance(images[0][:6], images[1], MeanColours())
    assert np.isfinite(frechet_inception_distance(images[0][:7], images[1], MeanColours()))
    with pytest.raises(ValueError, match="1 sample"):
        kernel_inception_distance(images[0][:1], images[1], MeanColours())


def test_invalid_images_are_refused(images):
    real, generated = images
    distance = frechet_inception_distance
    with pytest.raises(InvalidInputError, match=r"one shape, got \(6, 4, 3\) and \(5, 4, 3\)"):
        distance(real, generated[:, :5], MeanColours())
    with pytest.raises(InvalidInputError, match="both be uint8 or neither, got uint8 and float64"):
        distance(real, generated / 255, MeanColours())
    with pytest.raises(InvalidInputError, match="grey or have 3 channels, got 2"):
        distance(real[..., :2], generated[..., :2], MeanColours())
    with pytest.raises(ValueError, match="NaN"):
        distance(real / 255, np.full(generated.shape, np.nan), MeanColours())


def test_the_modes_of_submodules_are_restored(images):
    network = nn.Sequential(MeanColours(), nn.BatchNorm1d(6).eval())
    fid(images, network)
    assert [module.training for module in network.modules()] == [True, True, False]


@pytest.mark.parametrize("size", ["3", 2.5, True, 1])
def test_invalid_subset_sizes_are_refused(size, images):
    with pytest.raises(InvalidParameterError, match="'subset_size' must be an int from 2 to 40"):
        kid(images, MeanColours(), subset_size=size)


def test_invalid_networks_are_refused(images):
    class Maps(nn.Module):
        def forward(self, images):
            return images.float()

    with pytest.raises(InvalidInputError, match=r"features \(N, D\), got the shape \(40, 3, 6, 4\)"):
        fid(images, Maps())
    for features in (100, "192", None):
        with pytest.raises(InvalidParameterError, match=r"one of \(64, 192, 768, 2048\) or a torch.nn.Mod"):
            fid(images, features)
    with pytest.raises(InvalidParameterError, match=r"from 2 to 40, .*, got 41"):
        kid(images, MeanColours(), subset_size=41)


def test_missing_packages_are_named(images, monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("torchmetrics"):
            raise ImportError(f"No module named {name!r}")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for distance in (fid, kid):
        with pytest.raises(MissingPackageError, match=r'pip install "gencls\[metrics\]"') as caught:
            distance(images, MeanColours())
        assert isinstance(caught.value, ImportError)


def test_a_number_of_features_selects_inception(images, monkeypatch):
    class Inception(nn.Module):
        """A substitute for the real network, whose weights are not available in tests."""

        def __init__(self, name, features_list, **options):
            super().__init__()
            self.linear = nn.Linear(72, int(features_list[0]))

        def forward(self, images):
            return self.linear(images.flatten(1) / 255.0)

    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", True)
    monkeypatch.setattr("torchmetrics.image.fid.NoTrainInceptionV3", Inception)
    enough = [np.concatenate([each, each[:, ::-1]]) for each in images]
    assert fid(enough, 64, device="cpu") > 0
    with pytest.raises(InvalidInputError, match="covariance of 192 features"):
        fid(enough, 192, device="cpu")
    with pytest.raises(InvalidParameterError, match="'device' of sample quality must be"):
        fid(enough, 64, device="nowhere")


def test_inception_needs_torch_fidelity(images, monkeypatch):
    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", False)
    with pytest.raises(MissingPackageError, match=r"gencls\[inception\].*orch-fidelity"):
        fid(images, 192)


@pytest.mark.parametrize(
    ("option", "value"),
    [("channel_axis", 0), ("pixel_range", "all"), ("pixel_range", (255, 0)), ("batch_size", 0)],
)
@pytest.mark.parametrize("distance", [frechet_inception_distance, kernel_inception_distance])
def test_wrong_options_are_named(distance, option, value, images):
    with pytest.raises(InvalidParameterError, match=f"'{option}' of sample quality must be"):
        distance(*images, torch.nn.Flatten(), **{option: value})


@pytest.mark.parametrize(("option", "value"), [("subsets", 0), ("random_state", "one")])
def test_wrong_options_of_subsets_are_named(option, value, images):
    with pytest.raises(InvalidParameterError, match=f"'{option}' of kernel_inception_distance must be"):
        kid(images, torch.nn.Flatten(), **{option: value})


def test_the_wrong_images_are_named(images):
    real, generated = images
    for given, name in (((["a.png"], generated), "real"), ((real, None), "generated")):
        with pytest.raises(InvalidInputError, match=rf"^{name} .*\bX must"):
            fid(given, torch.nn.Flatten())
    photograph = np.zeros((20, 8, 3), np.uint8)
    with pytest.raises(InvalidInputError, match=r"^real .*X\[\.\.\., None\]"):
        frechet_inception_distance(photograph, photograph, torch.nn.Flatten())
