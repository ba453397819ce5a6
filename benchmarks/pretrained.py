"""Train a model that comes with the package, measure it on images held out, and write its file with a card.

    python benchmarks/pretrained.py digits                                         # CPU: two minutes
    python benchmarks/pretrained.py cpen455 --path <folder with train.csv>         # CPU: two hours
    python benchmarks/pretrained.py cpen455-24x24 --path <folder with train.csv>   # CPU: three hours

The models of CPEN455 are of `benchmarks/classifiers.py best`; what that command has trained is not trained
again. The weights are kept in half precision if that costs nothing, which is measured; the card
has both figures.
"""

from __future__ import annotations

import argparse
import datetime
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import classifiers
import records
import torch
from figures import ROOT
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from gencls import GenerativeBayesClassifier, __version__

MODELS = ROOT / "gencls" / "_models"

DIGITS = {"n_filters": 24, "max_epochs": 15, "lr": 3e-3, "random_state": 0}  # parameters of the estimator
OVER_WINDOWS = ["accuracy", "log_loss_calibrated", "ece_calibrated", "temperature"]  # what the card says
COSTS_NOTHING = 0.001  # by how much half precision may change a figure


class Chosen(NamedTuple):
    """A training, and the seeds of which it has the lowest log-loss on whole validation images."""

    run: classifiers.Run
    seeds: str


BEST = {
    "cpen455": Chosen(classifiers.Run("best", "16×16", seed=3, device="cpu"), seeds="0 to 4"),
    "cpen455-24x24": Chosen(classifiers.Run("best", "24×24", seed=0, device="cpu"), seeds="0 to 2"),
}


class Task(NamedTuple):
    """How to train, what to measure on, and what the card says."""

    fit: Callable[[], tuple[GenerativeBayesClassifier, dict[str, Any]]]  # also what the card says of it
    X_held_out: NDArray[Any]
    y_held_out: NDArray[Any]
    card: dict[str, Any]


def digits(options: argparse.Namespace) -> Task:
    """A quarter is held out, as in examples/digits.py."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

    def fit() -> tuple[GenerativeBayesClassifier, dict[str, Any]]:
        epochs = {} if options.max_epochs is None else {"max_epochs": options.max_epochs}
        clf = GenerativeBayesClassifier(**DIGITS | epochs, device=options.device, verbose=1)
        start = time.perf_counter()
        clf.fit(X_train, y_train)
        return clf.set_params(verbose=0), {"fit_seconds": round(time.perf_counter() - start)}

    card = {
        "data": "scikit-learn's load_digits: 1,797 handwritten digits of 8×8 pixels with 17 levels. E. "
        "Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning "
        "Repository",
        "licence": "data CC BY 4.0, model BSD-3-Clause",
        "held_out": "train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)[1::2]",
    }
    return Task(fit, X_test, y_test, card)


def cpen455(options: argparse.Namespace) -> Task:
    """The validation images are held out; the temperature alone is learned on them."""
    run, seeds = BEST[options.name]
    size, params = run.definition.size, run.definition.params
    images, epochs = classifiers.load_named(size, options.path), classifiers.history_of(run)

    def fit() -> tuple[GenerativeBayesClassifier, dict[str, Any]]:
        classifiers.train(run, options.results, options.path)
        kept = run.checkpoint(options.results.parent / "checkpoints")
        clf = pickle.loads(kept.read_bytes())
        clf.set_params(compile=False)  # the user's machine may have no compiler
        clf.calibrate(images.X_val, images.y_val)
        rows = list(records.finished(records.read(options.results), epochs).values())
        over_windows = {name: round(rows[-1]["over_windows"][name], 4) for name in OVER_WINDOWS}
        return clf, {
            "fit_seconds": round(sum(row["cpu_seconds"] for row in rows)),
            "figures_over_the_mean_of_six_windows": over_windows,
        }

    card = {
        "data": f"CPEN455: hamburgers, giant pandas, koalas and pizzas, 4,159 photographs brought to "
        f"{size}×{size} pixels, and their mirror images. From the public repository "
        "shovon-b/conditional_pixelCNN",
        "licence": "data: none is stated in its repository; model BSD-3-Clause",
        "held_out": f"fetch_cpen455(subset='validation', size={size}), whose target_names are the classes; "
        "the temperature was learned on them, "
        f"and of the seeds {seeds} this one has the lowest log-loss on them",
        "parameters": {**params, "conditioner": str(params["conditioner"])},
        "training": [
            {"size": part.definition.size, **asdict(phase)}
            for part in classifiers.chain_of(run)
            for phase in part.definition.phases
        ],
    }
    return Task(fit, images.X_val, images.y_val, card)


def figures(clf: GenerativeBayesClassifier, task: Task) -> dict[str, float]:
    """What the model is worth on the images that were held out."""
    probabilities = clf.predict_proba(task.X_held_out)
    right = clf.classes_[probabilities.argmax(axis=1)] == task.y_held_out
    return {
        "accuracy": round(float(right.mean()), 4),
        "log_loss": round(float(log_loss(task.y_held_out, probabilities, labels=clf.classes_)), 4),
        "bits_per_dim": round(clf.bits_per_dim(task.X_held_out, task.y_held_out), 4),
    }


def figures_in_half_precision(clf: GenerativeBayesClassifier, task: Task) -> dict[str, float]:
    """The same for the model as it comes out of a file in half precision."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "half"
        clf.save(path, half=True)
        return figures(GenerativeBayesClassifier.load(path, clf.device), task)


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Train, measure, and write the file; the card is returned."""
    task = (cpen455 if options.name in BEST else digits)(options)
    clf, trained = task.fit()
    single, half = figures(clf, task), figures_in_half_precision(clf, task)
    keeps_half = all(abs(single[name] - half[name]) <= COSTS_NOTHING for name in single)
    card = task.card | {
        "command": command(options),
        "seed": clf.random_state,
        **trained,
        "device": clf.net_.device,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "torch": str(torch.__version__),
        "gencls": __version__,
        "precision": "half" if keeps_half else "single",
        "figures": half if keeps_half else single,
        "figures_in_single_precision": single,
        "figures_in_half_precision": half,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    clf.save(options.output / f"{options.name}.safetensors", half=keeps_half, card=card)
    return card


def command(options: argparse.Namespace) -> str:
    """What makes this model again, without what differs from one machine to the next."""
    words = ["python benchmarks/pretrained.py", options.name]
    if options.path is not None:
        words.append("--path <folder>")
    if options.max_epochs is not None:
        words.append(f"--max-epochs {options.max_epochs}")
    return " ".join(words)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=("digits", *BEST))
    parser.add_argument(
        "--path", type=Path, help="of cpen455: folder with train.csv, validation.csv and the images"
    )
    parser.add_argument("--max-epochs", type=int, help="of the digits: fewer, to try it")
    parser.add_argument("--device", default="auto", help="of the digits")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/classifiers.jsonl")
    parser.add_argument("--output", type=Path, default=MODELS, help="folder of the file")
    options = parser.parse_args(arguments)
    for key, value in train(options).items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
