"""What speed.py times: a piece of work for each implementation, on networks of several sizes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

from baselines.textbook import Textbook
from gencls import Compute, GenerativeBayesClassifier
from gencls.backends.device import resolve_precision
from gencls.conditioners.late import Late
from gencls.datasets import fetch_cpen455
from measures import PLAIN

BATCH = 16
DROPOUT = 0.1
TASKS = ("train", "score-4", "score-10", "sample-1", "sample-16", "sample-64")
Work = Callable[[], float]  # does a piece of work, and returns its number of images


@dataclass(frozen=True)
class Size:
    """A network and its images."""

    label: str
    images: str
    side: int
    n_layers: int
    n_filters: int
    n_mixtures: int
    n_classes: int = 4
    batch: int = BATCH
    n_batches: int = 4  # of one training, as many as make the overhead of an epoch small
    n_scored: int = 48  # images
    n_pixels: int = 4  # that the textbook draws; the other pixels take the same time each

    @property
    def n_trained(self) -> int:
        """Images of one training."""
        return self.n_batches * self.batch

    @property
    def network(self) -> dict[str, Any]:
        """The parameters that all implementations take."""
        return {name: getattr(self, name) for name in ("n_layers", "n_filters", "n_mixtures")}

    @property
    def shapes(self) -> dict[str, Any]:
        """The images and classes, as a module takes them."""
        X = load(self.images, self.side)
        channels = X.shape[3] if X.ndim == 4 else 1
        return {
            "image_shape": (channels, self.side, self.side),
            "n_levels": 256 if channels > 1 else 17,
            "n_classes": self.n_classes,
        }

    def labelled(self, n: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images, with every class in turn."""
        X = load(self.images, self.side)[:n]
        return X, np.arange(len(X)) % self.n_classes


SIZES = {
    "small": Size("(1, 40, 5) at 32×32 colour", "cpen455", 32, 1, 40, 5),
    "paper": Size(
        "(5, 120, 10) at 32×32 colour", "cpen455", 32, 5, 120, 10, n_batches=1, n_scored=4, n_pixels=1
    ),
    "digits": Size("(1, 24, 5) at 8×8 grey", "digits", 8, 1, 24, 5, n_classes=10, n_batches=40),
}


@cache
def load(images: str, side: int) -> NDArray[np.uint8]:
    """Real images."""
    if images == "digits":
        return load_digits().images.astype(np.uint8)
    X: NDArray[np.uint8] = fetch_cpen455(subset="train", size=side, return_X_y=True)[0]
    return X


def tasks_of(name: str, tasks: list[str]) -> list[str]:
    """The digits have ten classes."""
    return [task for task in tasks if (name, task) != ("digits", "score-4")]


def contestants(
    size: Size, task: str, device: str, *, all_ways: bool = False, also: tuple[str, ...] = ()
) -> dict[str, Callable[[], Work]]:
    """The function that prepares the work of each contestant.

    Parameters
    ----------
    size : Size
    task : str
        One of `TASKS`.
    device : str
    all_ways : bool
        Whether bfloat16 is also compiled, on a GPU.
    also : tuple of str
        More implementations, as "module:maker".
    """
    kind, _, number = task.partition("-")
    if kind == "score":
        size = replace(size, n_classes=int(number))
    found: dict[str, Callable[[], Work]] = {
        "textbook": partial(torch_work, textbook, size, kind, number, device)
    }
    for words, options in options_of(kind, device, all_ways).items():
        found[words] = partial(gencls_work, size, kind, number, device, **options)
    if kind != "sample":
        for name in also:
            found[name] = partial(torch_work, partial(made_by, name), size, kind, number, device)
    return found


