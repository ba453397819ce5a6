"""The command line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from small import PLAIN

from gencls import GenerativeBayesClassifier, cli, list_conditioners, list_pretrained, load_pretrained
from gencls.cli import main

TINY = PLAIN | {"n_filters": 2, "n_mixtures": 1, "max_epochs": 1}


@pytest.fixture
def run(capsys):
    """Run a command that succeeds, and return its output."""

    def run(*words):
        assert main([*map(str, words)]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def fails(capsys):
    """Run a command that fails, and return its error message."""

    def fails(*words):
        try:
            status: Any = main([*map(str, words)])
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
        **PLAIN | {"lr": 0.01},
        channel_axis=1,
        pixel_range=(-10, 245),
        n_filters=4,
        n_mixtures=1,
        max_epochs=5,
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


def test_images_of_any_size_are_reduced_and_views_are_used(run, tmp_path):
    X = np.random.RandomState(0).randint(256, size=(8, 6, 6), dtype=np.uint8)
    clf = GenerativeBayesClassifier(**TINY | {"resolution": 3, "views": "six-crops"}, random_state=0)
    clf.fit(X, np.tile([0, 1], 4)).save(tmp_path / "model")
    larger = np.random.RandomState(1).randint(256, size=(2, 9, 20), dtype=np.uint8)
    paths = [tmp_path / f"{position}.png" for position in range(2)]
    for path, image in zip(paths, larger, strict=True):
        Image.fromarray(image).save(path)
    assert_predicts(run("predict", tmp_path / "model", *paths), paths, clf, larger)


def test_info(run, colours):
    printed = run("info", colours / "model")
    for line in ("classes: blue, green, red", "epochs: 5", "conditioner: mild", "card.made by: a test"):
        assert f"{line}\n" in printed
    assert "images: (3, 2, 4), 256 levels from -10 to 245\n" in printed
    assert "card.licence: data CC BY 4.0, model BSD-3-Clause\n" in run("info", "digits")


def test_the_entries_of_a_card_are_prefixed_and_limited(run, colours, tmp_path):
    card: dict[str, Any] = {
        "classes": "cats",
        "a\nepochs": "9\nweights: 3",
        "\x1b[2J": "\x1b]0;title\x07\u202e",
        "long": "é" * 10**6,
    }
    card |= {"deep": [[[[[[[[[["end"]]]]]]]]]], "many": list(range(10**5)), "k" * 10**6: 1}
    card |= {f"entry {number}": number for number in range(100)}
    GenerativeBayesClassifier.load(colours / "model").save(tmp_path / "model", card=card)
    lines = run("info", tmp_path / "model").splitlines()
    names = [line.split(":")[0] for line in lines]
    assert names[:6] == ["classes", "images", "conditioner", "weights", "epochs", "card.classes"]
    assert names.count("classes") == names.count("epochs") == names.count("weights") == 1
    assert lines[0] == "classes: blue, green, red"
    assert r"card.\x1b[2J: \x1b]0;title\x07\u202e" in lines[7].replace("\\\\", "\\")
    assert lines[-1] == "card: 57 more entries"
    assert max(map(len, lines)) < 1300
    assert all(line.isprintable() for line in lines)


def assert_predicts(printed, paths, clf, X):
    rows = [line.split("\t") for line in printed.splitlines()]
    assert [row[0] for row in rows] == [str(path) for path in paths]
    assert [row[1] for row in rows] == [str(label) for label in clf.predict(X)]
    assert [float(row[2]) for row in rows] == pytest.approx(clf.predict_proba(X).max(axis=1), abs=1e-4)


def test_predict_converts_colours_to_the_layout_and_range_of_the_model(run, colours):
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


def test_a_model_that_reduces_images(run, colours, tmp_path):
    X = np.random.RandomState(0).randint(256, size=(6, 8, 12, 3)).astype(np.uint8)
    clf = GenerativeBayesClassifier(**TINY | {"resolution": (2, 3)}, random_state=0)
    clf.fit(X, [0, 1] * 3).save(tmp_path / "model")
    paths = [tmp_path / f"{i}.png" for i in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    assert "images: (8, 12, 3) reduced to (2, 3), 256 levels" in run("info", tmp_path / "model")
    assert_predicts(run("predict", tmp_path / "model", *paths), paths, clf, X)


def test_predict_expands_patterns(run, colours, tmp_path):
    for name in ("10.png", "2.png", "3.txt"):
        (tmp_path / name).write_bytes((colours / "red.png").read_bytes())
    lines = run("predict", colours / "model", tmp_path / "*.png", colours / "blue.png").splitlines()
    paths = [tmp_path / "2.png", tmp_path / "10.png", colours / "blue.png"]
    assert [line.split("\t")[0] for line in lines] == [str(path) for path in paths]


def test_a_pattern_without_matches_is_an_error(fails, colours, tmp_path):
    assert "*.png' cannot be read as an image" in fails("predict", colours / "model", tmp_path / "*.png")


def test_predict_can_skip_unreadable_images(colours, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"no image")
    paths = [colours / "red.png", tmp_path / "a.png", tmp_path / "absent\x1b.png", colours / "blue.png"]
    words = ["predict", str(colours / "model"), *map(str, paths)]
    assert main(words) == 2
    assert "2 of the 4 images cannot be read" in capsys.readouterr().err
    assert main([*words, "--on-error", "skip"]) == 0
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == [str(paths[0]), str(paths[3])]
    assert [line.split(": ")[:2] for line in printed.err.splitlines()] == [["gencls", "skipped"]] * 2
    assert r"absent\x1b.png" in printed.err
    assert main(["predict", str(colours / "model"), str(paths[1]), "--on-error", "skip"]) == 2


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
        ("info {colours}", "it is a folder"),
        ("info {colours}/red.png", "red.png is not a model file of gencls"),
        ("info digits --device abacus", "'device' of GenerativeBayesClassifier must be"),
        ("predict digits {colours}/model", "model"),
        ("predict digits missing.png", "missing.png"),
        ("predict digits", "the following arguments are required: IMAGE"),
        ("sample digits --out samples.txt", "must end with .pdf or .png or .svg, got 'samples.txt'"),
        ("sample digits --out missing/samples.png", "must be in an existing folder"),
        ("sample digits --n 0 --out samples.png", "must be a whole number from 1 to 1000, got '0'"),
        ("sample digits --n 1001 --out samples.png", "must be a whole number from 1 to 1000, got '1001'"),
        ("sample digits --seed -1 --out samples.png", "must be a whole number from 0 to 2**32 - 1, got '-1'"),
        ("sample digits --seed 4294967296 --out samples.png", "from 0 to 2**32 - 1, got '4294967296'"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_mistakes_are_reported(words, message, fails, colours):
    assert message in fails(*words.format(colours=colours).split())


# Streams


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """A model file with class names in several scripts, one of them with an escape sequence."""
    path = tmp_path_factory.mktemp("scripts") / "model"
    X = np.arange(6 * 4).reshape(6, 2, 2) % 4
    clf = GenerativeBayesClassifier(**TINY)
    clf.fit(X, np.array(["猫", "собака", "eel\x1b[2J"]).repeat(2)).save(path)
    return path


@pytest.mark.parametrize(
    ("encoding", "cat"), [("utf-8", "猫"), ("cp1252", r"\u732b"), ("ascii", r"\u732b"), ("gbk", "猫")]
)
def test_every_encoding_is_supported(encoding, cat, scripts, tmp_path, monkeypatch):
    path = tmp_path / "猫\x1b[31m\udcff.png"
    Image.new("L", (2, 2)).save(path)
    monkeypatch.chdir(tmp_path)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, errors="strict") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main(["info", str(scripts)]) == 0
    assert main(["predict", str(scripts), path.name]) == 0
    assert main(["predict", str(scripts), f"absent {path.name}"]) == 2
    printed, told = (stream.buffer.getvalue().decode(encoding) for stream in (out, err))
    assert "classes: eel\\x1b[2J, " in printed
    assert cat in printed
    assert f"{cat}\\x1b[31m\\udcff.png\t" in printed.splitlines()[-1]
    assert f"absent {cat}" in told
    assert "\x1b" not in printed + told
    assert out.errors == err.errors == "strict"


def test_control_characters_of_arguments_are_not_printed(fails, tmp_path):
    assert r"\x1b[31m" in fails("list", "--\x1b[31m")
    assert r"\x1b[31m" in fails("info", "\x1b[31m")
    assert r"\x1b[31m" in fails("sample", "digits", "--out", "\x1b[31m.png/a.png")
    assert r"\x1b[31m" in fails("sample", "digits", "--out", tmp_path / "a.png", "--n", "\x1b[31m")
    (tmp_path / "\x1b[31m").write_bytes(b"no model")
    assert r"\x1b[31m" in fails("info", tmp_path / "\x1b[31m")
    assert len(fails("info", "x" * 10**6)) < 1100
    assert len(fails("list", "x" * 10**6)) < 2000


@pytest.fixture
def closed_pipe():
    """A stream whose reader is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:
        yield stream


