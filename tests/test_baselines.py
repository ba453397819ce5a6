"""What gencls is compared with, at a size that takes seconds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB

import scores
import splits
from baselines import residual_network, scikit_learn
from experiments import Run


def test_the_split_is_that_of_the_files_and_test_images_are_not_needed(small_cpen455, monkeypatch):
    (small_cpen455 / "test.csv").unlink()
    monkeypatch.setenv("GENCLS_CPEN455", str(small_cpen455))
    splits.cpen455.cache_clear()
    split = splits.load("cpen455", 8)
    splits.cpen455.cache_clear()
    assert split.X.shape == split.X_val.shape == (4, 8, 8, 3)
    assert len(set(split.y)) == len(set(split.y_val)) == 4
    more = splits.with_flipped_copies(split)
    np.testing.assert_array_equal(more.X[4:], split.X[:, :, ::-1])
    np.testing.assert_array_equal(more.y, np.tile(split.y, 2))


def test_the_digits_have_one_size():
    assert splits.load("digits").X.shape == (1347, 8, 8)
    with pytest.raises(ValueError, match="16×16"):
        splits.load("digits", 16)


def test_crops_and_flips_only_move_and_flip():
    augment = residual_network.CropAndFlip()
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    image = torch.stack([rows, columns]).repeat(200, 1, 1, 1)  # every pixel tells its position
    assert augment.eval()(image) is image
    moved = augment.train()(image)
    steps = moved[:, 0, :, :1] - rows[:, :1]
    assert set(steps[:, 8, 0].tolist()) == {-2, -1, 0, 1, 2}
    assert torch.equal(moved[:, 0, :, :1], (rows[:, :1] + steps[:, 8:9]).clamp(0, 15))
    assert (moved[:, 0] == moved[:, 0, :, :1]).all()  # all columns of a row move alike
    flipped = moved[:, 1, 0, 7] > moved[:, 1, 0, 8]
    assert 60 < flipped.sum() < 140
    restored = torch.where(flipped[:, None], moved[:, 1, 0].flip(1), moved[:, 1, 0])
    assert torch.equal(restored, (columns[0] + (restored[:, 8:9] - 8)).clamp(0, 15))


def test_digits_are_not_flipped():
    augment = residual_network.CropAndFlip(flipped=0.0).train()
    ramp = torch.arange(8.0).repeat(100, 1, 8, 1)
    assert (augment(ramp).diff(dim=3) >= 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_the_residual_network_takes_grey_images_of_any_range(dtype):
    X = np.arange(6).repeat(16).reshape(6, 4, 4).astype(dtype)
    net = residual_network.train(splits.Split(X, np.arange(6) % 2, X, np.arange(6) % 2), epochs=1)
    scale = net.module_.features[0]
    lowest, highest = (scale(torch.tensor(value).view(1, 1, 1, 1)).item() for value in (X.min(), X.max()))
    assert (lowest, highest) == pytest.approx((-1, 1 if dtype == np.float64 else 5 / 127.5 - 1))
    assert net.predict_proba(residual_network.channels_first(X)).shape == (6, 2)


def test_the_residual_network_learns(photographs):
    run = Run("residual_network", "4×4", seed=0)
    row = residual_network.residual_network(run, data="cpen455", size=4, epochs=6)
    assert row["accuracy"] == 1
    assert row["log_loss_calibrated"] <= row["log_loss"] < np.log(2)
    assert row["epochs_trained"] == 6
    assert 6e5 < row["n_parameters"] < 8e5
    assert row == pytest.approx(
        row | timeless(residual_network.residual_network(run, data="cpen455", size=4, epochs=6))
    )


def timeless(row):
    """What does not depend on the machine's speed."""
    return {key: value for key, value in row.items() if "core" not in key}


def test_its_learning_rate_rises_and_falls_to_0(photographs):
    net = residual_network.train(photographs, epochs=40)
    factor = residual_network.cosine(40)
    assert (factor(0), factor(1), factor(2)) == (0.5, 1, 1)
    assert net.optimizer_.param_groups[0]["lr"] < 0.01 * residual_network.SGD["lr"]


@pytest.mark.parametrize("model", ["logistic regression", "nearest neighbours"])
def test_classifiers_of_scikit_learn_are_measured(photographs, model):
    row = scikit_learn.scikit_learn(Run("scikit_learn", model, seed=0), data="cpen455", model=model, size=4)
    assert row["accuracy"] == 1
    assert 0 <= row["log_loss"] < 0.1
    assert row["n_held_out"] == 24


def test_all_pixels_have_one_scale(photographs, monkeypatch):
    seen = []

    class Watched(GaussianNB):
        def fit(self, X, y):
            seen.append(X)
            return super().fit(X, y)

    monkeypatch.setitem(scikit_learn.MODELS, "watched", lambda seed: Watched())
    scikit_learn.scikit_learn(Run("scikit_learn", "watched", seed=0), data="cpen455", model="watched")
    slope, offset = np.polyfit(scikit_learn.flat(photographs.X).ravel(), seen[0].ravel(), 1)
    np.testing.assert_allclose(seen[0], slope * scikit_learn.flat(photographs.X) + offset, atol=1e-9)
    assert (seen[0].mean(), seen[0].std()) == pytest.approx((0, 1), abs=1e-9)


def test_all_classifiers_of_scikit_learn_can_be_made():
    assert all(hasattr(make(0), "fit") for make in scikit_learn.MODELS.values())


def test_figures_are_those_of_their_definitions():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.3, 0.7]])
    labels = np.array([0, 1, 1, 1])
    found = scores.class_scores(np.log(np.tile(probabilities, (5, 1))), np.tile(labels, 5))
    assert found["accuracy"] == 0.75
    assert found["ece"] == pytest.approx((abs(0.9 - 0.5) + abs(0.7 - 1)) / 2)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.1, 0.7, 0.7]).mean())
