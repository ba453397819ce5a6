"""Train in stages, each measured at its end, and measure several models together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import splits
from experiments import Run
from gencls import GenerativeBayesClassifier, MeanJointClassifier, Stage
from measures import PLAIN
from measures.fits import fit_to_the_end
from records import Row
from scores import class_scores, density_scores, parameter_counts
from splits import Split


def in_stages(
    run: Run,
    *,
    stages: Sequence[Stage],
    data: str = "cpen455",
    crops: bool = False,
    after: str | None = None,
    **params: Any,
) -> Row:
    """Train stage after stage, and measure after each; the model is kept.

    Parameters
    ----------
    run : Run
    stages : sequence of Stage
    data : str
    crops : bool
        Whether it is also measured over the mean of six crops of each image.
    after : str, optional
        The cell whose model training begins with, at a resolution of its own.
    **params
        Parameters of the estimator.
    """
    split = splits.load(data)
    clf, rows, spent = begin(run, after, params), [], core_seconds(run, after)
    for number, stage in enumerate(stages):
        start = time.process_time()
        checkpoint = run.kept(f"-stage-{number}")
        clf.set_params(stages=[stage], warm_start=True, checkpoint_dir=checkpoint)
        fit_to_the_end(clf, split)
        spent += time.process_time() - start
        row = {"stage": in_words(stage), "epochs": stage.epochs, **figures(clf, split, crops)}
        rows.append(row | {"fit_core_minutes": spent / 60})
    clf.set_params(stages=None, warm_start=False, checkpoint_dir=None).save(model_of(run))
    return {
        "stages": rows,
        "fit_core_seconds": spent,
        "train_bits_per_dim": [row["train_bpd"] for row in clf.history_],
        "n_held_out": len(split.y_val),
        **parameter_counts(clf),
    }


def begin(run: Run, after: str | None, params: dict[str, Any]) -> GenerativeBayesClassifier:
    """An untrained classifier, or the one it begins with, at its own resolution."""
    if after is None:
        return GenerativeBayesClassifier(**(PLAIN | params), device=run.device, random_state=run.seed)
    path = model_of(source_of(run, after))
    if not path.exists():
        raise FileNotFoundError(f"The model of {after} is not kept here: --only {after} --again makes it")
    source = GenerativeBayesClassifier.load(path, run.device)
    return source.resized(params["resolution"]).set_params(**params)


def core_seconds(run: Run, after: str | None) -> float:
    """The stages of the trainings that it begins with."""
    return 0.0 if after is None else float(source_of(run, after).line()["figures"]["fit_core_seconds"])


def source_of(run: Run, after: str) -> Run:
    """The run that a run begins with."""
    return Run(run.experiment, after, run.seed, run.device, run.results)


def model_of(run: Run) -> Any:
    """The file of its model."""
    path = run.kept(".safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def in_words(stage: Stage) -> str:
    """The name of a stage in tables."""
    weight, temperature = (getattr(stage.objective, name, None) for name in ("weight", "temperature"))
    return "maximum likelihood" if weight is None else f"hybrid, λ = {weight:g}, τ = {temperature:g}"


def figures(clf: GenerativeBayesClassifier, split: Split, crops: bool) -> Row:
    """Figures on the validation images, and those over six crops of each."""
    labels = np.searchsorted(clf.classes_, split.y_val)
    joint = clf.predict_joint_log_proba(split.X_val)
    row = class_scores(joint, labels) | density_scores(joint, labels, clf)
    return row | ({"six_crops": over_six_crops(clf, split, labels)} if crops else {})


def over_six_crops(clf: GenerativeBayesClassifier, split: Split, labels: np.ndarray) -> Row:
    """Figures of predictions from six crops of each image."""
    clf.set_params(views="six-crops")
    row = class_scores(clf.predict_log_proba(split.X_val), labels)
    clf.set_params(views=None)
    return row


def together(run: Run, *, experiment: str, members: Sequence[str], seeds: int, data: str = "cpen455") -> Row:
    """Several cells, each with several seeds, by the mean of their joint log-probabilities."""
    runs = [Run(experiment, cell, seed, run.device, run.results) for cell in members for seed in range(seeds)]
    if absent := [member for member in runs if not model_of(member).exists()]:
        command = f"python benchmarks/runner.py {experiment} --only {absent[0].cell} --seeds {seeds}"
        raise FileNotFoundError(f"{len(absent)} of {len(runs)} models are not kept here: {command}")
    models = [GenerativeBayesClassifier.load(model_of(member), run.device) for member in runs]
    split = splits.load(data)
    row: Row = {}
    for views in (None, "six-crops"):
        clf = MeanJointClassifier.from_fitted([model.set_params(views=views) for model in models])
        labels = np.searchsorted(clf.classes_, split.y_val)
        found = class_scores(clf.predict_log_proba(split.X_val), labels)
        row |= found if views is None else {"six_crops": found}
    return row | {"n_models": len(models), "n_held_out": len(labels)}
