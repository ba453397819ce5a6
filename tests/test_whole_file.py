"""Atomic file writing: links, modes and the files of other processes are preserved."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from uuid import uuid4

import pytest

from gencls._common.whole_file import _unfinished_file, whole_file

posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and locks of POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def hidden(folder):
    return [name for name in os.listdir(folder) if name.startswith(".")]


def write_whole(path, parts):
    with whole_file(path) as file:
        file.writelines(parts)


def test_the_parts_are_the_content(path):
    write_whole(path, [b"one", memoryview(b" two")])
    assert path.read_bytes() == b"one two"
    write_whole(str(path), [])
    assert path.read_bytes() == b""
    assert os.listdir(path.parent) == ["model"]


@posix
@pytest.mark.parametrize("rights", [0o600, 0o640, 0o644, 0o666, 0o700])
def test_the_mode_stays(rights, path):
    path.touch()
    path.chmod(rights)
    write_whole(path, [b"new"])
    assert mode(path) == rights


@posix
def test_a_private_file_is_private_while_it_is_written(path):
    path.touch()
    path.chmod(0o600)

    def parts():
        yield b"new"
        seen.extend(mode(path.parent / name) for name in hidden(path.parent))

    seen: list[int] = []
    write_whole(path, parts())
    assert seen == [0o600]


@posix
def test_a_new_file_has_the_mode_of_new_files(path):
    before = os.umask(0o027)
    try:
        write_whole(path, [b"new"])
    finally:
        os.umask(before)
    assert mode(path) == 0o640


@posix
def test_a_link_stays_and_leads_to_the_new_file(path, tmp_path):
    (tmp_path / "folder").mkdir()
    target, first, second = tmp_path / "folder/target", tmp_path / "first", path
    first.symlink_to("folder/target")
    second.symlink_to(first)
    for content in (b"made", b"replaced"):  # the link is dangling in the first pass
        write_whole(second, [content])
        assert second.is_symlink()
        assert first.is_symlink()
        assert target.read_bytes() == content
    assert not hidden(tmp_path)
    assert not hidden(tmp_path / "folder")


@posix
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.mkdir(), IsADirectoryError),
        (os.mkfifo, OSError),
        (lambda path: path.symlink_to("/dev/null"), OSError),
        (lambda path: path.symlink_to(path), OSError),
    ],
    ids=["folder", "pipe", "device", "loop"],
)
def test_only_regular_files_are_replaced(make, kind, path):
    make(path)
    before = path.lstat()
    with pytest.raises(kind) as caught:
        write_whole(path, [b"new"])
    assert caught.value.filename == str(path)
    assert path.lstat() == before
    assert os.listdir(path.parent) == ["model"]


def test_a_read_only_file_is_not_replaced(path, monkeypatch):
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write to every file
    with pytest.raises(PermissionError) as caught:
        write_whole(path, [b"new"])
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"


def test_an_error_names_the_requested_file(path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device", f".gencls-{uuid4().hex}.unfinished")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, [b"new"])
    assert (caught.value.errno, caught.value.filename) == (28, str(path))
    assert os.listdir(path.parent) == []


@posix
def test_a_different_group_gets_no_permissions(path, monkeypatch):
    path.touch()
    path.chmod(0o664)
    before = path.stat()
    elsewhere = os.stat_result([*before[:5], before.st_gid + 1, *before[6:10]])

    def fail(*_):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", fail)
    monkeypatch.setattr("gencls._common.whole_file._status", lambda *_: elsewhere)
    write_whole(path, [b"new"])
    assert mode(path) == 0o604


def test_an_error_about_a_different_file_keeps_its_name(path, tmp_path):
    """For example, the model file from which a picture is drawn."""
    path.write_bytes(b"old")
    with pytest.raises(FileNotFoundError) as caught, whole_file(path):
        (tmp_path / "missing").read_bytes()
    assert caught.value.filename == str(tmp_path / "missing")
    assert path.read_bytes() == b"old"
    assert not hidden(tmp_path)


# Files of other processes


PAUSED_WRITER = """
import itertools, sys
from gencls._common.whole_file import whole_file

def parts():
    yield b"begun"
    print("writing", flush=True)
    sys.stdin.read()
    yield b" and done"

with whole_file(sys.argv[1]) as file:
    file.writelines(parts())
"""


@pytest.fixture
def writer(tmp_path):
    """A process that pauses in the middle of writing a file, until its input ends."""
    command = [sys.executable, "-c", PAUSED_WRITER, str(tmp_path / "other")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"writing\n"
        yield process
        process.kill()


@posix
def test_the_unfinished_file_of_a_killed_process_is_removed(writer, path, tmp_path):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(hidden(tmp_path)) == 1
    write_whole(path, [b"new"])
    assert os.listdir(tmp_path) == ["model"]


def test_the_unfinished_file_of_a_running_process_is_kept(writer, path, tmp_path):
    write_whole(path, [b"new"])
    assert len(hidden(tmp_path)) == 1
    writer.communicate()
    assert writer.returncode == 0
    assert (tmp_path / "other").read_bytes() == b"begun and done"
    assert sorted(os.listdir(tmp_path)) == ["model", "other"]


def test_the_unfinished_file_of_a_thread_is_kept(path, tmp_path):
    with _unfinished_file(tmp_path, 0o600) as (_, unfinished):
        write_whole(path, [b"new"])
        assert unfinished.exists()


@posix
def test_only_files_of_that_name_and_kind_are_removed(path, tmp_path):
    name = f".gencls-{uuid4().hex}.unfinished"
    kept = [f"{name}.txt", name[1:], f".gencls-{'A' * 32}.unfinished", f".model.{uuid4().hex}"]
    for each in kept:
        (tmp_path / each).touch()
    os.mkfifo(tmp_path / name)
    link = name.replace("0", "1").replace("2", "3")
    (tmp_path / link).symlink_to(tmp_path / kept[0])
    write_whole(path, [b"new"])
    assert set(os.listdir(tmp_path)) == {"model", name, link, *kept}


@posix
def test_files_of_other_users_are_not_removed(path, tmp_path, monkeypatch):
    (tmp_path / f".gencls-{uuid4().hex}.unfinished").touch()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    write_whole(path, [b"new"])
    assert len(hidden(tmp_path)) == 1
    monkeypatch.undo()
    write_whole(path, [b"new"])
    assert not hidden(tmp_path)


@posix
def test_a_file_that_was_removed_before_it_was_locked_is_created_again(path, monkeypatch):
    from gencls._common import whole_file as _whole_file

    lock, made = _whole_file._lock, []

    def slow(descriptor, *, wait):
        if wait:
            made.extend(hidden(path.parent))
        if len(made) == 1:
            (path.parent / made[0]).unlink()
        return lock(descriptor, wait=wait)

    monkeypatch.setattr(_whole_file, "_lock", slow)
    write_whole(path, [b"new"])
    assert path.read_bytes() == b"new"
    assert len(made) == 2


@posix
def test_files_are_written_without_locks(path, monkeypatch):
    monkeypatch.setattr("gencls._common.whole_file.fcntl", None)
    for content in (b"one", b"two"):
        write_whole(path, [content])
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["model"]