def options_of(kind: str, device: str, all_ways: bool) -> dict[str, dict[str, Any]]:
    """The settings of gencls that differ for a kind of work, and their parameters."""
    cuda = device.startswith("cuda")
    plain: dict[str, dict[str, Any]] = {"gencls": {"compute": "plain"}}
    if kind == "sample":  # compiling changes nothing about sampling on a CPU
        return plain | ({"gencls, compiled": {"compute": Compute()}} if cuda else {})
    by_way = plain
    by_way |= {f"gencls, {way}": options for way, options in ways(device, all_ways).items()}
    if kind == "train":
        return by_way
    late = {"late": "late", "late in 1 block": Late(n_blocks=1)}
    return by_way | {
        f"{way}, {words}": {**options, "conditioner": conditioner}
        for words, conditioner in late.items()
        for way, options in by_way.items()
    }


def ways(device: str, all_ways: bool = False) -> dict[str, dict[str, Any]]:
    """The settings of gencls on this machine, besides float32 without a compiler."""
    found: dict[str, dict[str, Any]] = {"compiled": {"compute": Compute()}}
    if resolve_precision("auto", torch.device(device)).training is not None:
        found["bfloat16"] = {"compute": Compute("bfloat16", compile=False)}
        if all_ways and device.startswith("cuda"):  # the native kernels for a CPU are for float32
            found["bfloat16, compiled"] = {"compute": Compute("bfloat16")}
    return found


def gencls_work(size: Size, kind: str, number: str, device: str, **options: Any) -> Work:
    """The calls of a user of the estimator."""
    X, y = size.labelled(size.n_trained if kind == "train" else size.n_classes)
    params = PLAIN | {"dropout": DROPOUT, "batch_size": size.batch} | options | size.network
    clf = GenerativeBayesClassifier(**params, device=device, random_state=0)
    clf.partial_fit(X, y, classes=np.arange(size.n_classes))
    images = size.labelled(size.n_scored)[0]

    def train() -> float:
        clf.partial_fit(X, y)
        return len(X)

    def score() -> float:
        clf.predict_joint_log_proba(images)
        return len(images)

    def sample() -> float:
        clf.sample(int(number), random_state=0)
        return int(number)

    return {"train": train, "score": score, "sample": sample}[kind]


def torch_work(make: Callable[[Size], Any], size: Size, kind: str, number: str, device: str) -> Work:
    """The same with a module, in the most direct code."""
    model = make(size).to(device)
    X, y = size.labelled(max(size.n_trained, size.n_scored))
    levels = torch.from_numpy(X.reshape(len(X), size.side, size.side, -1)).permute(0, 3, 1, 2).to(device)
    labels = torch.from_numpy(y).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def train() -> float:
        model.train()
        for start in range(0, size.n_trained, size.batch):
            optimizer.zero_grad()
            part = slice(start, start + size.batch)
            loss = -model(levels[part], labels[part]).mean() / levels[0].numel()
            loss.backward()
            optimizer.step()
        return size.n_trained

    @torch.no_grad()
    def score() -> float:
        model.eval()
        for start in range(0, size.n_scored, size.batch):
            part = levels[start : min(start + size.batch, size.n_scored)]
            for label in range(size.n_classes):
                model(part, torch.full((len(part),), label, device=device))
        return size.n_scored

    def sample() -> float:
        model.eval()
        n = int(number)
        noise = torch.rand(n, size.side, size.side, size.n_mixtures + levels.shape[1], device=device)
        model.sample(torch.arange(n, device=device) % size.n_classes, noise, size.n_pixels)
        return n * size.n_pixels / size.side**2

    return {"train": train, "score": score, "sample": sample}[kind]


def textbook(size: Size) -> Textbook:
    """The textbook's network."""
    return Textbook(**size.shapes, **size.network, dropout=DROPOUT)


def made_by(name: str, size: Size) -> nn.Module:
    """The network of a further implementation, by the name of its maker."""
    module, _, maker = name.partition(":")
    network: nn.Module = getattr(importlib.import_module(module), maker)(**size.shapes, **size.network)
    return network
