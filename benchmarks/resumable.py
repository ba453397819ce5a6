"""To be deleted: trainings in stages, with crops and checkpoints, until `fit` has all of these.

This is the only module of benchmarks/ with training loops. `Stage`, `Hybrid` and `RandomCrop` have the names
and the parameters that those of gencls will have: experiments then need different imports, and `in_stages`
and `epoch_by_epoch` become calls of `fit` with `stages` and `checkpoint_dir`.
"""

from __future__ import annotations

import math
import os
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import splits
from baselines.residual_network import ResidualNetwork, train
from experiments import Run
from gencls import GenerativeBayesClassifier
from gencls.images import crop_at_random, six_crops
from gencls.metrics import frechet_inception_distance
from records import Row, as_json
from scores import all_scores, class_scores, density_scores, parameter_counts
from splits import Split

ORIGINAL_SIZE = 64  # rows and columns of the photographs, from which crops are cut
LOWEST_LR = 1e-6  # where the paper's cosine ends
FEATURE_EPOCHS = 20  # of the residual network whose features stand in for those of Inception


@dataclass(frozen=True)
class Hybrid:
    """The hybrid objective."""

    weight: float
    temperature: float = 1.0
    n_contrasted: int | None = None


@dataclass(frozen=True)
class RandomCrop:
    """Crops whose sides are at least `smallest` of the image's, new ones in each epoch."""

    smallest: float


@dataclass(frozen=True)
class Stage:
    """Epochs at a learning rate that falls from `lr` on a cosine, a step an epoch."""

    epochs: int
    lr: float
    objective: Hybrid | None = None
    augmentation: RandomCrop | None = None

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the estimator."""
        chosen = self.objective or Hybrid(weight=0.0)
        return {
            "discriminative_weight": chosen.weight,
            "discriminative_temperature": chosen.temperature,
            "n_contrasted": chosen.n_contrasted,
        }

    @property
    def name(self) -> str:
        """As tables call it."""
        if self.objective is None:
            return "maximum likelihood"
        return f"hybrid, λ = {self.objective.weight:g}, τ = {self.objective.temperature:g}"

    def lr_at(self, epoch: int) -> float:
        """The learning rate of one of its epochs, counted from 0."""
        return self.lr * (1 + math.cos(math.pi * (epoch + 0.5) / self.epochs)) / 2


# Trainings that resume


def follow(
    run: Run,
    n_epochs: int,
    begin: Callable[[], GenerativeBayesClassifier],
    advance: Callable[[GenerativeBayesClassifier, int], Row],
) -> tuple[GenerativeBayesClassifier, list[Row]]:
    """Train a classifier to its end from where it is; the classifier, and what each epoch gave.

    The whole classifier is kept after every epoch, so that at most one is lost, and the result is that of an
    undisturbed training.
    """
    checkpoint, settings = run.kept(".pickle"), as_json(run.settings)
    clf, rows = None, list[Row]()
    if checkpoint.exists():
        kept, clf, rows = pickle.loads(checkpoint.read_bytes())
        if kept != settings:
            raise ValueError(f"{checkpoint} was trained with other settings; delete it to train again.")
    clf = clf or begin()
    done = len(rows)
    for epoch in tqdm(range(done, n_epochs), initial=done, total=n_epochs, desc=run.cell, unit="epoch"):
        start = time.process_time()
        row = advance(clf, epoch)
        rows.append({**row, "core_seconds": time.process_time() - start})
        replace(checkpoint, pickle.dumps((settings, clf, rows)))
    return clf, rows


def train_one_epoch(clf: GenerativeBayesClassifier, X: NDArray[np.uint8], y: NDArray[Any]) -> Row:
    """One more epoch; if it is interrupted, the whole training ends, and the epoch does not count."""
    clf.partial_fit(X, y, classes=np.unique(y))
    return {"train_bits_per_dim": float(clf.history_[-1]["train_bpd"])}


def replace(path: Path, content: bytes) -> None:
    """Write a file such that an interruption leaves the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_bytes(content)
    os.replace(beside, path)


# In stages


