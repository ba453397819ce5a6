"""The loaders return what the folders hold, or say what is wrong with them."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gencls import _cpen455, _remote
from gencls._remote import RemoteFolder, checksum, fetch
from gencls.datasets import fetch_cpen455, load_image_csv, load_image_folder
from gencls.errors import DataSetError, ImageFileError, InvalidParameterError

REAL = Path(os.environ.get("GENCLS_CPEN455") or Path(__file__).parents[2] / "shared" / "cpen455")
COLOURS = {"apple": (200, 0, 0), "pear": (0, 200, 0), "plum": (0, 0, 200)}


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv("GENCLS_CPEN455", raising=False)


def save(path: Path, colour: tuple[int, int, int] = (9, 9, 9)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), colour).save(path)
    return path


def raises(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


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
    names = [f"{name}/{index}.png" for name in COLOURS for index in (1, 10, 2)]
    assert bunch.filenames.tolist() == [str(fruits / name) for name in names]
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


def test_folder_passes_over_what_is_no_image(fruits):
    before = load_image_folder(fruits, size=4)
    save(fruits / ".hidden" / "a.png")
    save(fruits / "pear" / ".a.png")
    save(fruits / "pear" / "inner.png" / "a.png")
    (fruits / "pear" / "notes.txt").write_text("no image")
    (fruits / "notes.txt").write_text("no image")
    after = load_image_folder(fruits, size=4)
    assert after.filenames.tolist() == before.filenames.tolist()
    assert after.target_names == before.target_names


def test_folder_takes_the_classes_and_extensions_that_are_asked_for(fruits):
    bunch = load_image_folder(fruits, size=2, classes=["plum", "apple"])
    assert bunch.target_names == ["plum", "apple"]
    assert bunch.filenames[0] == str(fruits / "plum" / "1.png")
    assert bunch.target.tolist() == [0, 0, 0, 1, 1, 1]
    for name in COLOURS:
        save(fruits / name / "0.BMP")
    assert len(load_image_folder(fruits, size=2).data) == 12
    assert len(load_image_folder(fruits, size=2, extensions=[".bmp"]).data) == 3
    assert len(load_image_folder(fruits, size=2, extensions=[".PNG"]).data) == 9


def test_folder_without_images(fruits, tmp_path):
    missing = tmp_path / "missing"
    with raises(DataSetError, f"There is no folder {str(missing)!r}. Check the path."):
        load_image_folder(missing)
    message = (
        f"{str(fruits / 'pear')!r} must have a sub-folder for each class, with the images in it. Got none. "
        "Check the path, or use load_image_csv if a table holds the labels."
    )
    with raises(DataSetError, message):
        load_image_folder(fruits / "pear")
    message = (
        f"{str(fruits)!r} has no sub-folder for these classes:\n- 'aple'\n- '.'\n"
        "It has 'apple', 'pear', 'plum'. Correct classes= or the path."
    )
    with raises(DataSetError, message):
        load_image_folder(fruits, classes=["aple", "plum", "."])
    (fruits / "quince").mkdir()
    message = (
        f"These sub-folders of {str(fruits)!r} hold no files whose names end with .png:\n- 'quince'\n"
        "Remove them, choose others with classes=, or give other extensions."
    )
    with raises(DataSetError, message):
        load_image_folder(fruits, extensions=[".png"])


def test_folder_with_a_broken_image(fruits):
    broken = fruits / "pear" / "3.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageFileError, match=f"^{re.escape(repr(str(broken)))} cannot be read as an image: "):
        load_image_folder(fruits)


def test_folder_reports_all_wrong_parameters_together(fruits):
    with pytest.raises(InvalidParameterError) as caught:
        load_image_folder(3, size=-1, classes=["a", "a"], extensions="png", return_X_y="yes", n_jobs=0)
    for name in ("path", "size", "classes", "extensions", "return_X_y", "n_jobs"):
        assert f"{name!r} of load_image_folder must be " in str(caught.value)
    for wrong in ({"classes": "pear"}, {"classes": []}, {"extensions": ["png"]}, {"extensions": []}):
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


ADVICE = "Correct the file, or give root= if the paths start elsewhere, or header=True if row 1 is a header."


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


def test_csv_header_is_what_the_parameter_says(table, fruits):
    path = table("plum/1.png,a\nplum/2.png,b\n")
    assert load_image_csv(path, root=fruits, size=2, header=True).target_names == ["b"]
    assert load_image_csv(path, root=fruits, size=2, header=False).target_names == ["a", "b"]
    save(fruits / "plum.png").rename(fruits / "image")
    assert load_image_csv(table("image,a\nplum/2.png,b\n"), root=fruits, size=2).target_names == ["a", "b"]


def test_csv_rows_that_cannot_be_used(table, fruits):
    root = str(fruits.parent)
    rows = {
        "fruits/plum/1.png,a": None,
        "fruits/plum/1.png": "it must have two fields, path and label. Got 1",
        "fruits/plum/1.png,a,b": "it must have two fields, path and label. Got 3",
        ",a": "its path or its label is empty",
        "fruits/plum/1.png, ": "its path or its label is empty",
        "fruits/plum/7.png,a": f"there is no file 'fruits/plum/7.png' in {root!r}",
        "fruits/plum,a": f"there is no file 'fruits/plum' in {root!r}",
    }
    for row, mistake in rows.items():
        path = table(f"fruits/plum/2.png,a\n\n{row}\n")
        if mistake is None:
            assert len(load_image_csv(path, size=2).data) == 2
            continue
        with raises(
            DataSetError, f"1 of the 2 rows of {str(path)!r} cannot be used:\n- row 3: {mistake}\n{ADVICE}"
        ):
            load_image_csv(path)


@pytest.mark.parametrize(
    "escape",
    [
        "../secret.png",
        "plum/../../secret.png",
        "/secret.png",
        "{root}/plum/1.png",
        "C:/secret.png",
        "..\\secret.png",
    ],
)
def test_csv_paths_may_not_leave_the_root(table, fruits, escape):
    save(fruits.parent / "secret.png")
    escape = escape.format(root=fruits.as_posix())
    path = table(f"{escape},a\n")
    mistake = f"- row 1: the path {escape!r} must stay within {str(fruits)!r}"
    with raises(DataSetError, f"1 of the 1 rows of {str(path)!r} cannot be used:\n{mistake}\n{ADVICE}"):
        load_image_csv(path, root=fruits)


def test_csv_reports_many_mistakes_together(table):
    path = table("".join(f"{index}.png,a\n" for index in range(9)))
    with pytest.raises(
        DataSetError, match=r"^9 of the 9 rows of .*\n(- row [1-5]: .*\n){5}- \.\.\. and 4 more\n"
    ):
        load_image_csv(path)


def test_csv_that_is_none(table, tmp_path):
    missing = tmp_path / "missing.csv"
    with raises(DataSetError, f"There is no file {str(missing)!r}. {ADVICE}"):
        load_image_csv(missing)
    for text in ("", "\n\n", "path,label\n"):
        path = table(text)
        with raises(
            DataSetError, f"{str(path)!r} must have a row 'path,label' for each image. Got none. {ADVICE}"
        ):
            load_image_csv(path)
    for text, encoding in (("fruits/plum/1.png,é", "latin-1"), ('"fruits/plum/1.png"x,a', "utf-8")):
        path = table(text, encoding)
        with pytest.raises(
            DataSetError, match=f"^{re.escape(repr(str(path)))} cannot be read as CSV in UTF-8 \\("
        ):
            load_image_csv(path)
    with pytest.raises(DataSetError, match="cannot be read as CSV"):
        load_image_csv(tmp_path)


def test_csv_reports_all_wrong_parameters_together():
    with pytest.raises(InvalidParameterError) as caught:
        load_image_csv(None, root=3, header="yes", mode="rgb", return_X_y=1)
    for name in ("path", "root", "header", "mode", "return_X_y"):
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


def test_cpen455_from_a_folder_of_ones_own(small, monkeypatch, tmp_path):
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


def test_cpen455_says_what_a_folder_lacks(tmp_path, monkeypatch):
    content = "train.csv, validation.csv and test.csv, and the images that they list"
    by_path = f"Give the folder that holds {content} as path=."
    missing, folder = tmp_path / "missing", make_cpen455(tmp_path / "copy")
    with raises(DataSetError, f"There is no folder {str(missing)!r}. {by_path}"):
        fetch_cpen455(path=missing)
    (folder / "train" / "0000002.jpg").unlink()
    table = str(folder / "train.csv")
    mistake = f"- row 3: there is no file 'train/0000002.jpg' in {str(folder)!r}"
    with raises(DataSetError, f"1 of the 6 rows of {table!r} cannot be used:\n{mistake}\n{by_path}"):
        fetch_cpen455(path=folder)
    (folder / "train.csv").write_text("train/0000001.jpg,4\n")
    with raises(DataSetError, f"The labels in {table!r} must be -1, 0, 1, 2, 3. Got ['4']. {by_path}"):
        fetch_cpen455(path=folder)
    (folder / "train.csv").unlink()
    monkeypatch.setenv("GENCLS_CPEN455", str(folder))
    by_variable = (
        f"Let the environment variable GENCLS_CPEN455 name the folder that holds {content}, or unset it."
    )
    with raises(DataSetError, f"There is no file {table!r}. {by_variable}"):
        fetch_cpen455()


def test_cpen455_reports_all_wrong_parameters_together():
    with pytest.raises(InvalidParameterError) as caught:
        fetch_cpen455(subset="all", path=3, data_home=4, download_if_missing=None, size="big")
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
    advice = f"Delete the folder {str(tmp_path / 'cpen455')!r}, so that it is downloaded again."
    with pytest.raises(DataSetError, match=f"{re.escape(advice)}$"):
        fetch_cpen455(data_home=tmp_path, subset="test")


def test_no_download_unless_it_is_allowed(remote, tmp_path):
    message = (
        f"The CPEN455 images are not in {str(tmp_path / 'cpen455')!r}, and download_if_missing is False. "
        "Allow the download, or give the folder that holds train.csv, validation.csv and test.csv, and the "
        "images that they list as path=."
    )
    with raises(DataSetError, message):
        fetch_cpen455(data_home=tmp_path, download_if_missing=False)


def refused(remote: RemoteFolder, home: Path, message: str) -> None:
    """The download fails with this message, and leaves nothing."""
    with pytest.raises(DataSetError, match=message):
        fetch(remote, home / "copy")
    assert not list(home.iterdir())


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_addresses_that_do_not_answer(remote, served, home):
    advice = "Check the connection and try again, or download and unpack it yourself and give its folder."
    absent = served[1] + "absent.tar.gz"
    message = f"{absent} cannot be downloaded (HTTP Error 404: File not found). {advice}"
    refused(replace(remote, url=absent), home, f"^{re.escape(message)}$")
    closed = "http://127.0.0.1:9/archive.tar.gz"
    refused(replace(remote, url=closed), home, f"^{re.escape(closed)} cannot be downloaded \\(")


def test_another_content_is_refused(remote, served, small, home):
    extra = tarfile.TarInfo("repository-1234/data/train/extra.jpg")
    pack(served[0] / "archive.tar.gz", small, (extra, b"more"))
    message = f"The folder 'data' of {remote.url} must have the checksum {remote.sha256}. Got "
    refused(remote, home, f"^{re.escape(message)}[0-9a-f]{{64}}. Nothing was kept. ")
    odd = tarfile.TarInfo("repository-1234/data/\udcff.jpg")  # a name that is no UTF-8
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
    message = re.escape(f"{remote.url} holds more than {size - 1:,} bytes, so it is not the data set")
    refused(replace(remote, max_bytes=size - 1), home, f"^{message}")
    bomb = tarfile.TarInfo("repository-1234/zeros")
    pack(served[0] / "archive.tar.gz", small, (bomb, bytes(2_000_000)))
    assert (served[0] / "archive.tar.gz").stat().st_size < remote.max_bytes
    refused(
        remote, home, f"^{re.escape(remote.url)} holds more than 1,000,000 bytes, so it is not the data set"
    )


def test_members_that_point_elsewhere_do_no_harm(remote, served, small, home):
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


def test_an_interruption_leaves_nothing(remote, home, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(_remote, "_verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(remote, home / "copy")
    assert not list(home.iterdir())


def test_another_process_may_be_faster(remote, home, monkeypatch):
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
