"""What the early exit saves, and which predictions it changes, beside the exact ones.

    python benchmarks/early_exit.py --cpen455           # five minutes on one core
    python benchmarks/early_exit.py --cpen455 --exact   # what an exact one could drop

The digits and, on request, the validation images of CPEN455 are predicted by the models that come with the
package, on images that these were not trained on; those of CPEN455 by another model file if one is named.
Every margin has its turn, round after round, and its best time counts: that of this process alone. Writes
docs/early-exit-table.md; with --exact it only prints.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from split import load_named

from gencls import GenerativeBayesClassifier, load_pretrained
from gencls.bayes import joint_log_prob
from gencls.inference import class_log_likelihoods

ROOT = Path(__file__).parent.parent
TEXT = """\
On one CPU core, the best of {repeats} runs, torch {version}. Changed are predictions that differ from the
exact ones; accuracy is that of all.

| images | margin, nats | changed | accuracy | ms an image | faster |
|---|---:|---:|---:|---:|---:|
"""
EXACT = """\
Share of all pairs of an image and a class whose score of the upper rows is already below another class's
whole one, which could be dropped exactly:

| images | half of the rows | three quarters | all but one |
|---|---:|---:|---:|
"""


class Case(NamedTuple):
    """A fitted classifier with images that it has not seen, and their classes."""

    name: str
    clf: GenerativeBayesClassifier
    X: NDArray[Any]
    y: NDArray[Any]


def digits(options: argparse.Namespace) -> Case:
    """The images that benchmarks/pretrained.py holds out."""
    X, y = load_digits(return_X_y=True)
    _, X, _, y = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    return Case("digits", load_pretrained("digits", device="cpu"), X[: options.images], y[: options.images])


def cpen455(options: argparse.Namespace) -> Case:
    """The validation images, at the size of the model."""
    of_package = options.cpen455 == "cpen455"
    clf = (load_pretrained if of_package else GenerativeBayesClassifier.load)(options.cpen455, device="cpu")
    split = load_named(clf.image_shape_[0])
    return Case("CPEN455", clf, split.X_val[: options.images], split.y_val[: options.images])


def rows(case: Case, margins: list[float], repeats: int) -> list[str]:
    """Lines of the table: the exact predictions, then those of each margin."""
    best: dict[float | None, float] = {}
    predicted = {}
    for _ in range(repeats):
        for margin in (None, *margins):
            case.clf.set_params(early_exit=margin)
            start = time.process_time()
            predicted[margin] = case.clf.predict(case.X)
            best[margin] = min(time.process_time() - start, best.get(margin, math.inf))
    name = f"{len(case.X)} of {case.name}, K = {len(case.clf.classes_)}, `{case.clf.conditioner}`"
    lines = []
    for margin, found in predicted.items():
        changed, accuracy = (found != predicted[None]).mean(), (found == case.y).mean()
        words = "none: exact" if margin is None else f"{margin:g}"
        milliseconds, faster = 1000 * best[margin] / len(case.X), best[None] / best[margin]
        lines.append(
            f"| {name} | {words} | {changed:.1%} | {accuracy:.1%} | {milliseconds:.1f} | {faster:.2f}× |\n"
        )
    return lines


def exactly(case: Case) -> str:
    """What an exact early exit could drop, by how many rows it has seen."""
    clf = case.clf
    model, prior = clf.net_.averaged_model, clf.class_prior_
    levels = torch.from_numpy(clf.codec_.encode(case.X.reshape(len(case.X), -1)))
    best = clf.predict_joint_log_proba(case.X).max(axis=1, keepdims=True)
    height = levels.shape[2]
    shares = [
        np.mean(joint_log_prob(class_log_likelihoods(model, levels, n_rows), prior) < best)
        for n_rows in (height // 2, 3 * height // 4, height - 1)
    ]
    return f"| {case.name} | {' | '.join(f'{share:.1%}' for share in shares)} |\n"


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write the table."""
    options = parse(arguments)
    torch.set_num_threads(1)
    cases = [digits(options)] + ([cpen455(options)] if options.cpen455 else [])
    if options.exact:
        print(EXACT, *map(exactly, cases), sep="", end="")
        return
    lines = [TEXT.format(repeats=options.repeats, version=torch.__version__)]
    for case in cases:
        lines += rows(case, options.margins, options.repeats)
        print(*lines[-1 - len(options.margins) :], sep="", flush=True)
    options.docs.mkdir(parents=True, exist_ok=True)
    (options.docs / "early-exit-table.md").write_text("".join(lines), encoding="utf-8")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpen455", nargs="?", const="cpen455", metavar="FILE", help="its images, too")
    parser.add_argument("--margins", nargs="+", type=float, default=[3, 5, 7, 10, 20], metavar="NATS")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--exact", action="store_true", help="print what could be dropped exactly instead")
    parser.add_argument("--images", type=int, help="at most so many of each (default: all)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