def in_stages(
    run: Run,
    *,
    stages: Sequence[Stage],
    data: str = "cpen455",
    size: int = 16,
    crops: bool = False,
    after: str | None = None,
    **params: Any,
) -> Row:
    """Train in stages, on from the model of a different cell at its own size, and measure after each stage.

    Parameters
    ----------
    run : Run
    stages : sequence of Stage
    data : str
    size : int
        Rows and columns that the model sees.
    crops : bool
        Whether it is also measured over the mean of six crops of each image.
    after : str, optional
        The cell that it begins with.
    **params
        Parameters of the estimator.
    """
    clf, rows = train_in_stages(run)
    keep_joints(run, clf)
    split = splits.load(data, original_size(data))
    before = core_seconds_of(source_of(run)) if after else 0.0
    spent = before + np.cumsum([row["core_seconds"] for row in rows])
    ends = np.cumsum([stage.epochs for stage in stages])
    return {
        "stages": [
            {
                "stage": stage.name,
                "epochs": stage.epochs,
                **rows[end - 1]["figures"],
                "fit_core_minutes": spent[end - 1] / 60,
            }
            for stage, end in zip(stages, ends, strict=True)
        ],
        "epochs": [{key: value for key, value in row.items() if key != "figures"} for row in rows],
        "n_held_out": len(split.y_val),
        **parameter_counts(clf),
    }


def train_in_stages(run: Run) -> tuple[GenerativeBayesClassifier, list[Row]]:
    """Train, or take what is kept."""
    settings = dict(run.settings)
    stages, after, size = settings.pop("stages"), settings.pop("after", None), settings.pop("size", 16)
    data, crops = settings.pop("data", "cpen455"), settings.pop("crops", False)
    split = splits.load(data, original_size(data))
    schedule = [(stage, epoch) for stage in stages for epoch in range(stage.epochs)]
    n_before = n_epochs_of(source_of(run)) if after else 0

    def begin() -> GenerativeBayesClassifier:
        if after is None:
            return GenerativeBayesClassifier(**settings, device=run.device, random_state=run.seed)
        clf, _ = train_in_stages(source_of(run))
        return clf.resize(size).set_params(**settings)

    def advance(clf: GenerativeBayesClassifier, epoch: int) -> Row:
        stage, position = schedule[epoch]
        X = seen(split.X, size, stage.augmentation, 1000 * run.seed + n_before + epoch)
        row = train_one_epoch(clf.set_params(lr=stage.lr_at(position), **stage.params), X, split.y)
        last = position == stage.epochs - 1
        return row | ({"figures": figures(clf, split, size, crops)} if last else {})

    return follow(run, len(schedule), begin, advance)


def seen(X: NDArray[np.uint8], size: int, crop: RandomCrop | None, seed: int) -> NDArray[np.uint8]:
    """What one epoch sees of the images."""
    if X.shape[1:3] == (size, size) and crop is None:
        return X
    return crop_at_random(X, size, smallest=1.0 if crop is None else crop.smallest, random_state=seed)


def original_size(data: str) -> int:
    """Rows and columns of the files."""
    return 8 if data == "digits" else ORIGINAL_SIZE


def source_of(run: Run) -> Run:
    """The run that a run begins with."""
    return Run(run.experiment, run.settings["after"], run.seed, run.device, run.results)


def n_epochs_of(run: Run) -> int:
    """Epochs of a training, and of those that it begins with."""
    own = sum(stage.epochs for stage in run.settings["stages"])
    return own + (n_epochs_of(source_of(run)) if run.settings.get("after") else 0)


def core_seconds_of(run: Run) -> float:
    """Those of a training, and of those that it begins with."""
    own = sum(row["core_seconds"] for row in train_in_stages(run)[1])
    return own + (core_seconds_of(source_of(run)) if run.settings.get("after") else 0.0)


def joints_of(clf: GenerativeBayesClassifier, split: Split, size: int, crops: bool) -> NDArray[np.float64]:
    """Log p(x, c) of the validation images, whole, and of their crops where they are asked for."""
    if split.X_val.shape[1:3] == (size, size) and not crops:
        return clf.predict_joint_log_proba(split.X_val)[None]
    chosen = six_crops(size)[: None if crops else 1]  # the first is the whole image
    return np.stack([clf.predict_joint_log_proba(crop.transform(split.X_val)) for _, crop in chosen])


def figures(clf: GenerativeBayesClassifier, split: Split, size: int, crops: bool) -> Row:
    """Figures on the validation images."""
    labels = np.searchsorted(clf.classes_, split.y_val)
    joints = joints_of(clf, split, size, crops)
    return class_figures(joints, labels) | density_scores(joints[0], labels, clf)


def class_figures(joints: NDArray[np.float64], labels: NDArray[np.int64]) -> Row:
    """Figures of whole images, and those over six crops."""
    row = class_scores(joints[0], labels)
    return row | ({"six_crops": class_scores(joints.mean(axis=0), labels)} if len(joints) > 1 else {})


