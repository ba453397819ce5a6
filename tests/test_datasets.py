"""The loaders of data sets, and errors about invalid folders and tables."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import re
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from gencls._common.ordering import natural_key
from gencls.datasets import cpen455 as _cpen455
from gencls.datasets import fetch_cpen455, load_image_csv, load_image_folder
from gencls.datasets import remote as _remote
from gencls.datasets.delimited import DELIMITERS
from gencls.datasets.folders import EXTENSIONS
from gencls.datasets.remote import RemoteFolder, checksum, fetch
from gencls.errors import DataSetError, ImageFileError, InvalidParameterError, SkippedFilesWarning

REAL = Path(os.environ.get("GENCLS_CPEN455") or Path(__file__).parents[2] / "shared" / "cpen455")
COLOURS = {"apple": (200, 0, 0), "pear": (0, 200, 0), "plum": (0, 0, 200)}


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv("GENCLS_CPEN455", raising=False)


def save(path: Path, colour: tuple[int, int, int] = (9, 9, 9)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), colour).save(path)
    return path


@contextmanager
def raises(error, *words):
    """Check the type of an error, and that its message has certain words."""
    with pytest.raises(error) as caught:
        yield caught
    assert [word for word in words if word not in str(caught.value)] == []


# A folder for each class


@pytest.fixture
def fruits(tmp_path):
    folder = tmp_path / "fruits"
    for name, colour in COLOURS.items():
        for index in (2, 10, 1):
            save(folder / name / f"{index}.png", colour)
    return folder


def test_folder(fruits):
    bunch = load_image_folder(fruits, size=4)
    assert bunch.data.shape == (9, 4, 4, 3)
    assert bunch.data.dtype == np.uint8
    assert bunch.target.dtype == np.int64
    assert bunch.target.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert bunch.target_names == ["apple", "pear", "plum"]
    names = [f"{name}/{index}.png" for name in COLOURS for index in (1, 2, 10)]
    assert bunch.filenames.tolist() == [str(fruits / name) for name in names]
    assert bunch.skipped == {}
    assert bunch.DESCR.startswith("9 images of 3 classes, from the sub-folders of ")
    for image, code in zip(bunch.data, bunch.target, strict=True):
        assert (image == COLOURS[bunch.target_names[code]]).all()


def test_folder_passes_its_options_on(fruits):
    data, target = load_image_folder(str(fruits), size=(2, 3), mode="L", return_X_y=True, n_jobs=2)
    assert data.shape == (9, 2, 3)
    assert target.shape == (9,)
    assert load_image_folder(fruits, size=None).data.shape == (9, 10, 12, 3)
    with pytest.raises(ImageFileError, match="9 of the 9 images cannot be read"):
        load_image_folder(fruits, max_pixels=119)


def test_folder_skips_hidden_files_and_files_of_systems(fruits):
    before = load_image_folder(fruits, size=4)
    for name in (
        ".hidden/a.png",
        "__MACOSX/pear/a.png",
        "pear/.a.png",
        "pear/@eaDir/a.png",
        "pear/.git/a.png",
    ):
        save(fruits / name)
    for name in ("pear/Thumbs.db", "desktop.ini", "pear/.DS_Store", ".DS_Store", "notes.txt"):
        (fruits / name).write_text("no image")
    after = load_image_folder(fruits, size=4)
    assert after.filenames.tolist() == before.filenames.tolist()
    assert after.target_names == before.target_names


def test_folder_reads_the_folders_within_a_class(fruits):
    for name in (
        "pear/inner.png/2.png",
        "pear/b/10/a.png",
        "pear/b/9/a.png",
        "plum/" + 40 * "deep/" + "a.png",
    ):
        save(fruits / name)
    bunch = load_image_folder(fruits, size=2)
    pears = [
        Path(name).relative_to(fruits / "pear").as_posix() for name in bunch.filenames[bunch.target == 1]
    ]
    assert pears == ["1.png", "2.png", "10.png", "b/9/a.png", "b/10/a.png", "inner.png/2.png"]
    assert np.bincount(bunch.target).tolist() == [3, 6, 4]


@pytest.mark.parametrize("ending", EXTENSIONS)
def test_folder_reads_every_format(fruits, ending):
    formats = {".avif": "AVIF", ".jp2": "JPEG2000", ".mpo": "JPEG", ".jfif": "JPEG", ".apng": "PNG"}
    formats |= dict.fromkeys((".j2c", ".j2k", ".jpc", ".jpf", ".jpx"), "JPEG2000")
    formats |= dict.fromkeys((".pbm", ".pnm"), "PPM")
    path = fruits / "pear" / f"a{ending.upper()}"
    Image.new("1" if ending == ".pbm" else "RGB", (12, 10)).convert("RGB").save(path, formats.get(ending))
    assert str(path) in load_image_folder(fruits, size=2).filenames


def test_folder_counts_skipped_files(fruits):
    for name in ("a.heic", "b.HEIC", "c", "d.t\x1bt", "inner/e.heic"):
        (fruits / "pear" / name).parent.mkdir(exist_ok=True)
        (fruits / "pear" / name).write_bytes(b"?")
    save(fruits / "lost.jpg")
    with pytest.warns(SkippedFilesWarning) as told:
        bunch = load_image_folder(fruits, size=2)
    (message,) = [str(each.message) for each in told]
    assert "5 files were skipped" in message
    assert r"3 .heic, 1 without an extension, 1 .t\x1bt." in message
    assert "1 images outside the sub-folders were skipped: 1 .jpg." in message
    assert told[0].filename == __file__
    assert len(bunch.data) == 9
    (fruits / "lost.jpg").unlink()
    assert len(load_image_folder(fruits, size=2, extensions=[".png"]).data) == 9


def test_warnings_about_many_files_are_short(fruits):
    for number in range(300):
        (fruits / "pear" / f"{number}.{number}{'x' * 200}").touch()
    with pytest.warns(SkippedFilesWarning, match="300 files .* 290 more extensions") as told:
        load_image_folder(fruits, size=2)
    assert len(str(told[0].message)) < 4000


def test_folder_follows_links_except_circular_ones(fruits, tmp_path):
    save(tmp_path / "elsewhere" / "melon" / "a.png")
    save(tmp_path / "more" / "deep" / "b.png")
    links = {
        "melon": tmp_path / "elsewhere" / "melon",
        "all": fruits,
        "above": tmp_path,
        "pear/up": fruits,
        "pear/top": tmp_path,
        "pear/here": fruits / "pear",
        "pear/more": tmp_path / "more",
        "pear/twice": tmp_path / "more",
        "pear/itself": fruits / "pear" / "itself",
    }
    for name, target in links.items():
        (fruits / name).symlink_to(target, target_is_directory=True)
    (tmp_path / "more" / "deep" / "back").symlink_to(tmp_path / "more", target_is_directory=True)
    with pytest.warns(SkippedFilesWarning, match="1 without an extension"):  # the link to itself
        bunch = load_image_folder(fruits, size=2)
    assert bunch.target_names == ["apple", "melon", "pear", "plum"]
    assert np.bincount(bunch.target).tolist() == [3, 1, 4, 3]


@pytest.mark.parametrize(
    "names", [range(12), ("img2", "Img10", "img10"), ("-10", "-2", "0", "2.5", "10", "b")]
)
def test_both_loaders_have_one_order(tmp_path, names):
    names = [str(name) for name in names]
    for name in names:
        save(tmp_path / "data" / name / "a.png")
    rows = [f"{name}/a.png,{name}\n" for name in reversed(names)]
    (tmp_path / "table.csv").write_text("".join(rows))
    by_folder = load_image_folder(tmp_path / "data", size=2).target_names
    assert by_folder == load_image_csv(tmp_path / "table.csv", root=tmp_path / "data", size=2).target_names
    assert by_folder == sorted(names, key=natural_key)


def test_the_natural_order():
    names = [
        "−10",
        "-2",
        "-02",
        "0",
        "00",
        ".25",
        "0.5",
        "1.",
        "٣",
        "3.25",
        "3.5",
        "10",
        "1" * 5000,
        "2 b",
        "10 a",
        "A10",
        "B",
        "a",
    ]
    names += ["a-2", "a2", "a02b", "a2b", "a٣", "a10", "b", "ба", "é", "e\u0301f", "猫2", "猫10", "\udcff"]
    shuffled = [names[index] for index in np.random.RandomState(0).permutation(len(names))]
    assert len({natural_key(name) for name in names}) == len(names)
    by_value = sorted(shuffled, key=natural_key)
    assert by_value == sorted(names, key=natural_key)
    for chain in (
        [
            "−10",
            "-2",
            "0",
            ".25",
            "0.5",
            "1.",
            "٣",
            "3.25",
            "3.5",
            "10",
            "1" * 5000,
            "2 b",
            "10 a",
            "A10",
            "B",
            "a",
            "a2",
        ],
        ["a2b", "a٣", "a10", "b", "é", "e\u0301f"],
        ["猫2", "猫10"],
    ):
        assert [name for name in by_value if name in chain] == chain


def test_folder_reads_the_requested_classes_and_extensions(fruits):
    bunch = load_image_folder(fruits, size=2, classes=["plum", "apple"])
    assert bunch.target_names == ["plum", "apple"]
    assert bunch.filenames[0] == str(fruits / "plum" / "1.png")
    assert bunch.target.tolist() == [0, 0, 0, 1, 1, 1]
    for name in COLOURS:
        save(fruits / name / "0.BMP")
    assert len(load_image_folder(fruits, size=2).data) == 12
    assert len(load_image_folder(fruits, size=2, extensions=[".bmp"]).data) == 3
    assert len(load_image_folder(fruits, size=2, extensions=[".PNG"]).data) == 9
    classes, extensions = np.array(["plum", "pear"]), np.array([".bmp", ".gif"])
    some = load_image_folder(fruits, size=2, classes=classes, extensions=extensions)  # type: ignore[arg-type]
    assert (len(some.data), some.target_names) == (2, ["plum", "pear"])


def test_folder_without_images(fruits, tmp_path):
    missing = tmp_path / "missing"
    with raises(DataSetError, repr(str(missing)), "does not exist"):
        load_image_folder(missing)
    missing.mkdir()
    with raises(DataSetError, repr(str(missing)), "sub-folder", "Got none", "load_image_csv"):
        load_image_folder(missing)
    with raises(DataSetError, "must be a folder, but is a file"):
        load_image_folder(fruits / "pear" / "1.png")
    with raises(DataSetError, repr(str(fruits)), "'aple'", "'.'", "['apple', 'pear', 'plum']", "classes"):
        load_image_folder(fruits, classes=["aple", "plum", "."])
    (fruits / "quince").mkdir()
    (fruits / "quince" / "a.heic").touch()
    with raises(DataSetError, "'.png'", "- 'quince'", "1 .heic", "extensions"):
        load_image_folder(fruits, extensions=[".png"])


def test_folder_of_a_single_class_is_detected(fruits):
    with raises(DataSetError, "Got 3 images and no sub-folder", repr(str(fruits))):
        load_image_folder(fruits / "pear")
    save(fruits / "pear" / "sort" / "a.png")
    with pytest.warns(SkippedFilesWarning, match="3 images outside the sub-folders"):
        assert load_image_folder(fruits / "pear", size=2).target_names == ["sort"]


@pytest.mark.parametrize("names", [("train", "val"), ("archive",), ("a", "b"), ("archive/inner/train",)])
def test_parent_of_class_folders_is_detected(tmp_path, names):
    for name in names:
        for label in ("cat", "dog"):
            save(tmp_path / name / label / "a.png")
    with pytest.raises(DataSetError) as caught:
        load_image_folder(tmp_path)
    advice = re.search("If 'cat' is a class, pass the folder '(.*?)'", str(caught.value))
    assert advice
    advised = advice[1]
    assert advised == str(tmp_path / names[0])
    assert load_image_folder(advised, size=2).target_names == ["cat", "dog"]
    classes = [name.split("/")[0] for name in names]
    assert f"classes={classes}" in str(caught.value)
    assert load_image_folder(tmp_path, size=2, classes=classes).target_names == classes


def test_subsets_of_a_data_set_are_not_classes(tmp_path):
    for name in ("Train/cat/a.png", "Train/dog/a.png", "test/1.png"):
        save(tmp_path / name)
    with raises(DataSetError, f"the folder {str(tmp_path / 'Train')!r}"):
        load_image_folder(tmp_path)
    save(tmp_path / "flat" / "train" / "1.png")
    with raises(DataSetError, "subsets of a data set", "classes=['train']"):
        load_image_folder(tmp_path / "flat")
    for name in ("test1", "val2017", "test-images"):
        save(tmp_path / "flat" / name / "1.png")
    with raises(DataSetError, "subsets of a data set"):
        load_image_folder(tmp_path / "flat")
    for name in ("test positive/1.png", "test negative/1.png", "1/1.png"):
        save(tmp_path / "classes" / name)
    assert len(load_image_folder(tmp_path / "classes", size=2).target_names) == 3


def test_subset_names_among_other_folders_are_classes(tmp_path):
    save(tmp_path / "flat" / "train" / "1.png")
    save(tmp_path / "flat" / "other" / "1.png")
    assert load_image_folder(tmp_path / "flat", size=2).target_names == ["other", "train"]


@pytest.mark.parametrize("name", ["fruits", "pear"])
def test_unreadable_folders_are_named(fruits, monkeypatch, name):
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with raises(DataSetError, f"{name}' cannot be read", "Permission denied"):
        load_image_folder(fruits)


def test_paths_may_begin_at_home(fruits, table, monkeypatch):
    monkeypatch.setenv("HOME", str(fruits.parent))
    monkeypatch.setenv("USERPROFILE", str(fruits.parent))
    assert len(load_image_folder("~/fruits", size=2).data) == 9
    table("pear/1.png,a\n")
    assert len(load_image_csv(Path("~", "table.csv"), root="~/fruits", size=2).data) == 1


# Images that cannot be read


@pytest.fixture
def damaged(fruits, table):
    """The folder with two damaged images, and a table that lists it, and one file that is not there."""
    for name in ("pear/1.png", "plum/10.png"):
        (fruits / name).write_bytes((fruits / name).read_bytes()[:-30])
    files = sorted(fruits.rglob("*.png"))
    rows = [f"{file.relative_to(fruits).as_posix()},{file.parent.name}\n" for file in files]
    return table("".join(["path,label\n", *rows, "absent.png,plum\n"]))


def test_unreadable_images_can_be_skipped(fruits, damaged):
    broken = [str(fruits / name) for name in ("pear/1.png", "plum/10.png")]
    with pytest.warns(
        SkippedFilesWarning, match=r"^2 of the 9 images cannot be read:\n(.*\n){2}They were skipped"
    ):
        bunch = load_image_folder(fruits, size=2, on_error="skip")
    assert list(bunch.skipped) == broken
    assert all("cannot be read" in message for message in bunch.skipped.values())
    assert bunch.target.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert not set(broken) & set(bunch.filenames)
    for name, image, code in zip(bunch.filenames, bunch.data, bunch.target, strict=True):
        assert Path(name).parent.name == bunch.target_names[code]
        assert (image == COLOURS[bunch.target_names[code]]).all()
    with pytest.warns(SkippedFilesWarning) as told:
        data, target = load_image_csv(damaged, root=fruits, size=2, on_error="skip", return_X_y=True)
    assert told[0].filename == __file__
    assert data.shape == (7, 2, 2, 3)
    assert np.bincount(target).tolist() == [3, 2, 2]
    with pytest.warns(SkippedFilesWarning):
        skipped = load_image_csv(damaged, root=fruits, size=2, on_error="skip").skipped
    assert list(skipped) == [*broken, str(fruits / "absent.png")]


def test_unreadable_images_are_listed_by_the_error(fruits, damaged):
    with pytest.raises(ImageFileError) as caught:
        load_image_folder(fruits, size=2)
    assert caught.value.sources == [fruits / "pear" / "1.png", fruits / "plum" / "10.png"]
    with pytest.raises(DataSetError) as of_rows:
        load_image_csv(damaged, root=fruits)
    assert of_rows.value.rows == [11]
    assert of_rows.value.messages == [f"there is no file 'absent.png' in {str(fruits)!r}"]
    copied = pickle.loads(pickle.dumps(of_rows.value))
    assert (copied.rows, str(copied)) == (of_rows.value.rows, str(of_rows.value))


def test_classes_without_readable_images_are_named(fruits):
    for path in (fruits / "pear").iterdir():
        path.write_bytes(b"?")
    with pytest.warns(SkippedFilesWarning, match=r"No images are left of \['pear'\]"):
        bunch = load_image_folder(fruits, size=2, on_error="skip")
    assert bunch.target_names == ["apple", "pear", "plum"]
    assert set(bunch.target) == {0, 2}
    for path in fruits.rglob("*.png"):
        path.write_bytes(b"?")
    with pytest.raises(ImageFileError, match="9 of the 9 images cannot be read"):
        load_image_folder(fruits, size=2, on_error="skip")


def test_folder_with_a_broken_image(fruits):
    broken = fruits / "pear" / "3.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageFileError, match=f"^{re.escape(repr(str(broken)))} cannot be read as an image: "):
        load_image_folder(fruits)


def test_folder_reports_all_wrong_parameters_together(fruits):
    with pytest.raises(InvalidParameterError) as caught:
        load_image_folder(3, size=-1, classes=["a", "a"], extensions="png", return_X_y="yes", n_jobs=0)  # type: ignore[arg-type]
    for name in ("path", "size", "classes", "extensions", "return_X_y", "n_jobs"):
        assert f"{name!r} of load_image_folder must be " in str(caught.value)
    mistakes: tuple[dict[str, Any], ...] = (
        {"classes": "pear"},
        {"classes": []},
        {"extensions": ["png"]},
        {"extensions": []},
        {"on_error": "ignore"},
        {"value_range": 3},
    )
    for wrong in mistakes:
        with pytest.raises(InvalidParameterError):
            load_image_folder(fruits, **wrong)


# A table


@pytest.fixture
def table(fruits):
    """A table beside the folder of fruits."""

    def write(text: str, encoding: str = "utf-8") -> Path:
        path = fruits.parent / "table.csv"
        path.write_text(text, encoding=encoding, newline="")
        return path

    return write


@pytest.mark.parametrize("header", ["", "path,label\n", "Filename,class\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv(table, fruits, header, encoding, end):
    text = header + 'fruits/plum/1.png,plum\n\nfruits/apple/2.png," red, äpple"\nfruits/plum/10.png,plum\n'
    bunch = load_image_csv(table(text.replace("\n", end), encoding), size=4)
    assert bunch.target_names == ["plum", "red, äpple"]
    assert bunch.target.tolist() == [0, 1, 0]
    assert bunch.target.dtype == np.int64
    names = ["plum/1.png", "apple/2.png", "plum/10.png"]
    assert bunch.filenames.tolist() == [str(fruits / name) for name in names]
    assert bunch.data.shape == (3, 4, 4, 3)
    assert (bunch.data[1] == COLOURS["apple"]).all()
    assert bunch.DESCR.startswith("3 images of 2 classes, from the table ")


def test_csv_with_numbers_for_labels_has_them_in_order(table):
    rows = [f"fruits/plum/1.png,{label}\n" for label in (10, 2, 1, 0, 3, 4, 5, 6, 7, 8, 9)]
    bunch = load_image_csv(table("".join(rows)), size=2)
    assert bunch.target_names == [str(label) for label in range(11)]
    assert bunch.target.tolist() == [10, 2, 1, 0, 3, 4, 5, 6, 7, 8, 9]


def test_csv_root_and_other_options(table, fruits):
    path = table("plum/1.png,a\nplum/2.png,b\n")
    data, target = load_image_csv(path, root=fruits, size=None, mode="L", return_X_y=True)
    assert data.shape == (2, 10, 12)
    assert target.tolist() == [0, 1]


def test_csv_header_follows_the_parameter(table, fruits):
    path = table("plum/1.png,a\nplum/2.png,b\n")
    assert load_image_csv(path, root=fruits, size=2, header=True).target_names == ["b"]
    assert load_image_csv(path, root=fruits, size=2, header=False).target_names == ["a", "b"]
    save(fruits / "plum.png").rename(fruits / "image")
    assert load_image_csv(table("image,a\nplum/2.png,b\n"), root=fruits, size=2).target_names == ["a", "b"]


ONE, TWO = "fruits/plum/1.png", "fruits/pear/2.png"


def labels_of(path, **options):
    """The labels of the rows of a table."""
    bunch = load_image_csv(path, size=2, **options)
    return [bunch.target_names[code] for code in bunch.target]


@pytest.mark.parametrize(
    "text",
    [
        f'"path", "label"\n"{ONE}", "cat"\n"{TWO}","dog"',
        f'path , label\n{ONE} , cat \n\t"{TWO}" , "dog" \n',
        f'# made by hand, "today\n\n{ONE},cat\n  # {TWO},cat\n,\n , ,\n{TWO},dog\n# end',
        f"sep=,\n{ONE},cat\n{TWO},dog",
        f'"SEP=,"\n{ONE},cat\n{TWO},dog',
        f"{ONE},cat,\n{TWO},dog,,",
        f",path,label\n0,{ONE},cat\n1,{TWO},dog\n",
        f"Label,Width,File Name\ncat,9,{ONE}\ndog,9,{TWO}\n",
        f"class,path\ncat,{ONE}\ndog,{TWO}\n",
        f"path,label,note\n{ONE},cat\n{TWO},dog,x,\n",
        "fruits\\plum\\1.png,cat\n.\\fruits/pear\\2.png,dog\n",
        f"./{ONE},cat\nfruits/plum/../pear/2.png,dog",
        f"{ONE},cat\r{TWO},dog\r",
        f"{ONE},cat\r\n\r\n{TWO},dog\r\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_variants(table, text, encoding):
    assert labels_of(table(text, encoding)) == ["cat", "dog"]


def test_csv_several_spaces_are_one_delimiter(table):
    rows = f'path   label\n {ONE}  cat\n{TWO} \t "a  dog"  \n'
    assert labels_of(table(rows), delimiter=" ") == ["cat", "a  dog"]
    with raises(DataSetError, "delimiter=' '"):
        load_image_csv(table(rows))


def test_csv_labels_are_not_modified(table):
    labels = [
        "red, ripe",
        "a;b",
        "a\tb",
        "a|b",
        'say "yes"',
        "'quoted'",
        "“so”",
        "two\nlines",
        "#1",
        "007",
        "1.0",
        '5"',
    ]
    rows = ['{},"{}"\n'.format(ONE, label.replace('"', '""')) for label in labels]
    assert labels_of(table("".join(rows))) == labels
    for delimiter in DELIMITERS:
        rows = [row.replace(f"{ONE},", f"{ONE}{delimiter}") for row in rows]
        assert labels_of(table("".join(rows)), delimiter=delimiter) == labels
        rows = [row.replace(f"{ONE}{delimiter}", f"{ONE},") for row in rows]
    for label in ('5" pipe', "a;b", "C#", "'s", "it's", "a'b'"):
        assert labels_of(table(f"{ONE},{label}\n")) == [label]


@pytest.mark.parametrize(
    "name", ["a,b.png", " a.png", "a\\b.png", "#1.png", "'a'.png", "1:30.png", "image", "ä.png"]
)
def test_csv_names_of_files_are_not_modified(table, fruits, name):
    save(fruits.parent / "a.png").rename(fruits.parent / name)
    path = table(f'{ONE},cat\n"{name}",dog\n')
    assert load_image_csv(path, size=2).filenames[1] == str(fruits.parent / name)
    if "," not in name and " " not in name:
        assert labels_of(table(f"{name},dog\n{ONE},cat\n")) == ["dog", "cat"]


@pytest.mark.parametrize(("there", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_csv_accents_may_have_the_encoding_of_other_systems(table, fruits, there, written):
    name = "Äpfel.png"
    save(fruits.parent / normalize(there, name))
    assert labels_of(table(f"{normalize(written, name)},a\n")) == ["a"]


def test_csv_names_a_file_that_differs_in_case(table):
    path = table("fruits/plum/APPLE.PNG,a\n")
    save(path.parent / "fruits" / "plum" / "apple.png")
    with pytest.raises(DataSetError, match=r"no file 'fruits/plum/APPLE\.PNG' in .*, but 'apple\.png'"):
        load_image_csv(path)


@pytest.mark.parametrize(
    "text", ['{"path": "a.png"}', '[\n {"path"', "<!DOCTYPE html>", "<?xml?>", "<table>"]
)
def test_markup_is_refused(table, text):
    with raises(DataSetError, "JSON, HTML or XML", "CSV"):
        load_image_csv(table(text))


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " "])
@pytest.mark.parametrize("header", ["", "path,label\n"])
@pytest.mark.parametrize(("names", "label"), [((ONE, TWO), "a, b"), (("absent/1.png", "absent/2.png"), "a")])
def test_csv_with_a_different_delimiter(table, delimiter, header, names, label):
    rows = "".join(f'{name}{delimiter}"{label}"\n' for name in names)
    path = table(header.replace(",", delimiter) + rows)
    with raises(DataSetError, DELIMITERS[delimiter], "not commas", f"delimiter={delimiter!r}"):
        load_image_csv(path)
    if names[0] == ONE:
        assert labels_of(path, delimiter=delimiter) == [label, label]


def test_invalid_rows_of_csv(table, fruits):
    rows = {
        ONE: ("1 field", repr([ONE]), "header"),
        f"{ONE},a,b": ("3 fields", repr([ONE, "a", "b"]), "header"),
        ",a": ("empty", "remove the row"),
        f"{ONE}, ": ("empty", "remove the row"),
        "fruits/plum/7.png,a": ("no file 'fruits/plum/7.png'", "root"),
        "fruits/plum,a": ("'fruits/plum'", "folder", "root"),
        f"{ONE},‘a’": ("'‘a’'", "double quotes"),
        f"'{ONE}',a": (f"'{ONE}'", "double quotes"),
        "https://example.com/a.png,a": ("'https://example.com/a.png'", "URL", "download"),
        "fruits/plum/1.png/a,a": ("'fruits/plum/1.png/a'", os.strerror(errno.ENOTDIR), "permissions"),
        f"a,{ONE}": ("'a'", repr(ONE), "label,path"),
        "fruits/plum/1,a": ("no file 'fruits/plum/1'", "'1.png'", "root"),
        "fruits/plum/1.PNG,a": ("no file 'fruits/plum/1.PNG'", "'1.png'", "root"),
    }
    for row, words in rows.items():
        path = table(f"# first\n{TWO},a\n\n{row}\n")
        with raises(DataSetError, "1 of the 2 rows", repr(str(path)), "row 4: ", *words) as caught:
            load_image_csv(path)
        assert caught.value.rows == [4]
        (mistake,) = caught.value.messages
        assert words[0] in mistake


def test_csv_rows_are_counted_by_lines(table):
    path = table(
        f'path,label\r\n{ONE},"two\r\nlines"\r\n\r\n{ONE},"a\nb\nc"\r\nabsent.png,"x\ny"\r\n"{ONE}"\r\n'
    )
    with pytest.raises(DataSetError) as caught:
        load_image_csv(path)
    assert caught.value.rows == [8, 10]


@pytest.mark.parametrize("text", ['{0},a\n{0},"b\n{0},c\n', '{0},a\n{0},"b"x\n{0},c\n', '{0},a\n{0},""b""\n'])
def test_unbalanced_quotes_of_csv(table, text):
    path = table(text.format(ONE))
    with raises(DataSetError, "row 2", "double quote") as caught:
        load_image_csv(path)
    assert caught.value.rows == [2]


def test_more_than_two_columns_require_a_header_with_both_names(table):
    tables: tuple[tuple[str, dict[str, Any]], ...]
    tables = ("id,file,size\n", {}), ("a,b,c\n", {"header": True}), ("", {})
    for header, options in tables:
        with raises(DataSetError, "header", "path and label"):
            load_image_csv(table(f"{header}0,{ONE},9\n"), **options)


def test_csv_advises_header_true_if_the_first_row_may_be_a_header(table):
    with raises(DataSetError, "row 1: ", "header=True"):
        load_image_csv(table(f"Bild,Klasse\n{ONE},cat\n"))
    assert labels_of(table(f"Bild,Klasse\n{ONE},cat\n"), header=True) == ["cat"]
    with raises(DataSetError, "row 1: ", "no file 'absent.png'"):
        load_image_csv(table(f"absent.png,image\n{ONE},cat\n"))


@pytest.mark.parametrize(
    "escape",
    [
        "../secret.png",
        "plum/../../secret.png",
        "/secret.png",
        "{above}/secret.png",
        "{root}/../secret.png",
        "C:/secret.png",
        "C:\\secret.png",
        "..\\secret.png",
        "\\secret.png",
        "\\\\server\\secret.png",
        " ../secret.png",
        "{root}-more/secret.png",
    ],
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_csv_paths_may_not_leave_the_root(table, fruits, escape, on_error):
    save(fruits.parent / "secret.png")
    save(fruits.parent / "fruits-more" / "secret.png")
    escape = escape.format(root=fruits.as_posix(), above=fruits.parent.as_posix())
    path = table(f'"{escape}",a\nplum/1.png,b\n')
    with raises(DataSetError, "1 of the 2 rows", "row 1: the path ", "root") as caught:
        load_image_csv(path, root=fruits, on_error=on_error)
    assert caught.value.rows == [1]


def test_csv_dots_behind_a_link_do_not_leave_the_root(table, fruits):
    save(fruits.parent / "elsewhere" / "secret.png")
    (fruits.parent / "elsewhere" / "inner").mkdir()
    (fruits / "link").symlink_to(fruits.parent / "elsewhere" / "inner", target_is_directory=True)
    path = table("link/../secret.png,a\nplum/1.png,b\n")
    with pytest.raises(DataSetError, match=r"row 1: there is no file 'link/\.\./secret\.png'"):
        load_image_csv(path, root=fruits)
    with pytest.warns(SkippedFilesWarning):
        bunch = load_image_csv(path, root=fruits, size=2, on_error="skip")
    assert list(bunch.skipped) == [str(fruits / "secret.png")]


def test_csv_absolute_paths_within_the_root(table, fruits, tmp_path, monkeypatch):
    path = table(f"{fruits.as_posix()}/plum/1.png,a\n")
    link = tmp_path / "link"
    link.symlink_to(fruits.parent, target_is_directory=True)
    for root in (None, fruits, fruits.anchor, link):
        assert labels_of(path, root=root) == ["a"]
    monkeypatch.setenv("HOME", str(fruits))
    monkeypatch.setenv("USERPROFILE", str(fruits))
    assert labels_of(table("~/plum/1.png,a\n"), root=fruits.anchor) == ["a"]
    with raises(DataSetError, "row 1: the path '~/plum/1.png' is not in "):
        load_image_csv(path, root=fruits / "pear")
    with raises(DataSetError, "row 1: ", "root='/'"):
        load_image_csv(path, root=fruits / "pear")


def test_csv_without_its_root(table, tmp_path):
    with raises(DataSetError, repr(str(tmp_path / "absent")), "folder", "root"):
        load_image_csv(table(f"{ONE},a\n"), root=tmp_path / "absent")


def test_csv_reports_many_mistakes_together(table):
    path = table("".join(f"{index}.png,a\n" for index in range(9)) + "x" * 10**6 + ",a\n")
    with pytest.raises(
        DataSetError, match=r"^10 of the 10 rows of .*\n(- row [1-5]: .*\n){5}- \.\.\. and 5 more\n"
    ) as caught:
        load_image_csv(path)
    assert caught.value.rows == list(range(1, 11))
    assert len(caught.value.messages[-1]) < 1000


def test_invalid_csv_files(table, tmp_path):
    missing = tmp_path / "missing.csv"
    with raises(DataSetError, repr(str(missing)), "does not exist"):
        load_image_csv(missing)
    for text in ("", "\n\n", "path,label\n", "# nothing"):
        path = table(text)
        with raises(DataSetError, repr(str(path)), "'path,label'", "no rows"):
            load_image_csv(path)
    path = table(f"{ONE},a\r{ONE},é\r", "latin-1")
    with raises(DataSetError, repr(str(path)), "row 2", "utf-8 (byte 0xe9)") as caught:
        load_image_csv(path)
    assert caught.value.rows == [2]
    for encoding in ("utf-16-le", "utf-32"):
        with raises(DataSetError, "zero bytes", "UTF-8"):
            load_image_csv(table(f"{ONE},a\n", encoding))
    with raises(DataSetError, repr(str(tmp_path)), "folder", "load_image_folder"):
        load_image_csv(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in the file system")
def test_pipes_devices_and_huge_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with raises(DataSetError, "not a regular file"):
            load_image_csv(path)
    with open(tmp_path / "sparse.csv", "wb") as file:
        file.truncate(1 << 40)
    with raises(DataSetError, "1,099,511,627,776 bytes", "268,435,456"):
        load_image_csv(tmp_path / "sparse.csv")


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(40, "Too many links")])
def test_unreadable_csv_files(table, monkeypatch, error):
    path = table(f"{ONE},a\n")

    def refuse(*arguments):
        raise error

    monkeypatch.setattr("builtins.open", refuse)
    with raises(DataSetError, repr(str(path)), error.strerror, "permissions"):
        load_image_csv(path)


def test_csv_reports_all_wrong_parameters_together():
    with pytest.raises(InvalidParameterError) as caught:
        load_image_csv("", root=b"", header="yes", delimiter="-", mode="rgb", on_error=None, return_X_y=1)  # type: ignore[arg-type]
    for name in ("path", "root", "header", "delimiter", "mode", "on_error", "return_X_y"):
        assert f"{name!r} of load_image_csv must be " in str(caught.value)


# CPEN455, in small


def make_cpen455(folder: Path) -> Path:
    """Six training images and two of each other part."""
    for subset, labels in (("train", [0, 3, 1, 2, 1, 0]), ("validation", [2, 3]), ("test", [-1, -1])):
        names = [f"{subset}/{index:07}.jpg" for index in range(len(labels))]
        for index, name in enumerate(names):
            save(folder / name, (40 * index, 0, 0))
        rows = [f"{name},{label}\n" for name, label in zip(names, labels, strict=True)]
        (folder / f"{subset}.csv").write_text("".join(rows))
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_cpen455(tmp_path_factory.mktemp("small") / "data")


def check_small(bunch, n_images=6, target=(0, 3, 1, 2, 1, 0), size=32):
    assert bunch.data.shape == (n_images, size, size, 3)
    assert bunch.data.dtype == np.uint8
    assert bunch.target.tolist() == list(target)
    assert bunch.target.dtype == np.int64
    assert bunch.target_names == ["hamburger", "giant panda", "koala", "pizza"]
    assert bunch.DESCR.startswith("CPEN455: hamburgers, giant pandas, koalas and pizzas")


def test_cpen455_from_a_given_folder(small, monkeypatch, tmp_path):
    check_small(fetch_cpen455(path=small))
    check_small(fetch_cpen455(path=str(small), subset="validation", size=8), 2, (2, 3), 8)
    check_small(fetch_cpen455(path=small, subset="test"), 2, (-1, -1))
    data, target = fetch_cpen455(path=small, return_X_y=True, mode="L", resample="box", size=4)
    assert data.shape == (6, 4, 4)
    assert target.shape == (6,)
    monkeypatch.setenv("GENCLS_CPEN455", str(small))
    check_small(fetch_cpen455(data_home=tmp_path, download_if_missing=False))
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("GENCLS_CPEN455", str(tmp_path / "missing"))
    check_small(fetch_cpen455(path=small))


def test_incomplete_folders_of_cpen455(tmp_path, monkeypatch):
    advice = "Set path to the folder of train.csv, validation.csv and test.csv"
    missing, folder = tmp_path / "missing", make_cpen455(tmp_path / "copy")
    with raises(DataSetError, repr(str(missing)), advice):
        fetch_cpen455(path=missing)
    (folder / "train" / "0000002.jpg").unlink()
    table = repr(str(folder / "train.csv"))
    with raises(DataSetError, f"1 of the 6 rows of {table}", "'train/0000002.jpg'", advice) as caught:
        fetch_cpen455(path=folder)
    assert caught.value.rows == [3]
    (folder / "train.csv").write_text("train/0000001.jpg,4\n")
    with raises(DataSetError, table, "-1, 0, 1, 2, 3", "['4']", advice):
        fetch_cpen455(path=folder)
    (folder / "train.csv").unlink()
    monkeypatch.setenv("GENCLS_CPEN455", str(folder))
    with raises(DataSetError, table, "environment variable GENCLS_CPEN455"):
        fetch_cpen455()


def test_cpen455_reports_all_wrong_parameters_together():
    with pytest.raises(InvalidParameterError) as caught:
        fetch_cpen455(subset="all", path=3, data_home=4, download_if_missing=None, size="big")  # type: ignore[arg-type]
    for name in ("subset", "path", "data_home", "download_if_missing", "size"):
        assert f"{name!r} of fetch_cpen455 must be " in str(caught.value)


# The download


@pytest.fixture
def served(tmp_path):
    """A folder that a server on this machine serves, and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def pack(archive: Path, folder: Path, *others: tuple[tarfile.TarInfo, bytes]) -> None:
    """Pack a folder as code hosts do: below one folder, with other things beside it."""
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, "repository-1234/data")
        readme = tarfile.TarInfo("repository-1234/readme.md")
        readme.size = 3
        packed.addfile(readme, io.BytesIO(b"abc"))
        for member, content in others:
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))


