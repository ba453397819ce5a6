"""The trainings behind the paper's Figures 2 and 3: mild and strong, measured after every epoch.

    python benchmarks/paper_runs.py                                # 16×16, ten epochs, on a CPU
    python benchmarks/paper_runs.py --scale paper --device cuda

fig2.py and fig3.py run them too, if they are missing. Each epoch is a line in
benchmarks/results/paper_runs.jsonl, and the whole classifier is kept beside it: when the command is started
again, at most one epoch is lost, and the result is the same as without an interruption.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import resumable
import torch
from figures import common_arguments
from paper import RUNS, SCALES
from records import Row, finished, read
from residual_network import ResidualNetwork, train
from resumable import replace, train_one_epoch
from scores import scores
from split import Split, load_split

from gencls import GenerativeBayesClassifier
from gencls.metrics import frechet_inception_distance

LOWEST_LR = 1e-6  # where the paper's cosine ends
FEATURE_EPOCHS = 20  # of the residual network whose features stand in for those of Inception
FEATURES = ("inception", "residual")


@dataclass(frozen=True)
class Run:
    """One training."""

    scale: str
    conditioner: str
    seed: int
    epochs: int
    images: int | None
    features: str
    device: str

    def checkpoint(self, folder: Path) -> Path:
        """Where the classifier is kept while it is trained."""
        return folder / f"{'-'.join(map(str, asdict(self).values()))}.pickle"


@dataclass(frozen=True)
class Epoch(Run):
    """One line of the results."""

    epoch: int


def plan(args: argparse.Namespace) -> list[Run]:
    """All trainings, every conditioner before the next seed."""
    epochs = args.epochs or SCALES[args.scale].epochs
    return [
        Run(args.scale, conditioner, seed, epochs, args.images, args.features, args.device)
        for seed in range(args.seeds)
        for conditioner in args.conditioners
    ]


def epochs_of(run: Run) -> list[Epoch]:
    """The lines of a training."""
    return [Epoch(**asdict(run), epoch=epoch) for epoch in range(1, run.epochs + 1)]


def complete(runs: list[Run], args: argparse.Namespace) -> list[Row]:
    """Train what is missing, unless only a report is wanted; the rows of all epochs."""
    path = args.results / "paper_runs.jsonl"
    lines = [line for run in runs for line in epochs_of(run)]
    done = finished(read(path), lines)
    missing = [run for run in runs if any(line not in done for line in epochs_of(run))]
    if missing and not args.report_only:
        images = load_split(SCALES[args.scale].size, args.path, args.images)
        quality = SampleQuality(images, features_for(images, args), args.device)
        for run in missing:
            follow(run, images, quality, args.results, done)
    return list(finished(read(path), lines).values())


def follow(
    run: Run, images: Split, quality: SampleQuality, folder: Path, done: Collection[Epoch] = ()
) -> None:
    """Train a classifier to its end, on from where it is, and write a line an epoch."""

    def advance(clf: GenerativeBayesClassifier, line: Epoch) -> Row:
        train_one_epoch(set_learning_rate(clf, line), images.X, images.y)
        return measure(clf, line, images, quality)

    resumable.follow(
        epochs_of(run),
        lambda: begin(run),
        advance,
        checkpoint=run.checkpoint(folder / "checkpoints"),
        results=folder / "paper_runs.jsonl",
        done=done,
        name=f"{run.conditioner}, seed {run.seed}",
    )


def begin(run: Run) -> GenerativeBayesClassifier:
    """A classifier that has learned nothing."""
    scale = SCALES[run.scale]
    return GenerativeBayesClassifier(
        run.conditioner, **scale.network, **scale.training, device=run.device, random_state=run.seed
    )


def set_learning_rate(clf: GenerativeBayesClassifier, line: Epoch) -> GenerativeBayesClassifier:
    """That of a cosine that steps once an epoch, as the paper's does."""
    highest = SCALES[line.scale].training["lr"]
    share = (1 + math.cos(math.pi * (line.epoch - 1) / line.epochs)) / 2
    return clf.set_params(lr=LOWEST_LR + (highest - LOWEST_LR) * share)


def measure(clf: GenerativeBayesClassifier, line: Epoch, images: Split, quality: SampleQuality) -> Row:
    """Figures on the validation images and, now and then, of as many generated ones of the same classes."""
    labels = np.searchsorted(clf.classes_, images.y_val)
    row = scores(clf.predict_joint_log_proba(images.X_val), labels, clf) | {
        "train_bits_per_dim": float(clf.history_[-1]["train_bpd"]),
        "epoch_seconds": float(clf.history_[-1]["dur"]),
        "n_held_out": len(labels),
    }
    every = SCALES[line.scale].quality_every
    if line.epoch % every == 0 or line.epoch == line.epochs:
        row["fid"] = quality.distance(clf.sample(y=images.y_val, random_state=line.seed)[0])
        row["fid_of_training_images"] = quality.of_training_images
    return row


class SampleQuality:
    """The Fréchet distance of images to the validation images; that of training images says what is good."""

    def __init__(self, images: Split, features: int | torch.nn.Module, device: str):
        self.images, self.features, self.device = images, features, device
        self.of_training_images = self.distance(images.X[: len(images.X_val)])

    def distance(self, generated: Any) -> float:
        """Of generated images, as many as there are validation images."""
        return frechet_inception_distance(self.images.X_val, generated, self.features, device=self.device)


def features_for(images: Split, args: argparse.Namespace) -> int | torch.nn.Module:
    """What sample quality is measured in: the paper's 192 features of Inception, or our own network's."""
    if args.features == "inception":
        return 192
    where = args.results / "checkpoints" / f"features-{args.scale}-{args.images}.pt"
    return residual_features(images, where, args.device)


def residual_features(images: Split, path: Path, device: str) -> torch.nn.Module:
    """What the last layer of a residual network sees; it is trained once on the training images and kept."""
    network = ResidualNetwork(n_classes=len(np.unique(images.y)))
    if not path.exists():
        content = io.BytesIO()
        torch.save(train(images, epochs=FEATURE_EPOCHS, device=device).module_.state_dict(), content)
        replace(path, content.getvalue())
    network.load_state_dict(torch.load(path, map_location=device, weights_only=True))
    return network.features.to(device)


def main(arguments: list[str] | None = None) -> None:
    """Run the trainings."""
    args = parse(arguments)
    complete(plan(args), args)


def parse(arguments: list[str] | None, description: str | None = __doc__) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    common_arguments(parser)
    parser.add_argument("--conditioners", nargs="+", metavar="NAME", default=list(RUNS))
    parser.add_argument(
        "--features",
        choices=FEATURES,
        default="inception" if find_spec("torch_fidelity") else "residual",
        help="what sample quality is measured in (default: inception where torch-fidelity is installed, "
        "which downloads its weights)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