# Several models together


def keep_joints(run: Run, clf: GenerativeBayesClassifier) -> None:
    """Keep what several models are measured together by."""
    settings = run.settings
    data, size, crops = (
        settings.get("data", "cpen455"),
        settings.get("size", 16),
        settings.get("crops", False),
    )
    with BytesIO() as content:
        np.save(content, joints_of(clf, splits.load(data, original_size(data)), size, crops))
        replace(run.kept(".npy"), content.getvalue())


def together(run: Run, *, experiment: str, members: Sequence[str], seeds: int, data: str = "cpen455") -> Row:
    """The mean of the joint log-probabilities of several cells, each with several seeds."""
    of = [Run(experiment, cell, seed, run.device, run.results) for cell in members for seed in range(seeds)]
    if absent := [member for member in of if not member.kept(".npy").exists()]:
        command = f"python benchmarks/runner.py {experiment} --only {absent[0].cell} --seeds {seeds}"
        raise FileNotFoundError(f"{len(absent)} of {len(of)} models are not kept here: {command}")
    joints = np.mean([np.load(member.kept(".npy")) for member in of], axis=0)
    labels = np.unique(splits.load(data, original_size(data)).y_val, return_inverse=True)[1]
    return class_figures(joints, labels) | {"n_models": len(of), "n_held_out": len(labels)}


# Epoch by epoch


def epoch_by_epoch(
    run: Run,
    *,
    data: str,
    size: int,
    epochs: int,
    quality_every: int,
    features: str,
    lr: float,
    **params: Any,
) -> Row:
    """Train by maximum likelihood, and measure after every epoch, as the paper's Figures 2 and 3 do.

    Parameters
    ----------
    run : Run
    data : str
    size, epochs : int
    quality_every : int
        Epochs from one look at sample quality to the next.
    features : {"inception", "residual"}
        What sample quality is measured in: the paper's 192 features of Inception, or our own network's.
    lr : float
        Where a cosine begins that steps once an epoch, as the paper's does.
    **params
        Parameters of the estimator.
    """
    split = splits.load(data, size)
    quality = SampleQuality(split, features_of(features, run, split), run.device)

    def begin() -> GenerativeBayesClassifier:
        return GenerativeBayesClassifier(**params, lr=lr, device=run.device, random_state=run.seed)

    def advance(clf: GenerativeBayesClassifier, epoch: int) -> Row:
        share = (1 + math.cos(math.pi * epoch / epochs)) / 2
        row = train_one_epoch(clf.set_params(lr=LOWEST_LR + (lr - LOWEST_LR) * share), split.X, split.y)
        row |= {"epoch": epoch + 1, **all_scores(clf.predict_joint_log_proba(split.X_val), clf, split)}
        if (epoch + 1) % quality_every == 0 or epoch + 1 == epochs:
            row["fid"] = quality.distance(clf.sample(y=split.y_val, random_state=run.seed)[0])
        return row

    clf, rows = follow(run, epochs, begin, advance)
    return {
        "epochs": rows,
        "fid_of_training_images": quality.of_training_images,
        "n_held_out": len(split.y_val),
        **parameter_counts(clf),
    }


class SampleQuality:
    """The Fréchet distance of images to the validation images; that of training images says what is good."""

    def __init__(self, split: Split, features: int | torch.nn.Module, device: str):
        self.split, self.features, self.device = split, features, device
        self.of_training_images = self.distance(split.X[: len(split.X_val)])

    def distance(self, generated: Any) -> float:
        """Of generated images, as many as there are validation images."""
        return frechet_inception_distance(self.split.X_val, generated, self.features, device=self.device)


def features_of(name: str, run: Run, split: Split) -> int | torch.nn.Module:
    """What sample quality is measured in."""
    if name == "inception":
        return 192
    size = split.X.shape[1]
    return residual_features(split, run.results / f"checkpoints/features-{size}.pt", run.device)


def residual_features(split: Split, path: Path, device: str) -> torch.nn.Module:
    """The input of the last layer of a residual network, which is trained once and kept."""
    network = ResidualNetwork(n_classes=len(np.unique(split.y)))
    if not path.exists():
        content = BytesIO()
        torch.save(train(split, epochs=FEATURE_EPOCHS, device=device).module_.state_dict(), content)
        replace(path, content.getvalue())
    network.load_state_dict(torch.load(path, map_location=device, weights_only=True))
    return network.features.to(device)
