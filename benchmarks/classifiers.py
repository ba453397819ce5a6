"""The best classifiers of CPEN455, and what each part of their recipe brings.

    python benchmarks/classifiers.py best          # CPU: about sixteen hours of one core
    python benchmarks/classifiers.py ablation      # CPU: about six hours of one core
    python benchmarks/classifiers.py best --seeds 5 --report-only   # the table in docs/, of all its seeds

A recipe trains by maximum likelihood first, or goes on from another recipe at its own size, which is trained
where it is missing; then comes the hybrid objective. Every epoch is a line in
benchmarks/results/classifiers.jsonl, and the whole classifier is kept beside it: when the command is started
again, at most one epoch of each training is lost, and what is finished is not trained again. A recipe that
changes needs another name. At the end of each phase the model is measured on the validation images, and in
the end all seeds of `best` together, alone and with those that they went on from; the test images are left
alone. Writes docs/classifiers-best.md or docs/classifiers-ablation.md.
"""

from __future__ import annotations

import argparse
import io
import math
import multiprocessing
import pickle
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import resumable
import torch
from figures import ROOT
from numpy.typing import NDArray
from records import Row, append, finished, read
from scores import calibrated_scores, class_scores, count, density_scores
from split import Split, load_named
from zoo_report import summary, with_error

from gencls import GenerativeBayesClassifier
from gencls.conditioners.low_rank import LowRank
from gencls.images import crop_at_random, six_crops

ORIGINAL_SIZE = 64  # rows and columns of the files


@dataclass(frozen=True)
class Phase:
    """A part of a training: at a learning rate that falls from `lr` on a cosine, a step an epoch.

    Every epoch sees new windows of the images, whose sides are at least `smallest` of theirs.
    """

    name: str
    epochs: int
    lr: float
    params: Mapping[str, Any] = field(default_factory=dict)
    smallest: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """What is trained: parameters of the estimator, on images of `size` rows and columns.

    It is measured on whole images and, with `windows`, over the mean of six windows of each, too. `after` is
    the recipe of the same table whose classifier it goes on with, at its own size.
    """

    phases: tuple[Phase, ...]
    params: Mapping[str, Any]
    size: int = 16
    windows: bool = False
    after: str | None = None

    def but(self, **params: Any) -> Recipe:
        """The same recipe with other parameters."""
        return replace(self, params={**self.params, **params})


def objective(weight: float, temperature: float) -> dict[str, float]:
    """The hybrid objective."""
    return {"discriminative_weight": weight, "discriminative_temperature": temperature}


def likelihood(epochs: int) -> Phase:
    """The first part of a training from the start."""
    return Phase("maximum likelihood", epochs, 2e-3, {"discriminative_weight": 0.0})


def phases(
    n_likelihood: int,
    n_hybrid: int,
    n_settled: int = 0,
    *,
    weight: float = 1.0,
    temperature: float = 8.0,
    smallest: float = 0.8,
) -> tuple[Phase, ...]:
    """Epochs of maximum likelihood, then hybrid on crops, then with a fifth of the weight on whole images.

    The default temperature is for images of 16×16: classes are apart in proportion to the number of pixels.
    """
    hybrid = Phase("then hybrid", n_hybrid, 7e-4, objective(weight, temperature), smallest)
    settled = Phase("then milder", n_settled, 4e-4, objective(weight / 5, temperature))
    return tuple(phase for phase in (likelihood(n_likelihood), hybrid, settled) if phase.epochs)


