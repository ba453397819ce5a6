"""Train by maximum likelihood, and measure after every epoch, as the paper's Figures 2 and 3 do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback

import splits
from baselines.residual_network import ResidualNetwork, train
from experiments import Run
from gencls import GenerativeBayesClassifier
from gencls.metrics import frechet_inception_distance
from measures import PLAIN
from measures.fits import fit_to_the_end
from records import Row
from scores import parameter_counts

FEATURE_EPOCHS = 20  # of the residual network whose features stand in for those of Inception
FIGURES = {
    "accuracy": "valid_accuracy",
    "log_loss": "valid_log_loss",
    "bits_per_dim": "valid_bpd",
    "train_bits_per_dim": "train_bpd",
    "fid": "fid",
}


def epoch_by_epoch(
    run: Run, *, data: str, size: int, quality_every: int, features: str, **params: Any
) -> Row:
    """Train, and measure after every epoch.

    Parameters
    ----------
    run : Run
    data : str
    size : int
    quality_every : int
        Epochs between measurements of sample quality.
    features : {"inception", "residual"}
        Features for sample quality: the paper's 192 features of Inception, or those of our own network.
    **params
        Parameters of the estimator.
    """
    split = splits.load(data, size)
    quality = SampleQuality(split, quality_every, features_of(features, run, split), run)
    clf = GenerativeBayesClassifier(
        **(PLAIN | params),
        device=run.device,
        random_state=run.seed,
        checkpoint_dir=run.kept(""),
        net_params={**params.pop("net_params", {}), "callbacks": [("quality", quality)]},
    )
    quality.clf = clf
    fit_to_the_end(clf, split, X_val=split.X_val, y_val=split.y_val)
    return {
        "epochs": [figures_of(number, row) for number, row in enumerate(clf.history_, start=1)],
        "fid_of_training_images": quality.distance(split.X[: len(split.X_val)]),
        "n_held_out": len(split.y_val),
        **parameter_counts(clf),
    }


def figures_of(number: int, row: Row) -> Row:
    """The record of an epoch."""
    return {"epoch": number} | {name: row[key] for name, key in FIGURES.items() if key in row}


class SampleQuality(Callback):
    """Record the Fréchet distance of generated images to the validation images, every few epochs."""

    clf: GenerativeBayesClassifier

    def __init__(self, split: splits.Split, every: int, features: int | torch.nn.Module, run: Run):
        self.split, self.every, self.features, self.run = split, every, features, run

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Draw as many images as there are validation images, of the same classes."""
        epoch = len(net.history)
        if epoch % self.every == 0 or epoch == self.clf.max_epochs:
            drawn, _ = self.clf.sample(y=self.split.y_val, random_state=self.run.seed)
            net.history.record("fid", self.distance(drawn))

    def distance(self, images: NDArray[Any]) -> float:
        """The distance of as many images as there are validation images."""
        return frechet_inception_distance(self.split.X_val, images, self.features, device=self.run.device)


def features_of(name: str, run: Run, split: splits.Split) -> int | torch.nn.Module:
    """The features for sample quality."""
    if name == "inception":
        return 192
    path = run.results / f"checkpoints/features-{split.X.shape[1]}.pt"
    return residual_features(split, path, run.device)


def residual_features(split: splits.Split, path: Path, device: str) -> torch.nn.Module:
    """The input of the last layer of a residual network, which is trained once and kept."""
    network = ResidualNetwork(n_classes=len(set(split.y)))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        torch.save(train(split, epochs=FEATURE_EPOCHS, device=device).module_.state_dict(), beside)
        beside.replace(path)
    network.load_state_dict(torch.load(path, map_location=device, weights_only=True))
    return network.features.to(device)
