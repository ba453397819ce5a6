"""The paper's Figure 1: bits per dimension over layers, filters and mixtures of the mild model.

    python benchmarks/fig1.py                                    # 16×16, two epochs a model, on a CPU
    python benchmarks/fig1.py --scale paper --device cuda --jobs 1
    python benchmarks/fig1.py --report-only                      # table and picture of what is finished

A grid search of scikit-learn over three grids of one parameter, scored on the paper's validation images. Each
model is a line in benchmarks/results/fig1.jsonl; when the command is started again, it searches what is
missing.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figures import (
    Panel,
    common_arguments,
    draw,
    suffix,
    write_csv,
    write_nothing,
    write_page,
)
from joblib import parallel_config
from paper import FIGURE_1, SCALES
from records import Row, append, finished, read
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from split import Split, load_split
from zoo_report import summary

from gencls import GenerativeBayesClassifier, neg_bits_per_dim_scorer

SMALLEST = {name: min(values) for name, values in FIGURE_1.items()}
LABELS = {"n_layers": "layers", "n_filters": "filters", "n_mixtures": "mixtures"}


@dataclass(frozen=True)
class Model:
    """One model of the figure."""

    scale: str
    epochs: int
    images: int | None
    device: str
    seed: int
    n_layers: int
    n_filters: int
    n_mixtures: int


@dataclass(frozen=True)
class RecordingScorer:
    """Bits per dimension as a scorer that also writes them down, so that a search can be interrupted."""

    common: dict[str, Any]
    path: Path

    def __call__(self, clf: Any, X: Any, y: Any) -> float:
        """Score a fitted model, and add it to the results."""
        score = neg_bits_per_dim_scorer(clf, X, y)
        row = self.common | {name: getattr(clf, name) for name in SMALLEST} | {"seed": clf.random_state}
        seconds = sum(epoch["dur"] for epoch in clf.history_)
        append(row | {"bits_per_dim": -score, "fit_seconds": seconds, "n_held_out": len(X)}, self.path)
        return score


def plan(args: argparse.Namespace) -> list[Model]:
    """All models, each once: the smallest is a point of all three grids."""
    common = (args.scale, args.epochs or SCALES[args.scale].grid_epochs, args.images, args.device)
    models = [
        Model(*common, seed, **(SMALLEST | {name: value}))
        for seed in range(args.seeds)
        for name, values in FIGURE_1.items()
        for value in values
    ]
    return list(dict.fromkeys(models))


def search(models: list[Model], images: Split, path: Path, n_jobs: int) -> None:
    """Fit and score models, by a grid search with the paper's own split."""
    first = models[0]
    clf = GenerativeBayesClassifier(
        "mild", **SCALES[first.scale].training, max_epochs=first.epochs, device=first.device
    )
    grid = [
        {name: [getattr(model, name)] for name in SMALLEST} | {"random_state": [model.seed]}
        for model in models
    ]
    common = {name: getattr(first, name) for name in ("scale", "epochs", "images", "device")}
    fold = np.repeat([-1, 0], [len(images.X), len(images.X_val)])  # -1: always for training
    grid_search = GridSearchCV(
        clf,
        grid,
        scoring=RecordingScorer(common, path),
        cv=PredefinedSplit(fold),
        refit=False,
        n_jobs=n_jobs,
        error_score="raise",
        verbose=3,
    )
    with parallel_config("loky", inner_max_num_threads=1 if n_jobs > 1 else None):
        grid_search.fit(np.concatenate([images.X, images.X_val]), np.concatenate([images.y, images.y_val]))


def curves(rows: list[Row]) -> dict[str, dict[int, tuple[float, float]]]:
    """For each parameter its values with bits/dim and their standard error (0 for one seed)."""
    found: dict[str, dict[int, tuple[float, float]]] = {}
    for name, values in FIGURE_1.items():
        for value in values:
            wanted = SMALLEST | {name: value}
            fits = [row for row in rows if wanted.items() <= row.items()]
            if fits:
                mean, error = summary(fits, "bits_per_dim")
                found.setdefault(name, {})[value] = (mean, 0.0 if len(fits) == 1 else error)
    return found


def report(models: list[Model], rows: list[Row], docs: Path) -> None:
    """Write table, page and picture."""
    scale = SCALES[models[0].scale]
    ending = suffix(models[0].scale)
    page = docs / f"figures/fig1{ending}.md"
    ours = curves(rows)
    if not ours:
        write_nothing(page)
        return
    table = [
        {
            "parameter": LABELS[name],
            "value": value,
            "bits_per_dim": f"{mean:.4f}",
            "bits_per_dim_error": f"{error:.4f}" if error else "",
            "the paper's": FIGURE_1[name][value],
        }
        for name, points in ours.items()
        for value, (mean, error) in points.items()
    ]
    titles = (f"ours: {scale.size}×{scale.size}, {models[0].epochs} epochs", "the paper's: 32×32, 100 epochs")
    draw(
        {
            titles[0]: [Panel(LABELS[name], "bits/dim", {"ours": ours.get(name, {})}) for name in FIGURE_1],
            titles[1]: [Panel(LABELS[name], "bits/dim", {"paper": FIGURE_1[name]}) for name in FIGURE_1],
        },
        docs / f"images/fig1{ending}.png",
    )
    write_csv(table, docs / f"figures/fig1{ending}.csv")
    picture = f"![Bits per dimension over layers, filters and mixtures](images/fig1{ending}.png)"
    write_page(_how(models, rows), table, page, picture)


def _how(models: list[Model], rows: list[Row]) -> str:
    first, scale = models[0], SCALES[models[0].scale]
    images = "all training images" if first.images is None else f"{first.images} training images"
    others = ", ".join(f"{LABELS[name]} {value}" for name, value in SMALLEST.items())
    return (
        f"Images of {scale.size}×{scale.size}, {first.epochs} epochs on {images}, {len(rows)} models, "
        f"scored on {rows[0]['n_held_out']} validation images. What is not varied is at {others}."
    )


def main(arguments: list[str] | None = None) -> None:
    """Search what is missing, then write the figure."""
    args = parse(arguments)
    models = plan(args)
    path = args.results / "fig1.jsonl"
    done = finished(read(path), models)
    missing = [model for model in models if model not in done]
    if missing and not args.report_only:
        images = load_split(SCALES[args.scale].size, args.path, args.images)
        search(missing, images, path, args.jobs)
    report(models, list(finished(read(path), models).values()), args.docs)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    common_arguments(parser)
    parser.add_argument("--jobs", type=int, default=4, help="models side by side, of one thread each")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
