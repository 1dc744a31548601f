"""A run's folder: whose run it is, and files that are whole whatever happens."""

import errno
import fcntl
import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import pytest

from alexnet_jax.errors import CheckpointError, ConfigError
from alexnet_jax.run import folder
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.logger import Logger
from tests.support import tiny


def config(**changes):
    return tiny.config(pathlib.Path("nowhere"), **changes)


def test_config_and_environment_are_written(tmp_path):
    folder.write_run(tmp_path / "a" / "b", config(seed=5))
    assert folder.read_config(tmp_path / "a" / "b").seed == 5
    found = json.loads((tmp_path / "a" / "b" / "environment.json").read_text())
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["packages"]["jax"] == jax.__version__
    assert found["devices"] == ["cpu:cpu"] * 4
    assert found["matmul_precision"] == "default"
    with jax.default_matmul_precision("highest"):
        assert folder.environment()["matmul_precision"] == "highest"
    here = ["git", "-C", str(tiny.REPOSITORY), "rev-parse", "HEAD"]
    head = subprocess.run(here, capture_output=True, text=True, check=False).stdout
    if head:  # a clone, and not an unpacked archive
        assert head.startswith(found["commit"].removesuffix("-dirty"))
    assert {p.name for p in (tmp_path / "a" / "b").iterdir()} == {"config.json", "environment.json"}


def test_other_cores_than_before_are_told(tmp_path, monkeypatch):
    file = tmp_path / "environment.json"
    for text in (None, '{"cor', "[]", "{}", "[" * 5000):  # nothing is known
        if text is not None:
            file.write_text(text)
        assert folder.other_machine(tmp_path) is None
    monkeypatch.setattr(folder, "cores", lambda: 7)
    folder.write_run(tmp_path, config())
    assert json.loads(file.read_text())["cores"] == 7
    assert folder.other_machine(tmp_path) is None
    monkeypatch.setattr(folder, "cores", lambda: 1)
    said = folder.other_machine(tmp_path)
    assert "(cores: 7, now 1): from here on" in said and "\n" not in said
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # where cores sum nothing
    assert folder.other_machine(tmp_path) is None


def test_another_config_is_refused_and_nothing_overwritten(tmp_path):
    folder.write_run(tmp_path, config())
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(ConfigError) as error:
        folder.check_run(tmp_path, config(seed=1, batch_size=4))
    assert "(batch_size: 8 -> 4; seed: 0 -> 1)" in str(error.value)
    assert "--workdir" in str(error.value) and "\n" not in str(error.value)
    assert (tmp_path / "config.json").read_bytes() == before


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_ended_before_its_first_step_binds_to_no_config(tmp_path, elsewhere):
    place = str(tmp_path / "shared") if elsewhere else ""
    run = tmp_path / "run"
    folder.write_run(run, config(checkpoint__dir=place))
    with Checkpoints(run, directory=place) as checkpoints, Logger(run, tensorboard=False) as log:
        log.begin(0, -1, 4)
        folder.check_run(run, config(batch_size=4))
        (checkpoints.directory / "3").mkdir()
    with pytest.raises(ConfigError, match="batch_size: 8 -> 4"):
        folder.check_run(run, config(batch_size=4))


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    here = socket.gethostname()
    said = (
        rf"another process \({here}:{os.getpid()}\) trains in {tmp_path}/run: wait for it or stop"
    )
    with folder.alone(tmp_path / "run"):
        with pytest.raises(ConfigError, match=said), folder.alone(tmp_path / "run"):
            pass
        with folder.alone(tmp_path / "other"):
            pass
    holder = (
        "import pathlib, sys, time; from alexnet_jax.run import folder\n"
        "with folder.alone(pathlib.Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", holder, str(tmp_path / "run")]
    with subprocess.Popen(command, cwd=tiny.REPOSITORY, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in\n"
        said = rf"another process \({here}:{process.pid}\) trains"
        with pytest.raises(ConfigError, match=said), folder.alone(tmp_path / "run"):
            pass
        process.kill()
    with folder.alone(tmp_path / "run"):  # it died with its process
        pass


def test_a_disk_without_locks_is_not_in_the_way(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with folder.alone(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"file/run/config.json could not be written: Not a dir"):
        folder.write_run(tmp_path / "file" / "run", config())
    with (
        pytest.raises(ConfigError, match="file/run could not be written: Not a dir"),
        folder.alone(tmp_path / "file" / "run"),
    ):
        pass


def test_what_does_not_change_the_numbers_may_change_and_is_written(tmp_path):
    folder.write_run(tmp_path, config())
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    changed = config(data__workers=7, epochs=9)
    folder.check_run(tmp_path, changed)
    folder.write_run(tmp_path, changed)
    found = folder.read_config(tmp_path)
    assert (found.data.workers, found.epochs) == (7, 9)


def test_a_folder_without_a_readable_run_says_so(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no run: .*config.json is not there"):
        folder.read_config(tmp_path)
    for text in ('{"seed": 0, "epo', "[]", '"a word"'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"config.json cannot be read"):
            folder.read_config(tmp_path)
