"""~ and addresses of object stores, wherever a path is given."""

import os
import pathlib
import pwd
import re

import pytest

from alexnet_jax.errors import ConfigError
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.restore import restore
from alexnet_jax.system import recipes
from alexnet_jax.system.paths import user_path
from alexnet_jax.train import train
from tests.support import tiny

STORES = ["gs://b/run", "s3://b/run", "hdfs://host/run", "abfs://b@account/run", "hf://org/run"]


@pytest.mark.parametrize("address", STORES)
@pytest.mark.parametrize("field", ["workdir", "data__dir", "data__prepared_dir", "checkpoint__dir"])
def test_an_object_store_is_refused_before_anything_is_made(tmp_path, monkeypatch, field, address):
    """gs://, s3:// and hdfs:// are refused in one line that names mounting; nothing is made."""
    monkeypatch.chdir(tmp_path)
    workdir = address if field == "workdir" else "run"
    made = tiny.config(tmp_path, **({} if field == "workdir" else {field: address}))
    with pytest.raises(ConfigError, match="mount") as error:
        train(made, workdir)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_no_flag_is_a_path_by_itself():
    """What a flag names goes through user_path, in all commands."""
    raw = re.compile(r"pathlib\.Path\((flags|FLAGS|values|arguments)\b")
    for name in ("alexnet_jax", "experiments"):
        for path in (tiny.REPOSITORY / name).rglob("*.py"):
            assert not raw.search(path.read_text()), path


def test_homes_of_other_forms(tmp_path, monkeypatch):
    """A recipe below ~, another user's home, HOME unset; ~ that does not stand first is a name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").touch()
    assert recipes.find("~/mine.py:3") == f"{tmp_path}/mine.py:3"
    assert user_path("a/~/b") == pathlib.Path("a/~/b")
    me = pwd.getpwuid(os.getuid())
    assert user_path(f"~{me.pw_name}/run") == pathlib.Path(me.pw_dir, "run")
    monkeypatch.delenv("HOME")
    assert user_path("~/run") == pathlib.Path(me.pw_dir, "run")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # a container's user without a name
    with pytest.raises(ConfigError, match="~/run names no home folder"):
        user_path("~/run")


def test_home_is_home_wherever_it_stands_first(tmp_path, monkeypatch):
    """~ is the home folder in a run's folder, in checkpoint.dir and from Python."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~") == tmp_path and user_path("~/a") == tmp_path / "a"
    for checkpoints in (Checkpoints("~/run"), Checkpoints("x", directory="~/run/checkpoints")):
        with checkpoints:
            assert checkpoints.directory == tmp_path / "run" / "checkpoints"
    with pytest.raises(Exception, match=f"{tmp_path}/run holds no run"):
        restore("~/run")


@pytest.mark.parametrize("name", ["~nobody_here/run", "~cat.jpg", "~~"])
def test_nobodys_home_is_one_line_and_a_file_of_that_name_is_itself(tmp_path, monkeypatch, name):
    """~ of an unknown user is one line; a file called ~cat.jpg is that file."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="names no home folder"):
        user_path(name)
    pathlib.Path(name).parent.mkdir(exist_ok=True)
    pathlib.Path(name).touch()
    assert user_path(name) == pathlib.Path(name)
