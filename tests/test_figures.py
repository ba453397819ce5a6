"""The paper's figures and the residual network beside them, at a size that takes seconds."""

from __future__ import annotations

import csv
import importlib
import itertools
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

from gencls import GenerativeBayesClassifier
from gencls.model_files import read_card
from gencls.training.callbacks import WeightAveraging

pytest.importorskip("matplotlib")
pytest.importorskip("torchmetrics")
FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    """The modules of the benchmarks by their names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = (
        "budget",
        "classifiers",
        "fig1",
        "fig2",
        "fig3",
        "figures",
        "over_epochs",
        "paper",
        "paper_runs",
        "pretrained",
        "residual_network",
        "resumable",
        "split",
    )
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture
def images(modules):
    """Dark and bright images with a little noise, 4 × 4."""
    rng = np.random.default_rng(0)

    def make(n_images):
        y = np.arange(n_images) % 2
        return rng.integers(0, 64, (n_images, 4, 4, 3), dtype=np.uint8) + 128 * y[:, None, None, None].astype(
            np.uint8
        ), y

    return modules.split.Split(*make(24), *make(24))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def cells(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# The images


def test_the_split_is_that_of_the_files_and_test_images_are_not_needed(modules, small_cpen455):
    (small_cpen455 / "test.csv").unlink()
    split = modules.split.load_split(8, small_cpen455)
    assert split.X.shape == split.X_val.shape == (4, 8, 8, 3)
    assert sorted(split.y) == sorted(split.y_val) == [0, 1, 2, 3]
    part = modules.split.load_split(8, small_cpen455, 3)
    np.testing.assert_array_equal(part.X, split.X[:3])
    np.testing.assert_array_equal(part.X_val, split.X_val)


# The residual network


def test_crops_and_flips_only_move_and_mirror(modules):
    augment = modules.residual_network.CropAndFlip()
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    image = torch.stack([rows, columns]).repeat(200, 1, 1, 1)  # every pixel tells its position
    assert augment.eval()(image) is image
    moved = augment.train()(image)
    steps = moved[:, 0, :, :1] - rows[:, :1]
    assert set(steps[:, 8, 0].tolist()) == {-2, -1, 0, 1, 2}
    assert torch.equal(moved[:, 0, :, :1], (rows[:, :1] + steps[:, 8:9]).clamp(0, 15))
    assert (moved[:, 0] == moved[:, 0, :, :1]).all()  # all columns of a row move alike
    mirrored = moved[:, 1, 0, 7] > moved[:, 1, 0, 8]
    assert 60 < mirrored.sum() < 140
    unmirrored = torch.where(mirrored[:, None], moved[:, 1, 0].flip(1), moved[:, 1, 0])
    assert torch.equal(unmirrored, (columns[0] + (unmirrored[:, 8:9] - 8)).clamp(0, 15))


def test_the_residual_network_learns_and_is_measured_once(modules, images, tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", minversion="1.8", reason="older ones do not calibrate by temperature")
    network = modules.residual_network
    monkeypatch.setattr(network, "load_split", lambda *args: images)
    options = ["--size", "4", "--seeds", "1", "--epochs", "6", "--results", str(tmp_path / "fits.jsonl")]
    network.main(options)
    (row,) = lines(tmp_path / "fits.jsonl")
    assert row["accuracy"] == row["accuracy_calibrated"] == 1
    assert row["log_loss_calibrated"] < row["log_loss"] < np.log(2)
    assert row["epochs_trained"] == 6
    assert 6e5 < row["n_parameters"] < 8e5
    assert "| 4×4 | 1.0000 | " in capsys.readouterr().out
    monkeypatch.delattr(network, "measure")
    network.main(options)
    assert "| 4×4 | 1.0000 | " in capsys.readouterr().out


def test_the_residual_network_can_train_for_a_time(modules, images, monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(modules.budget, "clock", lambda device: next(seconds))
    net = modules.residual_network.train(images, epochs=1, seconds=20)
    assert len(net.history) > 1
    assert net.optimizer_.param_groups[0]["lr"] < 0.01 * modules.residual_network.SGD["lr"]


def test_calibration_figures_are_those_of_their_definitions(modules):
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.3, 0.7]])
    found = modules.residual_network.scores(probabilities, np.array([0, 1, 1, 1]))
    assert found["accuracy"] == 0.75
    assert found["ece"] == pytest.approx((abs(0.9 - 0.5) + abs(0.7 - 1)) / 2)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.1, 0.7, 0.7]).mean())


# Figure 1


@pytest.fixture
def fig1(modules, images, tmp_path, monkeypatch):
    """Start the command with tiny models."""
    grids = {"n_layers": {1: 3.0}, "n_filters": {2: 3.0, 3: 2.9}, "n_mixtures": {1: 3.0, 2: 3.1}}
    monkeypatch.setattr(modules.fig1, "FIGURE_1", grids)
    monkeypatch.setattr(modules.fig1, "SMALLEST", {"n_layers": 1, "n_filters": 2, "n_mixtures": 1})
    monkeypatch.setattr(modules.fig1, "load_split", lambda *args: images)
    folders = ["--results", str(tmp_path), "--docs", str(tmp_path)]
    return lambda *options: modules.fig1.main([*folders, "--epochs", "1", "--jobs", "1", *options])


def test_figure_1_fits_each_model_once_and_scores_the_validation_images(fig1, images, tmp_path):
    fig1()
    rows = lines(tmp_path / "fig1.jsonl")
    sizes = [(row["n_layers"], row["n_filters"], row["n_mixtures"]) for row in rows]
    assert sizes == [(1, 2, 1), (1, 3, 1), (1, 2, 2)]
    clf = GenerativeBayesClassifier(
        n_filters=3,
        n_mixtures=1,
        batch_size=16,
        lr=2e-3,
        max_epochs=1,
        device="cpu",
        compile=True,
        random_state=0,
    ).fit(images.X, images.y)
    assert rows[1]["bits_per_dim"] == pytest.approx(clf.bits_per_dim(images.X_val, images.y_val))
    table = cells(tmp_path / "figures/fig1.csv")
    assert [row["parameter"] for row in table] == ["layers", "filters", "filters", "mixtures", "mixtures"]
    assert table[0]["bits_per_dim"] == table[1]["bits_per_dim"] == f"{rows[0]['bits_per_dim']:.4f}"
    assert table[2]["the paper's"] == "2.9"
    page = (tmp_path / "figures/fig1.md").read_text()
    assert "16×16, 1 epochs on all training images, 3 models" in page
    assert "| filters | 3 | " in page
    assert (tmp_path / "images/fig1.png").stat().st_size > 5000


def test_figure_1_goes_on_where_it_was(fig1, tmp_path):
    fig1()
    rows = (tmp_path / "fig1.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "fig1.jsonl").write_text("".join(rows[:2]))
    fig1("--seeds", "2")
    new = lines(tmp_path / "fig1.jsonl")[2:]
    assert [(row["seed"], row["n_filters"], row["n_mixtures"]) for row in new] == [
        (0, 2, 2), (1, 2, 1), (1, 3, 1), (1, 2, 2),
    ]  # fmt: skip
    assert all(row["bits_per_dim_error"] for row in cells(tmp_path / "figures/fig1.csv"))


def test_without_results_the_pages_say_so(fig1, modules, tmp_path):
    fig1("--report-only")
    for figure in (modules.fig2, modules.fig3):
        figure.main(["--report-only", "--results", str(tmp_path), "--docs", str(tmp_path)])
    for name in ("fig1", "fig2", "fig3"):
        assert (tmp_path / f"figures/{name}.md").read_text() == "Nothing has been measured yet.\n"


# Figures 2 and 3


class MeanColours(nn.Module):
    """Three features, so that a few images are enough for their covariance."""

    def forward(self, images):
        return images.float().mean(dim=(2, 3))


@pytest.fixture
def tiny(modules, images, monkeypatch):
    """A scale of its own, whose sample quality is measured in every second epoch."""
    network = {"n_layers": 1, "n_filters": 2, "n_mixtures": 1}
    scale = modules.paper.Scale(4, 1, 3, 2, {"batch_size": 8, "lr": 2e-3}, network)
    monkeypatch.setitem(modules.paper.SCALES, "cpu", scale)
    monkeypatch.setattr(modules.paper_runs, "load_split", lambda *args: images)
    monkeypatch.setattr(modules.paper_runs, "features_for", lambda *args: MeanColours())


@pytest.fixture
def run(modules, tiny, tmp_path):
    """Run a training in a folder of its own; what it recorded, without times."""

    def start(folder, *options):
        modules.paper_runs.main(
            [
                "--results",
                str(tmp_path / folder),
                "--conditioners",
                "mild",
                "--features",
                "residual",
                *options,
            ]
        )

    def rows(folder):
        return [row | {"epoch_seconds": None} for row in lines(tmp_path / folder / "paper_runs.jsonl")]

    return SimpleNamespace(start=start, rows=rows)


def test_a_training_is_recorded_epoch_by_epoch(run, modules, images, monkeypatch):
    rates = []
    original = GenerativeBayesClassifier.partial_fit

    def remember(clf, *args, **kwargs):
        rates.append(clf.lr)
        return original(clf, *args, **kwargs)

    monkeypatch.setattr(GenerativeBayesClassifier, "partial_fit", remember)
    run.start("whole")
    rows = run.rows("whole")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rates == pytest.approx([2e-3, 0.75 * 2e-3 + 0.25e-6, 0.25 * 2e-3 + 0.75e-6])
    assert ["fid" in row for row in rows] == [False, True, True]  # every second epoch, and the last
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    assert rows[2]["bits_per_dim"] < rows[0]["bits_per_dim"]
    assert 0 < rows[2]["fid_of_training_images"] < rows[2]["fid"]


@pytest.mark.parametrize("step", ["measure", "replace"])
def test_an_interrupted_training_ends_like_an_uninterrupted_one(step, run, modules, monkeypatch):
    run.start("whole")
    owner = modules.resumable if step == "replace" else modules.paper_runs
    original, calls = getattr(owner, step), []

    def fail_at_the_second(*args):
        calls.append(step)
        if len(calls) == 2:
            raise RuntimeError("power failure")
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fail_at_the_second)
        with pytest.raises(RuntimeError, match="power failure"):
            run.start("interrupted")
    run.start("interrupted")
    latest = {row["epoch"]: row for row in run.rows("interrupted")}
    assert list(latest.values()) == run.rows("whole")
    n_repeated = 1 if step == "replace" else 0
    assert len(run.rows("interrupted")) == 3 + n_repeated  # at most one epoch is done again


def test_an_epoch_that_the_user_interrupts_does_not_count(run, monkeypatch):
    run.start("whole")
    steps = []

    def interrupt(callback, net, training=False, **kwargs):
        steps.append(training)
        if len(steps) == 5:  # in the second of three steps of the second epoch
            raise KeyboardInterrupt
        net.averaged_.update_parameters(net.module_)

    with monkeypatch.context() as patch:
        patch.setattr(WeightAveraging, "on_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.start("interrupted")
    assert len(run.rows("interrupted")) == 1
    run.start("interrupted")
    assert run.rows("interrupted") == run.rows("whole")


def test_lost_lines_are_measured_again(run, tmp_path):
    run.start("whole")
    rows = run.rows("whole")
    (tmp_path / "whole/paper_runs.jsonl").unlink()
    run.start("whole")
    assert run.rows("whole") == rows


def test_the_features_are_trained_once(modules, images, tmp_path, monkeypatch):
    monkeypatch.setattr(modules.paper_runs, "FEATURE_EPOCHS", 1)
    options = ["--results", str(tmp_path), "--features", "residual"]
    args = modules.paper_runs.parse(options)
    first = modules.paper_runs.features_for(images, args).eval()
    monkeypatch.delattr(modules.paper_runs, "train")
    again = modules.paper_runs.features_for(images, args).eval()
    batch = torch.from_numpy(modules.residual_network.channels_first(images.X))
    assert first(batch).shape == (24, 128)
    assert torch.equal(first(batch), again(batch))
    args.features = "inception"
    assert modules.paper_runs.features_for(images, args) == 192


def test_figures_2_and_3_share_their_trainings(modules, tiny, tmp_path, monkeypatch):
    options = ["--results", str(tmp_path), "--docs", str(tmp_path), "--features", "residual"]
    modules.fig2.main(options)
    monkeypatch.delattr(modules.paper_runs, "follow")
    modules.fig3.main(options)
    rows = lines(tmp_path / "paper_runs.jsonl")
    assert [(row["conditioner"], row["epoch"]) for row in rows] == [
        (name, epoch) for name in ("mild", "strong") for epoch in (1, 2, 3)
    ]
    second, third = (cells(tmp_path / f"figures/{name}.csv") for name in ("fig2", "fig3"))
    assert [row["fid"] == "" for row in second] == [True, False, False] * 2
    p = rows[0]["accuracy"]
    assert third[0]["accuracy"] == f"{p:.4f}"
    assert third[0]["accuracy_error"] == (f"{np.sqrt(p * (1 - p) / 24):.4f}" if 0 < p < 1 else "")
    assert "128 features of a residual network" in (tmp_path / "figures/fig2.md").read_text()
    for name in ("fig2", "fig3"):
        assert (tmp_path / f"images/{name}.png").stat().st_size > 5000


def test_over_several_seeds_errors_are_those_of_the_mean(modules):
    fits = [{"accuracy": value, "n_held_out": 100} for value in (0.7, 0.8, 0.9)]
    mean, error = modules.over_epochs.mean_and_error(fits, "accuracy")
    assert (mean, error) == pytest.approx((0.8, 0.1 / np.sqrt(3)))
    assert modules.over_epochs.mean_and_error(fits[:1], "accuracy") == pytest.approx(
        (0.7, np.sqrt(0.7 * 0.3 / 100))
    )


def test_the_paper_stands_beside_ours_epoch_by_epoch(modules):
    panels = modules.over_epochs.panels(
        modules.paper.rows(), [("epoch", "accuracy"), ("bits_per_dim", "fid")], "FID"
    )
    assert list(panels[0].lines) == ["mild", "strong"]
    assert panels[0].lines["mild"][225] == pytest.approx((0.857, 0.0154), abs=1e-4)
    assert [point[0] for point in panels[1].lines["strong"].values()] == [22.9, 23.5, 33.4, 33.1]


# The best classifiers


@pytest.fixture
def recipes(modules, images, monkeypatch, tmp_path):
    """The command for one tiny recipe of two phases."""
    script = modules.classifiers
    names = np.array(["dark", "bright"])
    named = modules.split.Split(images.X, names[images.y], images.X_val, names[images.y_val])
    monkeypatch.setattr(script, "load_named", lambda size, path: named)
    params = script.PARAMS | {"n_filters": 2, "n_mixtures": 1}
    tiny = script.Recipe(script.phases(2, 1), params, size=4, windows=True)
    monkeypatch.setitem(script.RECIPES, "best", {"best": tiny})
    monkeypatch.setitem(script.RECIPES, "ablation", {"plain": replace(tiny, windows=False)})
    folders = ["--results", str(tmp_path / "fits.jsonl"), "--docs", str(tmp_path)]
    return lambda *options, table="best": script.main(
        [table, "--seeds", "1", "--jobs", "1", *folders, *options]
    )


def test_a_recipe_is_trained_once_and_measured_after_each_phase(recipes, modules, tmp_path, monkeypatch):
    recipes()
    rows = lines(tmp_path / "fits.jsonl")
    assert [(row["phase"], row["epoch"]) for row in rows] == [
        ("maximum likelihood", 1),
        ("maximum likelihood", 2),
        ("then hybrid", 1),
    ]
    assert [("accuracy" in row) for row in rows] == [False, True, True]
    table = (tmp_path / "classifiers-best.md").read_text()
    assert f"| best | then hybrid | {rows[2]['accuracy']:.4f} |" in table
    over_windows = rows[2]["over_windows"]["accuracy"]
    assert f"| best | then hybrid; mean of six windows | {over_windows:.4f} |" in table
    monkeypatch.setattr(modules.resumable, "train_one_epoch", None)
    recipes()
    recipes("--report-only")
    assert lines(tmp_path / "fits.jsonl") == rows
    assert (tmp_path / "classifiers-best.md").read_text() == table


def test_seeds_are_measured_together(recipes, images, tmp_path):
    recipes("--seeds", "2")
    row = lines(tmp_path / "fits.jsonl")[-1]
    assert (row["recipe"], row["n_seeds"]) == ("best", 2)
    kept = [tmp_path / f"checkpoints/best-0-{seed}-cpu.pickle" for seed in range(2)]
    joints = [pickle.loads(path.read_bytes()).predict_joint_log_proba(images.X_val) for path in kept]
    expected = np.array(["bright", "dark"])[np.mean(joints, axis=0).argmax(axis=1)]
    right = expected == np.array(["dark", "bright"])[images.y_val]
    assert row["accuracy"] == right.mean()
    table = (tmp_path / "classifiers-best.md").read_text()
    assert f"| best | 2 seeds together | {right.mean():.4f} | " in table
    windows = row["over_windows"]["log_loss"]
    assert re.search(
        rf"\| 2 seeds together; mean of six windows \| [\d.]+ \| {windows:.3f} \|.*\| 2 \|", table
    )
    recipes("--seeds", "2")
    assert lines(tmp_path / "fits.jsonl")[-1] == row
    assert len(lines(tmp_path / "fits.jsonl")) == 7


def test_seeds_are_measured_together_with_those_that_they_went_on_from(
    recipes, modules, images, tmp_path, monkeypatch
):
    script = modules.classifiers
    best = script.RECIPES["best"]["best"]
    larger = replace(best, phases=script.phases(0, 1), size=6, after="best")
    monkeypatch.setitem(script.RECIPES, "best", {"best": best, "larger": larger})
    recipes("--only", "larger", "--seeds", "2")
    of_larger, of_both = lines(tmp_path / "fits.jsonl")[-2:]
    assert (of_larger["recipe"], of_larger["n_seeds"]) == ("larger", 2)
    assert (of_both["recipe"], of_both["n_seeds"]) == ("best + larger", 2)
    joints = [
        script.joints_of(
            pickle.loads((tmp_path / f"checkpoints/best-{number}-{seed}-cpu.pickle").read_bytes()),
            script.load_named(6, None),
            recipe,
        )
        for number, recipe in enumerate([best, larger])
        for seed in range(2)
    ]
    posterior = log_softmax(np.mean(joints, axis=(0, 1)), axis=1)  # of "bright" and "dark"
    expected = -posterior[np.arange(24), 1 - images.y_val].mean()
    assert of_both["over_windows"]["log_loss"] == pytest.approx(expected)
    table = (tmp_path / "classifiers-best.md").read_text()
    assert re.search(
        rf"\| best \+ larger \| 2 seeds together; mean of six windows \| [\d.]+ \| {expected:.3f} \|", table
    )
    kept = {path: path.read_bytes() for path in (tmp_path / "checkpoints").glob("*.npy")}
    assert len(kept) == 4
    monkeypatch.setattr(script, "joints_of", None)  # what was scored is not scored again
    recipes("--seeds", "2")
    assert lines(tmp_path / "fits.jsonl")[-1]["recipe"] == "best"
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_recipe_goes_on_from_another_on_larger_images(recipes, modules, tmp_path, monkeypatch):
    script = modules.classifiers
    best = script.RECIPES["best"]["best"]
    larger = replace(best, phases=script.phases(1, 1, 1), size=6, after="best")
    monkeypatch.setitem(script.RECIPES, "best", {"best": best, "larger": larger})
    recipes("--only", "larger")  # trains the other one, too
    rows = lines(tmp_path / "fits.jsonl")
    assert [row["recipe"] for row in rows] == 3 * ["best"] + 3 * ["larger"]
    clf = pickle.loads((tmp_path / "checkpoints/best-1-0-cpu.pickle").read_bytes())
    assert (clf.image_shape_, clf.n_iter_) == ((6, 6, 3), 6)
    discriminative = ["train_cross_entropy" in row for row in clf.history_]
    assert discriminative == [False, False, True, False, True, True]
    minutes = sum(row["cpu_seconds"] for row in rows) / 60
    table = (tmp_path / "classifiers-best.md").read_text()
    assert re.search(rf"\| larger \| then milder \| .* \| {minutes:.0f} \| 1 \|", table)
    shorter = (tmp_path / "fits.jsonl").read_text().splitlines(keepends=True)[:-1]
    (tmp_path / "fits.jsonl").write_text("".join(shorter))
    recipes()  # one epoch has no line: the classifier it began with is there
    again = lines(tmp_path / "fits.jsonl")
    assert [row["phase"] for row in again[-3:]] == ["maximum likelihood", "then hybrid", "then milder"]
    assert again[:5] == rows[:5]
    assert len(again) == 8


def test_rows_can_be_chosen_and_others_stay_in_the_table(recipes, modules, tmp_path, monkeypatch, capsys):
    script = modules.classifiers
    tiny = script.RECIPES["ablation"]["plain"]
    monkeypatch.setitem(script.RECIPES, "ablation", {"plain": tiny, "bare": tiny.but(flip=False)})
    for name in ("plain", "bare"):
        recipes("--only", name, table="ablation")
    table = (tmp_path / "classifiers-ablation.md").read_text()
    assert [table.count(f"| {name} | then hybrid |") for name in ("plain", "bare")] == [1, 1]
    with pytest.raises(SystemExit):
        recipes("--only", "bear", table="ablation")
    assert "no row 'bear'; there are 'plain', 'bare'" in capsys.readouterr().err
    assert (tmp_path / "classifiers-ablation.md").read_text() == table


def test_windows_are_measured_where_they_are_asked_for(recipes, tmp_path):
    recipes(table="ablation")
    assert not any("over_windows" in row for row in lines(tmp_path / "fits.jsonl"))
    table = (tmp_path / "classifiers-ablation.md").read_text()
    assert "| plain | then hybrid |" in table
    assert "windows" not in table


def test_the_residual_network_stands_in_the_table_of_the_best(
    recipes, modules, images, tmp_path, monkeypatch
):
    pytest.importorskip("sklearn", minversion="1.8", reason="older ones do not calibrate by temperature")
    network = modules.residual_network
    monkeypatch.setattr(network, "load_split", lambda *args: images)
    fit = ["--size", "4", "--seeds", "2", "--epochs", "2"]
    network.main([*fit, "--results", str(tmp_path / "residual_network.jsonl")])
    accuracies = [row["accuracy"] for row in lines(tmp_path / "residual_network.jsonl")]
    recipes("--report-only")
    row = (tmp_path / "classifiers-best.md").read_text().splitlines()[-1]
    assert row.startswith(f"| residual network, 4×4 | labels alone, 2 epochs | {np.mean(accuracies):.4f} ± ")
    assert row.endswith(" | 2 |")
    recipes("--report-only", table="ablation")
    assert "residual" not in (tmp_path / "classifiers-ablation.md").read_text()


def test_all_recipes_are_settings_of_the_estimator(modules):
    for recipes in modules.classifiers.RECIPES.values():
        for recipe in recipes.values():
            clf = GenerativeBayesClassifier(**recipe.params)
            for phase in recipe.phases:
                clf.set_params(lr=phase.lr, **phase.params)


def test_one_of_the_best_becomes_a_pretrained_model(recipes, modules, tmp_path, monkeypatch):
    script = modules.classifiers
    second = replace(script.RECIPES["best"]["best"], phases=script.phases(0, 1), after="smaller")
    first = replace(second, phases=script.phases(2, 1), size=3, after=None)
    monkeypatch.setitem(script.RECIPES, "best", {"smaller": first, "best": second})
    best = script.Run("best", "best", seed=0, device="cpu")
    monkeypatch.setattr(modules.pretrained, "BEST", {"cpen455": modules.pretrained.Chosen(best, seeds="0")})
    recipes("--only", "best")
    rows = lines(tmp_path / "fits.jsonl")
    folders = ["--results", str(tmp_path / "fits.jsonl"), "--output", str(tmp_path)]
    modules.pretrained.main(["cpen455", *folders])
    assert lines(tmp_path / "fits.jsonl") == rows
    path = tmp_path / "cpen455.safetensors"
    card, clf = read_card(path), GenerativeBayesClassifier.load(path)
    assert clf.classes_.tolist() == ["bright", "dark"]
    assert card["figures"]["accuracy"] == pytest.approx(rows[-1]["accuracy"], abs=1e-3)
    assert [(part["size"], part["name"]) for part in card["training"]] == [
        (3, "maximum likelihood"),
        (3, "then hybrid"),
        (4, "then hybrid"),
    ]
    assert [part["smallest"] for part in card["training"]] == [1.0, 0.8, 0.8]
    assert [part["params"]["discriminative_weight"] for part in card["training"]] == [0.0, 1.0, 1.0]
    over_windows = card["figures_over_the_mean_of_six_windows"]
    assert over_windows["accuracy"] == pytest.approx(rows[-1]["over_windows"]["accuracy"], abs=1e-4)
    assert card["fit_seconds"] == round(sum(row["cpu_seconds"] for row in rows))