@pytest.fixture
def remote(served, small, monkeypatch):
    """The small data set on a server, in the place of the real one."""
    folder, address = served
    pack(folder / "archive.tar.gz", small)
    small_remote = RemoteFolder(address + "archive.tar.gz", "data", checksum(small), 1_000_000)
    monkeypatch.setattr(_cpen455, "REMOTE", small_remote)
    return small_remote


def test_download(remote, served, small, tmp_path, capsys):
    home = tmp_path / "home"
    check_small(fetch_cpen455(data_home=home, verbose=1))
    shown = capsys.readouterr().err
    assert "Downloading: " in shown
    assert "Reading images: 100%" in shown
    assert [each.name for each in home.iterdir()] == ["cpen455"]
    assert checksum(home / "cpen455") == checksum(small)
    (served[0] / "archive.tar.gz").unlink()
    check_small(fetch_cpen455(data_home=home, subset="test"), 2, (-1, -1))
    assert capsys.readouterr().err == ""


def test_download_from_a_file(remote, served, small, tmp_path):
    url = (served[0] / "archive.tar.gz").as_uri()
    fetch(replace(remote, url=url), tmp_path / "deep" / "home" / "copy")
    assert checksum(tmp_path / "deep" / "home" / "copy") == checksum(small)


def test_a_damaged_copy_is_named(remote, tmp_path):
    fetch_cpen455(data_home=tmp_path)
    (tmp_path / "cpen455" / "test" / "0000000.jpg").unlink()
    with raises(DataSetError, f"Delete the folder {str(tmp_path / 'cpen455')!r}"):
        fetch_cpen455(data_home=tmp_path, subset="test")