PARAMS = {
    "conditioner": LowRank(first_stage=3),
    "n_filters": 40,
    "dropout": 0.1,
    "flip": True,
    "batch_size": 16,
    "ema_decay": 0.999,
    "precision": "auto",
    "compile": True,
}
SHORT = Recipe(phases(4, 1), PARAMS)
NONE = Recipe(
    phases(4, 1, smallest=1.0),
    PARAMS | {"conditioner": "mild", "flip": False, "ema_decay": 0.0, "dropout": 0.0},
)
ALONE = replace(NONE, phases=phases(4, 0))
RECIPES = {
    "best": {
        "16×16": Recipe(phases(80, 12, 4), PARAMS, windows=True),
        "24×24": Recipe(phases(0, 14, 2, temperature=18.0), PARAMS, size=24, windows=True, after="16×16"),
        "32×32": Recipe(phases(0, 8, temperature=32.0), PARAMS, size=32, windows=True, after="24×24"),
        "32×32 from the start": Recipe(phases(8, 4, temperature=32.0), PARAMS, size=32, windows=True),
    },
    "ablation": {
        "all together": SHORT,
        "`low-rank` in all stages": SHORT.but(conditioner="low-rank"),
        "`mild`": SHORT.but(conditioner="mild"),
        "no mirror images": SHORT.but(flip=False),
        "no crops": replace(SHORT, phases=phases(4, 1, smallest=1.0)),
        "no averaged weights": SHORT.but(ema_decay=0.0),
        "no dropout": SHORT.but(dropout=0.0),
        "64 levels instead of 256": SHORT.but(n_levels=64, pixel_range=(0, 255)),
        "8×8 images": Recipe(phases(4, 1, temperature=2.0), PARAMS, size=8),
        "32×32 images": Recipe(phases(4, 1, temperature=32.0), PARAMS, size=32),
        "hybrid at λ = 0.1, τ = 1": replace(SHORT, phases=phases(4, 1, weight=0.1, temperature=1.0)),
        "none of it": NONE,
        "`low-rank` alone": ALONE.but(conditioner=PARAMS["conditioner"]),
        "mirror images alone": ALONE.but(flip=PARAMS["flip"]),
        "averaged weights alone": ALONE.but(ema_decay=PARAMS["ema_decay"]),
        "dropout alone": ALONE.but(dropout=PARAMS["dropout"]),
    },
}
COLUMNS = {
    "accuracy": ".4f",
    "log_loss": ".3f",
    "log_loss_calibrated": ".3f",
    "ece": ".3f",
    "ece_calibrated": ".3f",
    "bits_per_dim": ".4f",
    "cpu_minutes": ".0f",
}


@dataclass(frozen=True)
class Run:
    """One training."""

    table: str
    recipe: str
    seed: int
    device: str

    @property
    def definition(self) -> Recipe:
        """What is to be done."""
        return RECIPES[self.table][self.recipe]

    @property
    def source(self) -> Run | None:
        """The training that it goes on from."""
        after = self.definition.after
        return None if after is None else replace(self, recipe=after)

    def checkpoint(self, folder: Path) -> Path:
        """Where the classifier is kept while it is trained."""
        number = list(RECIPES[self.table]).index(self.recipe)
        return folder / f"{self.table}-{number}-{self.seed}-{self.device}.pickle"


@dataclass(frozen=True)
class Epoch(Run):
    """One line of the results."""

    phase: str
    epoch: int
    epochs: int


@dataclass(frozen=True)
class Together:
    """One line of the results: several trainings, by the mean of their joint log-probabilities.

    They are `n_seeds` seeds of a recipe, or of each of several, "16×16 + 24×24".
    """

    table: str
    recipe: str
    n_seeds: int
    device: str


def epochs_of(run: Run) -> list[Epoch]:
    """The lines of a training."""
    return [
        Epoch(**asdict(run), phase=phase.name, epoch=epoch, epochs=phase.epochs)
        for phase in run.definition.phases
        for epoch in range(1, phase.epochs + 1)
    ]


def chain_of(run: Run) -> list[Run]:
    """A training, after all that it goes on from."""
    return [*(chain_of(run.source) if run.source else []), run]


def history_of(run: Run) -> list[Epoch]:
    """The lines of a training, after those of all that it goes on from."""
    return [epoch for part in chain_of(run) for epoch in epochs_of(part)]


def train(run: Run, results: Path, path: Path | None) -> None:
    """Train a classifier to its end, on from where it is, after that from which it goes on."""
    torch.set_num_threads(1)
    recipe, source, kept = run.definition, run.source, results.parent / "checkpoints"
    epochs, before = epochs_of(run), len(history_of(source)) if source else 0
    by_name = {phase.name: phase for phase in recipe.phases}
    originals = load_named(ORIGINAL_SIZE, path)

    def begin() -> GenerativeBayesClassifier:
        if source is None:
            return GenerativeBayesClassifier(**recipe.params, device=run.device, random_state=run.seed)
        train(source, results, path)
        clf: GenerativeBayesClassifier = pickle.loads(source.checkpoint(kept).read_bytes())
        return clf.resize(recipe.size).set_params(**recipe.params)

    def advance(clf: GenerativeBayesClassifier, line: Epoch) -> Row:
        phase = by_name[line.phase]
        lr = phase.lr * (1 + math.cos(math.pi * (line.epoch - 0.5) / line.epochs)) / 2
        start, cpu = time.perf_counter(), time.process_time()
        X = crop_at_random(
            originals.X,
            recipe.size,
            smallest=phase.smallest,
            random_state=1000 * line.seed + before + epochs.index(line),
        )
        resumable.train_one_epoch(clf.set_params(lr=lr, **phase.params), X, originals.y)
        row = {
            "train_bits_per_dim": float(clf.history_[-1]["train_bpd"]),
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
            "torch": torch.__version__,
        }
        return row | (measure(clf, originals, recipe) if line.epoch == line.epochs else {})

    resumable.follow(
        epochs,
        begin,
        advance,
        checkpoint=run.checkpoint(kept),
        results=results,
        done=finished(read(results), epochs),
        before=before,
        name=f"{run.recipe}, seed {run.seed}",
    )


