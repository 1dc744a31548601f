"""Files that are the old one or the new one, whatever happens."""

import contextlib
import errno
import os
import pathlib
import resource
import socket
import subprocess
import time

import numpy as np
import pytest

from alexnet_jax.data.store.statistics import Statistics
from alexnet_jax.errors import DataError, UserError
from alexnet_jax.run import dataset_info
from alexnet_jax.system.atomic_file import atomic_file, check_writable, unwritable, write_atomic
from tests.support.power import Synced


def refuse(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# Dying before all is written, and dying before it gets its name.
@pytest.mark.parametrize("method", ["write_text", "replace"])
def test_a_file_is_the_old_one_or_the_new_one(method, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, method, refuse)
        with pytest.raises(UserError, match=r"could not be written: .*; free some space and run"):
            write_atomic(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]
    write_atomic(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "new")]


def test_what_a_killed_write_left_is_cleared_after_a_day(tmp_path):
    def left(name, hours):
        path = tmp_path / name
        path.mkdir() if "folder" in name else path.write_text("half")
        os.utime(path, (time.time() - hours * 3600,) * 2)

    left(".file.half-1", 25)
    left(".file.half-2-folder", 25)
    left(".file.half-3", 23)  # perhaps of a process that still writes
    left(".file.txt.half-1", 25)  # of another file
    ended = subprocess.Popen(["true"])
    ended.wait()
    left(f".file.half-{socket.gethostname()}-{ended.pid}", 0)  # of a process that was killed here
    left(f".file.half-{socket.gethostname()}-1", 1)  # of one that runs
    left(f".file.half-elsewhere-{ended.pid}", 1)
    write_atomic(tmp_path / "file", "new")
    kept = {path.name for path in tmp_path.iterdir()}
    running = {f".file.half-{socket.gethostname()}-1", f".file.half-elsewhere-{ended.pid}"}
    assert kept == {"file", ".file.half-3", ".file.txt.half-1", *running}


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    def write(*parts):
        with atomic_file(tmp_path / "new") as half:
            half.mkdir()
            for part in parts:
                (half / part).write_text("text")

    with pytest.raises(UserError, match="new could not be written: .*missing"):
        write("part", "missing/part")
    assert not list(tmp_path.iterdir())
    write("part")
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "part"]


@pytest.mark.parametrize("content", ["a file", "a folder"])
def test_what_has_its_name_is_on_disk(tmp_path, monkeypatch, content):
    path = tmp_path / "new"
    synced = Synced(monkeypatch, path)
    with atomic_file(path) as half:
        if content == "a folder":
            (half / "part").mkdir(parents=True)
        ((half / "part" / "file") if half.is_dir() else half).write_text("text")
    assert not synced.lost(tmp_path)
    of_folder = synced.seen.pop(tmp_path.stat().st_ino)
    assert of_folder and not any(synced.seen.values())  # the content before, the name after


def test_folders_above_are_made_where_they_can_be(tmp_path):
    write_atomic(tmp_path / "a" / "b", "text")
    with pytest.raises(DataError, match=r"b/c could not be written"):
        write_atomic(tmp_path / "a" / "b" / "c", "text", DataError)


def test_what_cannot_be_written_is_known_before_the_work(tmp_path):
    check_writable(tmp_path / "new" / "file")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "new" / "file").touch()
    check_writable(tmp_path / "new" / "file")  # it will be replaced
    for name, said in (
        ("new", "new could not be written: it is a folder"),
        ("new/file/x", "x could not be written: (Not a directory|File exists)"),
    ):
        with pytest.raises(DataError, match=said):
            check_writable(tmp_path / name, DataError)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        ("run/a.png", "Permission denied"),
        ("run/.a.png.half-host-7", "Permission denied"),
        ("run", "Permission denied"),
        ("", "Permission denied"),
        ("run/a.png/part", "Permission denied"),
        ("above", "Permission denied: above"),
        ("run/a.png/part/file", "Permission denied: run/a.png/part/file"),
    ],
)
def test_a_line_names_the_file_once_and_another_that_is_in_the_way(refused, reason):
    cause = OSError(errno.EACCES, "Permission denied", refused or None)
    line = unwritable(pathlib.Path("run/a.png"), cause)
    assert line == f"run/a.png could not be written: {reason}; fix that and run again"


@contextlib.contextmanager
def full_disk():
    """A system that takes no more than a few bytes in a file; also in pytest's log."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_run_keeps_of_its_data_is_one_line_on_a_full_disk(tmp_path):
    statistics = Statistics(np.zeros((2, 2, 3), np.float32), np.zeros(3), np.eye(3), 1)
    for name, known in (
        ("classes.json", dataset_info.DatasetInfo(class_names=("ant", "bee"))),
        ("statistics.npz", dataset_info.DatasetInfo(statistics=statistics)),
    ):
        said = f"{name} could not be written: .*too large"
        with full_disk(), pytest.raises(UserError, match=said):
            dataset_info.write(tmp_path, known)
    assert not list(tmp_path.iterdir())


def test_the_folders_that_a_file_needs_survive_a_power_loss_too(tmp_path, monkeypatch):
    synced = Synced(monkeypatch, tmp_path)
    write_atomic(tmp_path / "runs" / "one" / "file", "text")
    assert synced.lost(tmp_path) == []