def test_nothing_is_downloaded_if_download_if_missing_is_false(remote, tmp_path):
    with raises(DataSetError, repr(str(tmp_path / "cpen455")), "download_if_missing is False"):
        fetch_cpen455(data_home=tmp_path, download_if_missing=False)


def refused(remote: RemoteFolder, home: Path, message: str) -> None:
    """Check that a download fails with a message, and leaves no files."""
    with pytest.raises(DataSetError, match=message):
        fetch(remote, home / "copy")
    assert not list(home.iterdir())


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_unavailable_urls(remote, served, home):
    absent = served[1] + "absent.tar.gz"
    message = f"{absent} cannot be downloaded (HTTP Error 404: File not found)"
    refused(replace(remote, url=absent), home, f"^{re.escape(message)}")
    closed = "http://127.0.0.1:9/archive.tar.gz"
    refused(replace(remote, url=closed), home, f"^{re.escape(closed)} cannot be downloaded \\(")


def test_different_content_is_refused(remote, served, small, home):
    extra = tarfile.TarInfo("repository-1234/data/train/extra.jpg")
    pack(served[0] / "archive.tar.gz", small, (extra, b"more"))
    message = f"The folder 'data' of {remote.url} must have the checksum {remote.sha256}"
    refused(remote, home, f"^{re.escape(message)}.* [0-9a-f]{{64}}")
    odd = tarfile.TarInfo("repository-1234/data/\udcff.jpg")  # a name that is not UTF-8
    pack(served[0] / "archive.tar.gz", small, (odd, b"more"))
    refused(remote, home, r"must have the checksum|cannot be unpacked safely")
    refused(replace(remote, folder="absent"), home, "^The folder 'absent' of .* must have the checksum ")