def joints_of(clf: GenerativeBayesClassifier, originals: Split, recipe: Recipe) -> NDArray[np.float64]:
    """log p(x, c) of the validation images, whole, and of their windows where a recipe asks for them."""
    crops = six_crops(recipe.size)[: None if recipe.windows else 1]  # the first is the whole image
    return np.stack([clf.predict_joint_log_proba(crop.transform(originals.X_val)) for _, crop in crops])


def figures(joints: NDArray[np.float64], labels: NDArray[np.int64]) -> Row:
    """What there is to say of the classes: figures of whole images, and those over windows."""
    row: Row = class_scores(joints[0], labels) | calibrated_scores(joints[0], labels)
    if len(joints) > 1:
        mean = joints.mean(axis=0)
        row["over_windows"] = class_scores(mean, labels) | calibrated_scores(mean, labels)
    return row


def measure(clf: GenerativeBayesClassifier, originals: Split, recipe: Recipe) -> Row:
    """Figures on the validation images."""
    labels = np.searchsorted(clf.classes_, originals.y_val)
    joints = joints_of(clf, originals, recipe)
    row = figures(joints, labels) | density_scores(joints[0], labels, clf)
    return row | {"n_parameters": count(clf.net_.averaged_model), "n_held_out": len(labels)}


def complete(runs: list[Run], args: argparse.Namespace) -> None:
    """Train what is missing, several side by side in processes of their own."""
    done = finished(read(args.results), [epoch for run in runs for epoch in epochs_of(run)])
    missing = [run for run in runs if any(epoch not in done for epoch in epochs_of(run))]
    sources = {run.source for run in missing}
    missing = [run for run in missing if run not in sources]  # they train what they go on from
    work = partial(train, results=args.results, path=args.path)
    if args.jobs == 1:
        for run in missing:
            work(run)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, mp_context=context) as pool:
        list(pool.map(work, missing))


def groups_of(runs: list[Run]) -> list[list[Run]]:
    """What is measured together: the seeds of each recipe, alone and with those that they went on from."""
    found = []
    for recipe in dict.fromkeys(run.recipe for run in runs):
        seeds = [run for run in runs if run.recipe == recipe]
        chains = [part for run in seeds for part in chain_of(run)]
        found += [seeds, chains] if len(chains) > len(seeds) else [seeds]
    return [group for group in found if len({run.seed for run in group}) > 1]


def together_of(group: list[Run]) -> Together:
    """Their line."""
    recipes = dict.fromkeys(run.recipe for run in group)
    seeds = {run.seed for run in group}
    return Together(group[0].table, " + ".join(recipes), len(seeds), group[0].device)


def kept_joints(run: Run, originals: Split, results: Path) -> NDArray[np.float64] | None:
    """The joint log-probabilities at the end of a training; None if it is not finished, or was not kept."""
    kept = run.checkpoint(results.parent / "checkpoints")
    file = kept.with_suffix(".npy")
    if not file.exists():
        clf = pickle.loads(kept.read_bytes()) if kept.exists() else None
        if clf is None or clf.n_iter_ < len(history_of(run)):
            return None
        with io.BytesIO() as content:
            np.save(content, joints_of(clf, originals, run.definition))
            resumable.replace(file, content.getvalue())
    joints: NDArray[np.float64] = np.load(file)
    return joints


def measure_together(group: list[Run], args: argparse.Namespace) -> None:
    """Measure trainings together, if they are finished and kept, and were not measured before."""
    together = together_of(group)
    if finished(read(args.results), [together]):
        return
    originals = load_named(ORIGINAL_SIZE, args.path)
    joints = [kept_joints(run, originals, args.results) for run in group]
    if any(of_one is None for of_one in joints):
        return
    labels = np.unique(originals.y_val, return_inverse=True)[1]
    row = figures(np.mean(joints, axis=0), labels)
    append(asdict(together) | row | {"n_held_out": len(labels)}, args.results)


