"""Make a model that comes with the package: train it, measure it on held-out images, write file and card."""

from __future__ import annotations

import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

import splits
from experiments import Run
from gencls import GenerativeBayesClassifier, __version__
from measures import PLAIN
from measures.fits import timed_fit
from measures.stages import model_of
from records import Row
from splits import Split

COSTS_NOTHING = 0.001  # largest change of a figure by half precision
ON_CROPS = ("accuracy", "log_loss_calibrated", "ece_calibrated", "temperature")
DIGITS = {
    "data": "scikit-learn's load_digits: 1,797 handwritten digits of 8×8 pixels with 17 levels. E. "
    "Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning "
    "Repository",
    "licence": "data CC BY 4.0, model BSD-3-Clause",
    "held_out": "train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)[1::2]",
}
CPEN455 = {
    "data": "CPEN455: hamburgers, giant pandas, koalas and pizzas, 4,159 photographs brought to "
    "{size}×{size} pixels, and the same flipped. From the public repository shovon-b/conditional_pixelCNN",
    "licence": "data: none is stated in its repository; model BSD-3-Clause",
    "held_out": "fetch_cpen455(subset='validation', size={size}), whose target_names are the classes; the "
    "temperature was learned on them, and of the seeds {of_seeds} this one has the lowest log-loss on them",
}


class Trained(NamedTuple):
    """A fitted classifier, held-out images, and the part of its card on the training."""

    clf: GenerativeBayesClassifier
    split: Split
    card: dict[str, Any]


def pretrained(run: Run, *, data: str, cell: str | None = None, **params: Any) -> Row:
    """Train a model of the digits, or load one of `classifiers`; its card."""
    trained = of_digits(run, params) if cell is None else of_classifiers(run, cell, **params)
    clf = trained.clf
    single, half = figures(clf, trained.split), figures_in_half_precision(clf, trained.split)
    keeps_half = all(abs(single[name] - half[name]) <= COSTS_NOTHING for name in single)
    card = {
        **trained.card,
        "command": f"python benchmarks/runner.py pretrained --only {run.cell}",
        "device": str(clf.net_.device),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "torch": str(torch.__version__),
        "gencls": __version__,
        "precision": "half" if keeps_half else "single",
        "figures": half if keeps_half else single,
        "figures_in_single_precision": single,
        "figures_in_half_precision": half,
    }
    path = run.results / f"models/{run.cell}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    clf.save(path, half=keeps_half, card=card)
    return card


def of_digits(run: Run, params: dict[str, Any]) -> Trained:
    """Trained on flat images, as `load_digits(return_X_y=True)` gives them."""
    split = splits.load("digits")
    split = split._replace(X=flat(split.X), X_val=flat(split.X_val))
    clf = GenerativeBayesClassifier(**(PLAIN | params), device=run.device, random_state=run.seed)
    row = timed_fit(clf, split, run.device)
    return Trained(clf, split, {**DIGITS, "seed": run.seed, "fit_seconds": round(row["fit_core_seconds"])})


def flat(images: np.ndarray) -> np.ndarray:
    """A row of features for each image."""
    return images.reshape(len(images), -1).astype(np.float64)


def of_classifiers(run: Run, cell: str, *, of_seed: int, of_seeds: str) -> Trained:
    """One of the best classifiers, with a temperature learned on the validation images."""
    source = Run("classifiers", cell, of_seed, run.device, run.results)
    clf = GenerativeBayesClassifier.load(model_of(source), run.device)
    split, (height, _) = splits.load("cpen455"), clf.codec_.tensor_shape_[1:]
    clf.calibrate(split.X_val, split.y_val)
    last = source.line()["figures"]["stages"][-1]
    card = {
        **{key: text.format(size=height, of_seeds=of_seeds) for key, text in CPEN455.items()},
        "seed": of_seed,
        "parameters": {key: str(value) for key, value in source.settings.items() if key != "stages"},
        "training": [str(stage) for stage in source.settings["stages"]],
        "n_epochs": clf.n_iter_,
        "figures_on_six_crops": {name: round(last["six_crops"][name], 4) for name in ON_CROPS},
    }
    return Trained(clf, split, card)


def figures(clf: GenerativeBayesClassifier, split: Split) -> dict[str, float]:
    """The figures on the images that were held out."""
    log_probabilities = clf.predict_log_proba(split.X_val)
    labels = np.searchsorted(clf.classes_, split.y_val)
    return {
        "accuracy": round(float((log_probabilities.argmax(axis=1) == labels).mean()), 4),
        "log_loss": round(float(-log_probabilities[np.arange(len(labels)), labels].mean()), 4),
        "bits_per_dim": round(clf.bits_per_dim(split.X_val, split.y_val), 4),
    }


def figures_in_half_precision(clf: GenerativeBayesClassifier, split: Split) -> dict[str, float]:
    """The same for the model from a file in half precision."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "half"
        clf.save(path, half=True)
        return figures(GenerativeBayesClassifier.load(path, clf.device), split)