@pytest.mark.parametrize("part", [0, 0.01, 0.3, 0.9])
def test_a_truncated_archive_is_refused(remote, served, home, part):
    archive = served[0] / "archive.tar.gz"
    content = archive.read_bytes()
    archive.write_bytes(content[: int(part * len(content))])
    refused(remote, home, f"^{re.escape(remote.url)} cannot be unpacked safely \\(")


def test_an_archive_that_is_too_large_is_refused(remote, served, small, home):
    size = (served[0] / "archive.tar.gz").stat().st_size
    refused(replace(remote, max_bytes=size - 1), home, f"^{re.escape(remote.url)} .* {size - 1:,} bytes")
    bomb = tarfile.TarInfo("repository-1234/zeros")
    pack(served[0] / "archive.tar.gz", small, (bomb, bytes(2_000_000)))
    assert (served[0] / "archive.tar.gz").stat().st_size < remote.max_bytes
    refused(remote, home, f"^{re.escape(remote.url)} .* 1,000,000 bytes")


def test_members_outside_the_folder_are_not_extracted(remote, served, small, home):
    archive = served[0] / "archive.tar.gz"
    link = tarfile.TarInfo("repository-1234/data/link.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    device = tarfile.TarInfo("repository-1234/data/device.jpg")
    device.type = tarfile.FIFOTYPE
    aside = tarfile.TarInfo("repository-1234/../../aside.jpg")
    pack(archive, small, (link, b""), (device, b""), (aside, b"x"))
    fetch(remote, home / "copy")
    assert checksum(home / "copy") == remote.sha256
    assert [each.name for each in home.iterdir()] == ["copy"]
    (home / "copy").rename(home.parent / "elsewhere")
    for name in ("data/../../../aside.jpg", "data//../../aside.jpg"):
        pack(archive, small, (tarfile.TarInfo(f"repository-1234/{name}"), b"x"))
        refused(remote, home, "cannot be unpacked safely \\(OutsideDestinationError: ")
    assert not list(home.parent.rglob("aside.jpg"))


def test_an_interruption_leaves_no_files(remote, home, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(_remote, "_verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(remote, home / "copy")
    assert not list(home.iterdir())


@pytest.mark.parametrize("name", ["TemporaryDirectory", "_check_limit", "_put"])
def test_a_folder_that_cannot_be_written(remote, home, monkeypatch, name):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_remote, name, fail)
    refused(remote, home, rf"^The folder {re.escape(repr(str(home / 'copy')))} .*No space left on device")


def test_a_file_instead_of_a_folder(remote, tmp_path):
    (tmp_path / "file").touch()
    with raises(DataSetError, repr(str(tmp_path / "file")), "cannot be created", "data_home"):
        fetch_cpen455(data_home=tmp_path / "file")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "cpen455").touch()
    with raises(DataSetError, "cpen455' must be a folder, but is a file", "data_home"):
        fetch_cpen455(data_home=tmp_path / "home")


def test_files_of_killed_downloads_are_removed_later(remote, home):
    for name in (".copy-old", ".copy-new"):
        (home / name).mkdir()
        (home / name / "archive.tar.gz").touch()
    os.utime(home / ".copy-old", (0, 0))
    fetch(remote, home / "copy")
    assert sorted(each.name for each in home.iterdir()) == [".copy-new", "copy"]


def test_a_folder_created_by_a_concurrent_process_is_kept(remote, home, monkeypatch):
    verify = _remote._verify

    def verify_while_another_finishes(*arguments):
        verify(*arguments)
        (home / "copy").mkdir()
        (home / "copy" / "theirs").touch()

    monkeypatch.setattr(_remote, "_verify", verify_while_another_finishes)
    fetch(remote, home / "copy")
    assert [each.name for each in home.rglob("*")] == ["copy", "theirs"]


def test_the_checksum_is_of_names_and_contents(tmp_path):
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "c").write_bytes(b"1")
    lines = [f"{hashlib.sha256(b'1').hexdigest()}  a/c\n", f"{hashlib.sha256(b'2').hexdigest()}  b\n"]
    assert checksum(tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()


# CPEN455 itself


@pytest.fixture(scope="module")
def real():
    if not (REAL / "train.csv").is_file():
        pytest.skip("needs the CPEN455 images: let GENCLS_CPEN455 name their folder")
    return REAL


def test_the_real_images(real):
    train, validation, test = (
        fetch_cpen455(path=real, subset=each) for each in ("train", "validation", "test")
    )
    assert train.data.shape == (4159, 32, 32, 3)
    assert validation.data.shape == test.data.shape == (519, 32, 32, 3)
    assert np.bincount(train.target).tolist() == [1040, 1039, 1040, 1040]
    assert np.bincount(validation.target).tolist() == [130, 130, 129, 130]
    assert (test.target == -1).all()
    assert fetch_cpen455(path=real, subset="test", size=None).data.shape == (519, 64, 64, 3)


def test_the_real_checksum(real, tmp_path):
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        for subset in ("train", "validation", "test"):
            packed.add(real / subset, f"top/data/{subset}")
            packed.add(real / f"{subset}.csv", f"top/data/{subset}.csv")
    fetch(replace(_cpen455.REMOTE, url=archive.as_uri()), tmp_path / "copy")
    assert (tmp_path / "copy" / "train.csv").is_file()
