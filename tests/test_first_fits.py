"""The table of first fits: its data sets, its contestants and its reports, at a size that takes seconds."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

import comparison
import splits
from baselines.residual_network import BATCH_SIZE
from experiments import Run, first_fits
from gencls import GenerativeBayesClassifier
from measures.first_fits import first_fit
from scores import class_scores
from tables import CrossTable, Inserted

TINY: dict[str, Any] = {"n_filters": 2, "n_mixtures": 1, "max_epochs": 1}
FIGURES = {"accuracy", "log_loss", "ece", "fit_core_seconds", "score_core_seconds", "n_held_out"}


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """A folder with a few images in the form of MNIST, dark and light by class."""
    monkeypatch.setenv("GENCLS_MNIST", str(tmp_path))
    splits.mnist.cache_clear()
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name, n in (("train", 60), ("test", 50)):
        y = (np.arange(n) % 3).astype(np.uint8)
        arrays[f"X_{name}"] = (rng.integers(60, size=(n, 6, 6)) + 90 * y[:, None, None]).astype(np.uint8)
        arrays[f"y_{name}"] = y
    np.savez(tmp_path / "mnist.npz", **arrays)
    yield arrays
    splits.mnist.cache_clear()


@pytest.fixture
def small_cifar10(tmp_path, monkeypatch):
    """A folder with a hundred images in the form of CIFAR-10; each image has a shade of its own."""
    monkeypatch.setenv("GENCLS_CIFAR10", str(tmp_path))
    splits.cifar10.cache_clear()
    files = [jpeg(np.full((8, 8, 3), shade, np.uint8)) for shade in range(100)]
    np.savez(
        tmp_path / "train.npz",
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        labels=np.repeat(np.arange(2, dtype=np.uint8), 50),
        names=np.array(["dark", "light"]),
    )
    yield
    splits.cifar10.cache_clear()


def jpeg(image):
    """The bytes of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=100)
    return file.getvalue()


# The data sets


def test_of_mnist_every_fifth_test_image_is_used(small_mnist):
    split = splits.load("mnist")
    np.testing.assert_array_equal(split.X, small_mnist["X_train"])
    np.testing.assert_array_equal(split.X_val, small_mnist["X_test"][::5])
    np.testing.assert_array_equal(split.y_val, small_mnist["y_test"][::5])


def test_training_images_are_drawn_by_seed_with_all_classes_in_proportion(small_mnist):
    one, same, other = (splits.load("mnist", n_train=15, seed=seed) for seed in (0, 0, 1))
    assert np.bincount(one.y).tolist() == [5, 5, 5]
    np.testing.assert_array_equal(one.X, same.X)
    assert (one.X != other.X).any()
    np.testing.assert_array_equal(one.X_val, other.X_val)


def test_images_of_cifar10_are_held_out_whatever_the_seed(small_cifar10):
    one, other = (splits.load("cifar10", n_train=40, seed=seed) for seed in (0, 1))
    assert (one.X.shape, one.X_val.shape) == ((40, 8, 8, 3), (4, 8, 8, 3))
    assert one.X.dtype == np.uint8
    np.testing.assert_array_equal(one.X_val, other.X_val)
    assert sorted(one.y_val) == ["dark", "dark", "light", "light"]
    assert not set(one.X[:, 0, 0, 0]) & set(one.X_val[:, 0, 0, 0])
    np.testing.assert_array_equal(one.y == "light", one.X[:, 0, 0, 0] >= 50)


@pytest.mark.usefixtures("small_mnist", "small_cifar10")
def test_images_are_reduced_but_not_enlarged():
    assert splits.load("cifar10", 4).X.shape == (96, 4, 4, 3)
    assert splits.load("mnist", 3).X_val.shape == (10, 3, 3)
    with pytest.raises(ValueError, match="6×6 pixels: too few for 8×8"):
        splits.load("mnist", 8)


def test_a_missing_folder_is_named_with_its_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("GENCLS_MNIST", raising=False)
    splits.mnist.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"variable GENCLS_MNIST to a folder with mnist\.npz"):
        splits.load("mnist")
    monkeypatch.setenv("GENCLS_MNIST", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"mnist\.npz does not exist\. Set .* GENCLS_MNIST"):
        splits.load("mnist")
    np.savez(tmp_path / "mnist.npz", X_train=[0], y_train=[0], X_test=[0])
    with pytest.raises(KeyError, match="no array 'y_test'"):
        splits.load("mnist")


# The contestants


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "gencls", **TINY},
        {"model": "residual network", "size": 4, "epochs": 2, "flipped": 0.0, "precision": "bfloat16"},
        {"model": "logistic regression", "size": 4},
    ],
    ids=lambda settings: settings["model"],
)
def test_every_contestant_is_measured_on_the_same_images(small_mnist, settings):
    row = first_fit(Run("first_fits", "tiny", seed=1), data="mnist", n_train=30, **settings)
    assert set(row) >= FIGURES
    assert row["n_held_out"] == 10
    assert ("bits_per_dim" in row) == (settings["model"] == "gencls")