@pytest.mark.parametrize(
    "command", ["list", "info {model}", "predict {model} {image}", "--help", "sample --help"]
)
def test_a_closed_pipe_is_no_error(command, closed_pipe, colours, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", closed_pipe)
    words = command.format(model=colours / "model", image=colours / "red.png").split()
    assert main(words) == 0
    closed_pipe.flush()  # as Python does when it ends
    assert capsys.readouterr().err == ""


def test_a_closed_pipe_is_no_error_for_the_process():
    with subprocess.Popen(
        [sys.executable, "-m", "gencls", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_disk_is_reported(monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["list"]) == 2
        full.flush()
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_may_be_missing(closed, monkeypatch):
    monkeypatch.setattr(sys, closed, None)
    assert main(["list"]) == 0
    assert main(["info", "missing"]) == 2


def test_the_exit_status_of_an_error_without_a_reader(closed_pipe, monkeypatch):
    monkeypatch.setattr(sys, "stdout", closed_pipe)
    monkeypatch.setattr(sys, "stderr", closed_pipe)
    assert main(["info", "missing"]) == 2
    with pytest.raises(SystemExit, match="2"):
        main(["sample", "digits", "--n", "none"])


def test_warnings_have_the_format_of_errors(monkeypatch, capsys):
    def warn():
        warnings.warn("of \x1b[31m\nmuch" + "!" * 10**6, UserWarning, stacklevel=2)
        return ["digits"]

    monkeypatch.setattr(cli, "list_pretrained", warn)
    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["list"]) == 0
    assert warnings.showwarning is shown
    told = capsys.readouterr().err.splitlines()
    assert told[0] == r"gencls: warning: of \x1b[31m"
    assert len(told[1]) == 1000


def test_an_interruption_ends_quietly(monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "list_pretrained", interrupt)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == ""


# Files


def test_the_home_of_the_user(run, fails, colours, monkeypatch):
    monkeypatch.setenv("HOME", str(colours))
    monkeypatch.setenv("USERPROFILE", str(colours))
    assert run("predict", "~/model", "~/red.png").startswith(str(colours / "red.png"))
    assert "must be in an existing folder" in fails("sample", "digits", "--out", "~/missing/a.png")


def test_names_of_classes_are_no_formulas(run, tmp_path):
    pytest.importorskip("matplotlib")
    clf = GenerativeBayesClassifier(**TINY)
    clf.fit(np.arange(16).reshape(4, 2, 2) % 4, ["$\\frac{$", "$5", "$\\frac{$", "$5"]).save(
        tmp_path / "model"
    )
    assert run("sample", tmp_path / "model", "--n", 1, "--out", tmp_path / "a.png").startswith("wrote ")


@pytest.mark.parametrize("error", [KeyboardInterrupt, PermissionError(13, "Permission denied")])
def test_a_picture_is_written_whole_or_not_at_all(error, colours, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    out = tmp_path / "picture.png"
    out.write_bytes(b"old")

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("gencls.cli.SampleGridDisplay.from_estimator", fail)
    assert main(["sample", str(colours / "model"), "--out", str(out)]) in (2, 130)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("picture.png", b"old")]


def test_a_picture_keeps_links_and_permissions(run, colours, tmp_path):
    pytest.importorskip("matplotlib")
    out, link = tmp_path / "picture.PNG", tmp_path / "link.png"
    out.touch(mode=0o640)
    out.chmod(0o640)
    link.symlink_to(out)
    run("sample", colours / "model", "--n", 1, "--out", link)
    assert link.is_symlink()
    with Image.open(link) as picture:
        assert picture.format == "PNG"
    assert out.stat().st_mode & 0o777 == 0o640
    assert len(list(tmp_path.iterdir())) == 2


def test_a_read_only_folder_is_reported_before_sampling(fails, tmp_path, monkeypatch):
    open_file = os.open

    def refuse(path, *arguments, **options):
        if Path(path).parent == tmp_path:
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(cli, "load_pretrained", None)
    out = tmp_path / "picture.png"
    assert f"{out} cannot be written (Permission denied)" in fails("sample", "digits", "--out", out)
    (tmp_path / "folder.png").mkdir()
    assert "must not be a folder" in fails("sample", "digits", "--out", tmp_path / "folder.png")


def test_models_of_two_channels_do_not_read_image_files(fails, colours, tmp_path):
    X = np.arange(4 * 4 * 2).reshape(4, 2, 2, 2)
    clf = GenerativeBayesClassifier(**TINY).fit(X, [0, 1, 0, 1])
    clf.save(tmp_path / "model")
    assert "images with 2 channels" in fails("predict", tmp_path / "model", colours / "red.png")
