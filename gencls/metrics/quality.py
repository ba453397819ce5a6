"""Sample quality: distances between real and generated images in the feature space of a network.

The distances are computed by torchmetrics (``pip install "gencls[metrics]"``). Its Inception network also
needs torch-fidelity (``pip install "gencls[inception]"``), which downloads the weights once.
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
from .._common.validation import random_state as random_state_rule
from ..backends.device import resolve_device
from ..backends.random_numbers import DrawingFrom
from ..errors import InvalidInputError, InvalidParameterError, MissingPackageError
from ..images.codec import ImageCodec
from ..images.layout import as_input_errors, as_numbers, flatten_images

__all__ = ["frechet_inception_distance", "kernel_inception_distance"]

INCEPTION_FEATURES = (64, 192, 768, 2048)
KERNEL_SUBSET = 1000  # images, as in Bińkowski et al.
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
    """Return the Fréchet inception distance (FID) between two sets of images.

    The features of each set are approximated by a normal distribution. Distances are comparable only for the
    same `features`, the same real images and the same number of images: the distance is biased upwards for
    small sets, the more so the more features there are.

    Parameters
    ----------
    real, generated : array-like of shape (N, H, W), (N, H, W, C), (N, C, H, W) or (N, n_features)
        Images of one shape, grey or in colour; grey images are repeated in three channels. The numbers of
        images may differ; each must exceed the number of features.
    features : {64, 192, 768, 2048} or torch.nn.Module, default=2048
        Number of Inception features: 2048 is usual, the paper (Biswas) uses 192. Alternatively, a network
        that maps uint8 images (N, 3, H, W) to features (N, D).
    channel_axis : {-1, 1}, default=-1
        The channel axis of four-dimensional images: last, or first after the samples.
    pixel_range : "auto" or tuple of float, default="auto"
        The values of black and white; ``"auto"`` is (0, 255) for uint8, else the range of `real`.
    batch_size : int, default=64
        Number of images per forward pass of the network.
    device : str, default="auto"
        Device of the Inception network; a custom network stays on its device.

    Returns
    -------
    float
        At least 0, up to rounding; lower is better.

    Raises
    ------
    InvalidInputError
        If the images do not match each other or the network, or are too few for the covariance.
    InvalidParameterError
        If `features` or another parameter is invalid.
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
    """Return the kernel inception distance (KID), a squared maximum mean discrepancy of features.

    Unlike the Fréchet distance, it is unbiased for small sets of images.

    Parameters
    ----------
    real, generated, features, channel_axis, pixel_range, batch_size, device
        See `frechet_inception_distance`; two images per set suffice.
    subsets : int, default=100
        Number of random subsets of each set.
    subset_size : int, optional
        Number of images per subset. By default, 1000 or the size of the smaller set.
    random_state : int, RandomState instance or None, default=None
        Random state for drawing the subsets.

    Returns
    -------
    mean, standard_deviation : float
        Mean and standard deviation over the subsets. Lower is better, and values around 0 may be negative.
        The deviation is not a standard error, because subsets overlap.

    References
    ----------
    M. Bińkowski et al. (2018), "Demystifying MMD GANs", section 4.
    """
    options = {"subsets": subsets, "random_state": random_state}
    check_parameters(
        "kernel_inception_distance", options, {"subsets": whole(1), "random_state": random_state_rule()}
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
    """Turn import errors into errors that contain the install command."""
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(
            'Sample quality needs torchmetrics: pip install "gencls[metrics]", or "gencls[inception]" for '
            f"the features of Inception. The import failed: {error}"
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
    """Return the features (N, D) of real and generated images, in float64 on the CPU."""
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
    """Convert both sets to (N, 3, H, W), from 0 (black) to 255 (white)."""
    first, second = (_read(images, name) for name, images in (("real", real), ("generated", generated)))
    _check_alike(first, second, pixel_range)
    flat = [images.reshape(len(images), -1) for images in (first, second)]
    codec = ImageCodec(channel_axis=channel_axis, pixel_range=pixel_range, n_levels=256)
    with _named("real"):
        codec.fit(flat[0], first.shape[1:])
    channels = codec.tensor_shape_[0]
    if channels not in (1, 3):
        raise InvalidInputError(
            f"Images must be grey or have 3 channels, got {channels}: the shape {first.shape[1:]}. Remove "
            "other channels, such as alpha."
        )
    with _named("generated"):  # `real` defines the scale
        return [codec.encode(images, strict=True).repeat(3 // channels, axis=1) for images in flat]


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Let error messages about X name this argument."""
    try:
        yield
    except InvalidInputError as mistake:
        raise InvalidInputError(f"{name} is invalid (called X here): {mistake}") from mistake


def _read(images: ArrayLike, name: str) -> NDArray[Any]:
    """Return an array of finite numbers; flat rows must be square grey images."""
    with _named(name):
        rows, shape = flatten_images(images)
    if len(shape) == 2 and isqrt(shape[1]) ** 2 != shape[1]:
        raise InvalidInputError(
            f"{name} has flat rows of {shape[1]} features, which is not a square number. Reshape it to "
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
            "Convert one of them, or pass their common pixel_range."
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
    """Return features (N, D) in float64, computed in evaluation mode."""
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
            f"The network 'features' must map images (N, 3, H, W) to features (N, D), got the shape "
            f"{tuple(found[0].shape)} for {len(batches[0])} images."
        )
    return torch.cat(found)


def _check_covariance(real: Tensor, generated: Tensor) -> None:
    n_features = real.shape[1]
    if min(len(real), len(generated)) <= n_features:
        raise InvalidInputError(
            f"The covariance of {n_features} features needs more than {n_features} images, got {len(real)} "
            f"real and {len(generated)} generated images. Pass more images, use fewer features, or use "
            "kernel_inception_distance."
        )


def _subset_size(wanted: int | None, n_images: int) -> int:
    size = min(KERNEL_SUBSET, n_images) if wanted is None else wanted
    if not whole(2, n_images).accepts(size):
        raise InvalidParameterError(
            f"The parameter 'subset_size' must be an int from 2 to {n_images}, the size of the smaller set, "
            f"got {shortened(size)}."
        )
    return size


def _given(n_features: int) -> nn.Module:
    """Return an identity network, through which torchmetrics accepts features instead of images."""
    network = nn.Identity()
    network.num_features = n_features  # type: ignore[assignment]
    return network


def _fed(metric: Any, real: Tensor, generated: Tensor) -> Any:
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return metric.compute()