def test_the_log_loss_of_gencls_is_that_of_its_own_probabilities(small_mnist):
    params: dict[str, Any] = {**TINY, "temperature": 3.0, "resolution": 4}
    row = first_fit(Run("first_fits", "tiny", seed=1), model="gencls", data="mnist", n_train=30, **params)
    split = splits.load("mnist", n_train=30, seed=1)
    clf = GenerativeBayesClassifier(**params, device="cpu", random_state=1).fit(split.X, split.y)
    expected = class_scores(clf.predict_log_proba(split.X_val), split.y_val)
    assert row["log_loss"] == pytest.approx(expected["log_loss"])
    assert row["bits_per_dim"] == pytest.approx(clf.bits_per_dim(split.X_val, split.y_val))
    assert row["size"] == 4


def test_gencls_has_its_defaults_in_every_cell():
    ours = [cell for cell in first_fits.EXPERIMENT.cells.values() if cell["model"] == "gencls"]
    assert [set(cell) - {"model", "data", "n_train"} for cell in ours] == [set()] * len(first_fits.SETS)


def test_residual_networks_have_enough_steps_and_flip_no_digits():
    for data in first_fits.SETS.values():
        settings = first_fits.network(**data)
        steps = settings["epochs"] * math.ceil(data.get("n_train", 1347) / BATCH_SIZE)
        assert 600 <= steps < 2400 + 200
        assert (settings["flipped"] > 0) == (data["data"] in ("cpen455", "cifar10"))


# The reports


def cells(**figures):
    """A record for each contestant, data set and seed: accuracies, or pairs of accuracies of two seeds."""
    return [
        {"set": name, "contestant": who, "size": 8, "accuracy": value, "log_loss": 1 - value}
        for who, by_set in figures.items()
        for name, values in by_set.items()
        for value in np.atleast_1d(values).tolist()
    ]


def test_a_cross_table_has_the_best_of_each_column_in_bold():
    table = CrossTable("contestant", "set", "accuracy", title="model", best=max)
    rows = cells(ours={"one": [0.7, 0.9], "two": 0.5}, theirs={"one": 0.7}, others={"two": 0.6})
    assert table.markdown(rows).splitlines() == [
        "| model | one | two |",
        "|---|---:|---:|",
        "| ours | **0.800 ± 0.100** | 0.500 |",
        "| theirs | 0.700 |  |",
        "| others |  | **0.600** |",
    ]
    lowest: dict[str, Any] = {"best": min, "with_error": False, "below": lambda rows: "\nend"}
    plain = CrossTable("contestant", "set", "log_loss", **lowest)
    assert plain.markdown(rows).splitlines()[2] == "| ours | **0.200** | 0.500 |"
    assert plain.markdown(rows).endswith("|\n\nend")


def test_a_page_is_inserted_between_its_marks(tmp_path):
    page = Inserted(CrossTable("contestant", "set", "accuracy"), "figures")
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n")
    page.write(cells(ours={"one": 0.5}), path)
    text = path.read_text()
    assert text.startswith("before\n<!-- figures -->\n\n|  | one |\n")
    assert text.endswith("| ours | 0.500 |\n\n<!-- end of figures -->\nafter\n")
    page.write(cells(ours={"one": 0.5}), path)
    assert path.read_text() == text
    path.write_text("<!-- figures -->")
    with pytest.raises(ValueError, match="must have the marks"):
        page.write(cells(ours={"one": 0.5}), path)


def test_each_contestant_is_shown_at_its_best_size():
    rows = cells(svm={"one": [0.7, 0.9]})
    larger = [row | {"size": 16, "accuracy": 0.75} for row in rows]
    assert comparison.best_size(rows + larger) == rows
    assert comparison.best_size([row | {"accuracy": 0.7} for row in rows] + larger) == larger


def test_defeats_are_named_with_their_figures():
    rows = cells(gencls={"one": 0.5, "two": 0.9}, svm={"one": 0.8, "two": 0.7}, knn={"one": 0.6})
    text = comparison.behind(rows)
    assert "Accuracy: gencls is behind on** one (0.500, svm 0.800)." in text
    assert "Log-loss, in nats: gencls is behind on** one (0.500, svm 0.200)." in text
    assert "behind on** none of them" in comparison.behind(cells(gencls={"one": 0.9}, svm={"one": 0.8}))
    assert comparison.behind(cells(svm={"one": 0.8})) == ""


def test_larger_images_of_the_network_are_a_contestant_of_their_own():
    cell = "300 photographs, residual network, {0}×{0}"
    records = [{"cell": cell.format(size), "size": size, "data": "cpen455"} for size in (8, 32)]
    rows = first_fits.titled(records)
    assert [row["contestant"] for row in rows] == ["residual network", "residual network, larger images"]
    assert [row["images"] for row in rows] == ["8×8", "32×32"]