def tabulate(found: dict[tuple[str, str], list[Row]]) -> str:
    """The table in Markdown: mean and standard error over the seeds, for every training."""
    lines = ["| model | training | " + " | ".join(COLUMNS).replace("_", " ") + " | seeds |"]
    lines.append("|---|---|" + "---:|" * (len(COLUMNS) + 1))
    for (model, training), rows in found.items():
        cells = [
            with_error(*summary(rows, key), style) if key in rows[0] else "" for key, style in COLUMNS.items()
        ]
        lines.append(f"| {model} | {training} | {' | '.join(cells)} | {rows[0].get('n_seeds', len(rows))} |")
    return "\n".join(lines) + "\n"


def by_training(runs: list[Run], results: Path) -> dict[tuple[str, str], list[Row]]:
    """The rows at the end of each phase of each recipe, with the time until then, and those over windows."""
    found: dict[tuple[str, str], list[Row]] = {}
    lines = read(results)
    for run in runs:
        spent = 0.0
        for epoch, row in finished(lines, history_of(run)).items():
            spent += row["cpu_seconds"] / 60
            if epoch.recipe == run.recipe and epoch.epoch == epoch.epochs:
                found.setdefault((run.recipe, epoch.phase), []).append(row | {"cpu_minutes": spent})
                if run.definition.windows:
                    windows = f"{epoch.phase}; mean of six windows"
                    found.setdefault((run.recipe, windows), []).append(row["over_windows"])
    return found


def of_several(runs: list[Run], results: Path) -> dict[tuple[str, str], list[Row]]:
    """The rows of several trainings together."""
    found: dict[tuple[str, str], list[Row]] = {}
    most = max(run.seed for run in runs)
    groups = [group for n in range(most + 1) for group in groups_of([run for run in runs if run.seed <= n])]
    for together, row in finished(read(results), map(together_of, groups)).items():
        training = f"{together.n_seeds} seeds together"
        found[together.recipe, training] = [row]
        if "over_windows" in row:
            found[together.recipe, f"{training}; mean of six windows"] = [
                row["over_windows"] | {"n_seeds": row["n_seeds"]}
            ]
    return found


def alternatives(results: Path) -> dict[tuple[str, str], list[Row]]:
    """What one would take instead for labels alone, as far as `residual_network.py` has measured it."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(read(results), key=itemgetter("size")):
        model, training = f"residual network, {row['size']}×{row['size']}", f"{row['epochs_trained']} epochs"
        found.setdefault((model, f"labels alone, {training}"), []).append(
            row | {"cpu_minutes": row["cpu_seconds"] / 60}
        )
    return found


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, and write the table."""
    args = parse(arguments)
    runs = [
        Run(args.table, recipe, seed, args.device)
        for seed in range(args.seeds)
        for recipe in RECIPES[args.table]
    ]
    if not args.report_only:
        chosen = [run for run in runs if args.only is None or run.recipe in args.only]
        complete(chosen, args)
        for group in groups_of(chosen) if args.table == "best" else ():
            measure_together(group, args)
    rows = by_training(runs, args.results)
    if args.table == "best":
        rows |= of_several(runs, args.results) | alternatives(args.results.parent / "residual_network.jsonl")
    table = tabulate(rows)
    args.docs.mkdir(parents=True, exist_ok=True)
    (args.docs / f"classifiers-{args.table}.md").write_text(table, encoding="utf-8")
    print(table)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=RECIPES)
    parser.add_argument("--only", nargs="+", metavar="RECIPE", help="train these rows instead of all")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each recipe (default: 3)")
    parser.add_argument("--jobs", type=int, default=4, help="side by side, of one thread each (default: 4)")
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--path", type=Path, help="folder with the images")
    parser.add_argument("--report-only", action="store_true", help="train nothing; write what is finished")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/classifiers.jsonl")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    args = parser.parse_args(arguments)
    if unknown := set(args.only or ()).difference(RECIPES[args.table]):
        known = ", ".join(map(repr, RECIPES[args.table]))
        parser.error(f"--only: no row {unknown.pop()!r}; there are {known}")
    return args


if __name__ == "__main__":
    main()
