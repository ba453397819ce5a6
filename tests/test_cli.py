"""The command line."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from gencls import GenerativeBayesClassifier, list_conditioners, list_pretrained, load_pretrained
from gencls.cli import main


@pytest.fixture
def run(capsys):
    """Run a command that succeeds; what it prints."""

    def run(*words):
        assert main([*map(str, words)]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def fails(capsys):
    """Run a command that fails; what it says."""

    def fails(*words):
        try:
            status = main([*map(str, words)])
        except SystemExit as stop:  # of argparse
            status = stop.code
        assert status == 2
        printed = capsys.readouterr()
        assert not printed.out
        return printed.err

    return fails


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A model file of colour images with the channels first, and images of its three classes."""
    folder = tmp_path_factory.mktemp("colours")
    X = np.kron(np.eye(3).repeat(6, axis=0).reshape(18, 3, 1, 1), np.full((2, 4), 200)) + 20.0
    X += np.random.RandomState(0).randint(-20, 20, X.shape)
    y = np.repeat(["red", "green", "blue"], 6)
    clf = GenerativeBayesClassifier(
        channel_axis=1,
        pixel_range=(-10, 245),
        n_filters=4,
        n_mixtures=1,
        max_epochs=5,
        lr=0.01,
        random_state=0,
    )
    clf.fit(X, y).save(folder / "model", card={"made by": "a test"})
    for name, image in zip(("red", "green", "blue"), X[::6] + 10, strict=True):
        Image.fromarray(image.transpose(1, 2, 0).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def test_the_module_is_a_command():
    command = [sys.executable, "-m", "gencls", "list"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(list_conditioners() + list_pretrained()) <= set(printed.replace(",", " ").split())


def test_info(run, colours):
    printed = run("info", colours / "model")
    for line in ("classes: blue, green, red", "epochs: 5", "conditioner: mild", "made by: a test"):
        assert f"{line}\n" in printed
    assert "images: (3, 2, 4), 256 levels from -10 to 245\n" in printed
    assert "licence: data CC BY 4.0, model BSD-3-Clause\n" in run("info", "digits")


def assert_predicts(printed, paths, clf, X):
    rows = [line.split("\t") for line in printed.splitlines()]
    assert [row[0] for row in rows] == [str(path) for path in paths]
    assert [row[1] for row in rows] == [str(label) for label in clf.predict(X)]
    assert [float(row[2]) for row in rows] == pytest.approx(clf.predict_proba(X).max(axis=1), abs=1e-4)


def test_predict_brings_colours_to_the_channels_and_the_range_of_the_model(run, colours):
    paths = [colours / f"{name}.png" for name in ("red", "green", "blue", "red")]
    X = np.array([np.asarray(Image.open(path), dtype=float).transpose(2, 0, 1) - 10 for path in paths])
    clf = GenerativeBayesClassifier.load(colours / "model")
    assert_predicts(run("predict", colours / "model", *paths), paths, clf, X)


def test_predict_reads_grey_images_of_few_levels(run, tmp_path):
    X, _ = load_digits(return_X_y=True)
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, X, strict=False):
        Image.fromarray(np.rint(image.reshape(8, 8) * 255 / 16).astype(np.uint8)).save(path)
    assert_predicts(run("predict", "digits", *paths), paths, load_pretrained("digits"), X[:5])


def test_sample_draws_a_picture(run, colours):
    pytest.importorskip("matplotlib")
    pictures = [colours / f"{number}.png" for number in range(3)]
    for path, seed in zip(pictures, (1, 1, 2), strict=True):
        assert (
            run("sample", colours / "model", "--n", "2", "--seed", seed, "--out", path) == f"wrote {path}\n"
        )
    first, again, other = (np.asarray(Image.open(path)) for path in pictures)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "info digitz",
            "MODEL must be a model file or a pretrained model (cpen455, cpen455-24x24, digits), got 'digitz'",
        ),
        ("info {colours}", "Is a directory"),
        ("info {colours}/red.png", "red.png is no model file of gencls"),
        ("info digits --device abacus", "'device' of GenerativeBayesClassifier must be"),
        ("predict digits {colours}/model", "model"),
        ("predict digits missing.png", "missing.png"),
        ("predict digits", "the following arguments are required: IMAGE"),
        ("sample digits --out samples.txt", "must end with .pdf or .png or .svg, got 'samples.txt'"),
        ("sample digits --out missing/samples.png", "must be in a folder that is there"),
        ("sample digits --n 0 --out samples.png", "must be a whole number of at least 1, got '0'"),
        ("sample digits --seed -1 --out samples.png", "must be a whole number from 0 to 2**32 - 1, got '-1'"),
        ("sample digits --seed 4294967296 --out samples.png", "from 0 to 2**32 - 1, got '4294967296'"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_mistakes_are_told(words, message, fails, colours):
    assert message in fails(*words.format(colours=colours).split())


def test_two_channels_are_no_image_file(fails, colours, tmp_path):
    X = np.arange(4 * 4 * 2).reshape(4, 2, 2, 2)
    clf = GenerativeBayesClassifier(n_filters=2, n_mixtures=1, max_epochs=1).fit(X, [0, 1, 0, 1])
    clf.save(tmp_path / "model")
    assert "images with 2 channels" in fails("predict", tmp_path / "model", colours / "red.png")
