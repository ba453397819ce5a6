"""Sample quality: how far generated images are from real ones, in the features of a network.

The distances are torchmetrics' own (``pip install "gencls[metrics]"``); its Inception network needs
torch-fidelity too (``pip install "gencls[inception]"``), which downloads the weights once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_random_state
from torch import Tensor, nn

from .._common.validation import bounds, check_parameters, choice, either, shortened, whole
from .._common.validation import random_state as drawn_with
from ..backends.device import resolve_device
from ..backends.random_numbers import DrawingFrom
from ..errors import InvalidInputError, InvalidParameterError, MissingPackageError
from ..images.codec import ImageCodec
from ..images.layout import as_input_errors, as_numbers, flatten_images

__all__ = ["frechet_inception_distance", "kernel_inception_distance"]

INCEPTION_FEATURES = (64, 192, 768, 2048)
KERNEL_SUBSET = 1000  # images, as Bińkowski et al. have it
RULES = {
    "channel_axis": choice(-1, 1),
    "pixel_range": either(choice("auto"), bounds()),
    "batch_size": whole(1),
}


def frechet_inception_distance(
    real: ArrayLike,
    generated: ArrayLike,
    features: int | nn.Module = 2048,
    *,
    channel_axis: Literal[-1, 1] = -1,
    pixel_range: Literal["auto"] | tuple[float, float] = "auto",
    batch_size: int = 64,
    device: str = "auto",
) -> float:
    """Fréchet distance between two sets of images, as if their features were normally distributed (FID).

    Numbers compare only where `features`, the real images and the number of images are the same: with few
    images the distance is too large, and more so with many features.

    Parameters
    ----------
    real, generated : array-like of shape (N, H, W), (N, H, W, C), (N, C, H, W) or (N, n_features)
        Images of one shape, grey or in colour; grey ones are repeated in three channels. The numbers of
        images may differ, and each must be above the number of features.
    features : {64, 192, 768, 2048} or torch.nn.Module, default=2048
        The features of an Inception network of this number; 2048 are the usual ones, the paper (Biswas) has
        192. Or a network of your own, from (N, 3, H, W), uint8, to (N, D).
    channel_axis : {-1, 1}, default=-1
        Where images have their channels: last, or first after the samples.
    pixel_range : "auto" or tuple of float, default="auto"
        What is black and what is white; ``"auto"`` is (0, 255) for uint8, else the range of `real`.
    batch_size : int, default=64
        Images that pass the network together.
    device : str, default="auto"
        Where Inception computes; a network of your own stays where it is.

    Returns
    -------
    float
        At least 0 (but for rounding); lower is better.

    Raises
    ------
    InvalidInputError
        If the images do not fit each other or the network, or are too few for the covariance.
    InvalidParameterError
        If `features` is something else.
    MissingPackageError
        If torchmetrics is not installed, or torch-fidelity for Inception.

    References
    ----------
    M. Heusel et al. (2017), "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium", equation 6.
    """
    with _torchmetrics():
        from torchmetrics.image.fid import FrechetInceptionDistance
    pair = _both_features(real, generated, features, channel_axis, pixel_range, batch_size, device)
    _check_covariance(*pair)
    return float(_fed(FrechetInceptionDistance(_given(pair[0].shape[1])), *pair))


def kernel_inception_distance(
    real: ArrayLike,
    generated: ArrayLike,
    features: int | nn.Module = 2048,
    *,
    subsets: int = 100,
    subset_size: int | None = None,
    random_state: int | np.random.RandomState | None = None,
    channel_axis: Literal[-1, 1] = -1,
    pixel_range: Literal["auto"] | tuple[float, float] = "auto",
    batch_size: int = 64,
    device: str = "auto",
) -> tuple[float, float]:
    """Squared maximum mean discrepancy between the features of two sets of images (KID).

    Unlike the Fréchet distance it is right on average with few images.

    Parameters
    ----------
    real, generated, features, channel_axis, pixel_range, batch_size, device
        As in `frechet_inception_distance`; two images are enough.
    subsets : int, default=100
        How often a subset of each is drawn.
    subset_size : int, optional
        Images in a subset; without it 1000, or as many as the smaller set has.
    random_state : int, RandomState instance or None, default=None
        For the subsets.

    Returns
    -------
    mean, standard_deviation : float
        Over the subsets; lower is better, and values around 0 may be negative. The deviation says how much
        subsets differ. It is no standard error: subsets overlap.

    References
    ----------
    M. Bińkowski et al. (2018), "Demystifying MMD GANs", section 4.
    """
    options = {"subsets": subsets, "random_state": random_state}
    check_parameters(
        "kernel_inception_distance", options, {"subsets": whole(1), "random_state": drawn_with()}
    )
    with _torchmetrics():
        from torchmetrics.image.kid import KernelInceptionDistance
    pair = _both_features(real, generated, features, channel_axis, pixel_range, batch_size, device)
    size = _subset_size(subset_size, min(len(each) for each in pair))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will save all extracted features")
        metric = KernelInceptionDistance(_given(pair[0].shape[1]), subsets=subsets, subset_size=size)
    with DrawingFrom(check_random_state(random_state).randint(2**31 - 1)):
        mean, deviation = _fed(metric, *pair)
    return float(mean), float(deviation)


@contextmanager
def _torchmetrics() -> Iterator[None]:
    """Say how to install what cannot be imported in here."""
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(
            'Sample quality needs torchmetrics: pip install "gencls[metrics]", or "gencls[inception]" for '
            f"the features of Inception. Importing it failed: {error}"
        ) from error


def _both_features(
    real: ArrayLike,
    generated: ArrayLike,
    features: int | nn.Module,
    channel_axis: Literal[-1, 1],
    pixel_range: Literal["auto"] | tuple[float, float],
    batch_size: int,
    device: str,
) -> tuple[Tensor, Tensor]:
    """The features (N, D) of real and of generated images, in float64 on the CPU."""
    options = {"channel_axis": channel_axis, "pixel_range": pixel_range, "batch_size": batch_size}
    check_parameters("sample quality", options, RULES)
    images = _to_uint8(real, generated, channel_axis, pixel_range)
    network = features if isinstance(features, nn.Module) else _inception(features, device)
    first, second = (_extract(network, each, batch_size) for each in images)
    return first, second


def _to_uint8(
    real: ArrayLike,
    generated: ArrayLike,
    channel_axis: Literal[-1, 1],
    pixel_range: Literal["auto"] | tuple[float, float],
) -> list[NDArray[np.uint8]]:
    """Both as (N, 3, H, W), with 0 for black and 255 for white."""
    first, second = (_read(images, name) for name, images in (("real", real), ("generated", generated)))
    _check_alike(first, second, pixel_range)
    flat = [images.reshape(len(images), -1) for images in (first, second)]
    codec = ImageCodec(channel_axis=channel_axis, pixel_range=pixel_range, n_levels=256)
    with _named("real"):
        codec.fit(flat[0], first.shape[1:])
    channels = codec.tensor_shape_[0]
    if channels not in (1, 3):
        raise InvalidInputError(
            f"Images must be grey or have 3 channels, got {channels}: the shape {first.shape[1:]}. "
            "Leave out what is no colour, such as opacity."
        )
    with _named("generated"):  # real images are on their own scale
        return [codec.encode(images, strict=True).repeat(3 // channels, axis=1) for images in flat]


@contextmanager
def _named(name: str) -> Iterator[None]:
    """What is said of X in here is said of this argument."""
    try:
        yield
    except InvalidInputError as mistake:
        raise InvalidInputError(f"{name} does not fit, which is called X here: {mistake}") from mistake


def _read(images: ArrayLike, name: str) -> NDArray[Any]:
    """Images, or square ones as flat rows, of finite numbers."""
    with _named(name):
        rows, shape = flatten_images(images)
    if len(shape) == 2 and isqrt(shape[1]) ** 2 != shape[1]:
        raise InvalidInputError(
            f"{name} has flat rows of {shape[1]} features, which make no square grey image. Reshape it to "
            "(N, H, W) or (N, H, W, C)."
        )
    with as_input_errors():
        checked = check_array(rows, dtype="numeric", ensure_min_samples=2, input_name=name)
    return as_numbers(checked).reshape(shape)


def _check_alike(real: NDArray[Any], generated: NDArray[Any], pixel_range: Any) -> None:
    if real.shape[1:] != generated.shape[1:]:
        raise InvalidInputError(
            f"real and generated must have images of one shape, got {real.shape[1:]} and "
            f"{generated.shape[1:]}."
        )
    if pixel_range == "auto" and (real.dtype == np.uint8) != (generated.dtype == np.uint8):
        raise InvalidInputError(
            f"real and generated must both be uint8 or neither, got {real.dtype} and {generated.dtype}. "
            "Convert one of them, or give the pixel_range that they share."
        )


def _inception(features: Any, device: str) -> nn.Module:
    if features not in INCEPTION_FEATURES:
        raise InvalidParameterError(
            f"The parameter 'features' must be one of {INCEPTION_FEATURES} or a torch.nn.Module, got "
            f"{shortened(features)}."
        )
    with _torchmetrics():
        from torchmetrics.image.fid import FrechetInceptionDistance

        network: nn.Module = FrechetInceptionDistance(int(features)).inception
    return network.to(resolve_device(device, "sample quality"))


def _extract(network: nn.Module, images: NDArray[np.uint8], batch_size: int) -> Tensor:
    """Features (N, D) in float64, computed in evaluation mode."""
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.inference_mode():
            batches = torch.from_numpy(images).split(batch_size)
            found = [network(batch.to(device)).double().cpu() for batch in batches]
    finally:
        for module, training in modes.items():
            module.training = training
    if any(
        each.shape != (len(batch), found[0].shape[-1]) for each, batch in zip(found, batches, strict=True)
    ):
        raise InvalidInputError(
            f"The network 'features' must turn images (N, 3, H, W) into features (N, D), got the shape "
            f"{tuple(found[0].shape)} for {len(batches[0])} images."
        )
    return torch.cat(found)


def _check_covariance(real: Tensor, generated: Tensor) -> None:
    n_features = real.shape[1]
    if min(len(real), len(generated)) <= n_features:
        raise InvalidInputError(
            f"The covariance of {n_features} features needs more than {n_features} images, got {len(real)} "
            f"real and {len(generated)} generated ones. Give more images, take fewer features, or use "
            "kernel_inception_distance."
        )


def _subset_size(wanted: int | None, n_images: int) -> int:
    size = min(KERNEL_SUBSET, n_images) if wanted is None else wanted
    if not whole(2, n_images).accepts(size):
        raise InvalidParameterError(
            f"The parameter 'subset_size' must be an int from 2 to {n_images}, the images of the smaller "
            f"set, got {shortened(size)}."
        )
    return size


def _given(n_features: int) -> nn.Module:
    """A network for torchmetrics that gets features instead of images, and keeps them."""
    network = nn.Identity()
    network.num_features = n_features  # type: ignore[assignment]
    return network


def _fed(metric: Any, real: Tensor, generated: Tensor) -> Any:
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return metric.compute()
