"""Files that are the old one or the new one, whatever happens."""

import pathlib
import resource

import numpy as np
import pytest

from alexnet_jax import run_data
from alexnet_jax.data.statistics import Statistics
from alexnet_jax.errors import DataError, UserError
from alexnet_jax.whole_file import write_whole


def refuse(*_, **__):
    raise OSError("no space left on device")


# Dying before all is written, and dying before it gets its name.
@pytest.mark.parametrize("method", ["write_text", "replace"])
def test_a_file_is_the_old_one_or_the_new_one(method, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, method, refuse)
        with pytest.raises(UserError, match=r"file could not be written: no space left"):
            write_whole(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]
    write_whole(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "new")]


def test_folders_above_are_made_where_they_can_be(tmp_path):
    write_whole(tmp_path / "a" / "b", "text")
    with pytest.raises(DataError, match=r"b/c could not be written"):
        write_whole(tmp_path / "a" / "b" / "c", "text", DataError)


@pytest.fixture
def full_disk():
    """A system that takes no more than a few bytes in a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_run_keeps_of_its_data_is_one_line_on_a_full_disk(tmp_path, full_disk):
    statistics = Statistics(np.zeros((2, 2, 3), np.float32), np.zeros(3), np.eye(3), 1)
    for name, known in (
        ("classes.json", run_data.RunData(class_names=("ant", "bee"))),
        ("statistics.npz", run_data.RunData(statistics=statistics)),
    ):
        with pytest.raises(UserError, match=f"{name} could not be written: .*too large"):
            run_data.write(tmp_path, known)
    assert not list(tmp_path.iterdir())
