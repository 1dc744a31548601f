"""A preparation that is killed again and again ends with the bytes of one that never was."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from ml_collections import ConfigDict

from alexnet_jax.data.prepare import preparation, unfinished
from alexnet_jax.data.prepare.preparation import partial_directory
from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from tests.support import official, tiny

OF_A_CLASS, VALIDATION = 350, 300  # images: 1400 of train in 6 shards, 2 shards of validation
OF_A_CLASS_FEW = 80  # 320 of train in 2 shards
KILLS = 5


def config(tmp_path, prepared: str) -> ConfigDict:
    folders = {"dir": str(tmp_path / "archives"), "prepared_dir": str(tmp_path / prepared)}
    return tiny.data_config(tmp_path, builder="ilsvrc", max_bad_fraction=0.01, **folders)


def train_images(of_a_class: int, empty: tuple[int, ...] = ()) -> bytes:
    """Return the archive of the training images, some of the first class empty."""
    train = {
        wnid: {f"{wnid}_{k}.JPEG": official.jpeg(wnid, k, (420, 310)) for k in range(of_a_class)}
        for wnid in official.WNIDS
    }
    train["n01440764"] |= {f"n01440764_{k}.JPEG": b"" for k in empty}
    return official.tar_of_tars(train)


def write(tmp_path, train: bytes) -> pathlib.Path:
    folder = official.write_2012(tmp_path / "archives", validation=VALIDATION)
    (folder / "ILSVRC2012_img_train.tar").write_bytes(train)
    return folder


@pytest.fixture
def source(tmp_path):
    """1400 training images in the official archives, two of them empty."""
    return write(tmp_path, train_images(OF_A_CLASS, empty=(7, 200)))


@pytest.fixture
def small_source(tmp_path):
    """320 training images in the official archives; two in the first shard are empty."""
    return write(tmp_path, train_images(OF_A_CLASS_FEW, empty=(7, 70)))


def start(tmp_path, *flags: str) -> subprocess.Popen:
    recipe = tmp_path / "recipe.py"
    values = {"data": config(tmp_path, "killed").to_dict()}
    recipe.write_text(
        "from ml_collections import ConfigDict\n"
        f"def get_config():\n    return ConfigDict({values!r})\n"
    )
    return subprocess.Popen(
        [sys.executable, "-m", "alexnet_jax.data.prepare", f"--config={recipe}", *flags],
        env={**os.environ, "PYTHONPATH": str(tiny.REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(partial: pathlib.Path) -> dict[str, int]:
    """Return when each shard that has its note was written, by its name."""
    notes = [path.name.removesuffix(".npz") for path in (partial / "notes").glob("*.npz")]
    return {name: (partial / "data" / name).stat().st_mtime_ns for name in notes}


def images_of(shard: str) -> int:
    """Return the images of a shard by its name, ...-00005-of-00006; a split's last has fewer."""
    index, shards_of_split = map(int, re.findall(r"\d{5}", shard)[-2:])
    images = {6: 4 * OF_A_CLASS, 2: VALIDATION}[shards_of_split]
    return min(256, images - 256 * index)


def kill_after_a_shard(tmp_path, partial: pathlib.Path, delay: float) -> None:
    before = len(finished(partial))
    process = start(tmp_path)
    try:
        deadline = time.monotonic() + 60
        while len(finished(partial)) <= before:
            assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_five_kills(tmp_path, source):
    whole = prepare(config(tmp_path, "whole")).directory
    directory = prepared_directory(config(tmp_path, "killed"))
    partial = partial_directory(directory)
    written: dict[str, int] = {}
    for kill in range(KILLS):
        kill_after_a_shard(tmp_path, partial, 0.03 * kill)
        now = finished(partial)
        # What was finished before is as it was: nothing is made twice.
        assert written.items() <= now.items() and len(now) > len(written)
        assert not directory.exists()
        written = now
    process = start(tmp_path, "--config.data.workers=5")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert f"1700 images, {sum(map(images_of, written))} of them done" in err
    for name, when in written.items():
        assert (directory / name).stat().st_mtime_ns == when
    made, unbroken = ({p.name: p.read_bytes() for p in d.iterdir()} for d in (directory, whole))
    assert made == unbroken
    assert not partial.exists()
    assert [path.name for path in directory.parent.iterdir() if path.name != "prepare.lock"] == [
        directory.name
    ]


@pytest.mark.slow
def test_a_changed_source_begins_anew(tmp_path, small_source, capsys):
    directory = prepared_directory(config(tmp_path, "killed"))
    kill_after_a_shard(tmp_path, partial_directory(directory), 0.0)
    train = official.train_images()
    (small_source / "ILSVRC2012_img_train.tar").write_bytes(official.tar_of_tars(train))
    dataset = prepare(config(tmp_path, "killed"))
    assert dataset.num_examples("train") == 44 and dataset.skipped == []
    assert "begun with other files, begins anew" in capsys.readouterr().err


@pytest.mark.slow
def test_a_mended_file_is_read_again(tmp_path, small_source):
    strict = config(tmp_path, "killed")
    directory = prepared_directory(strict)
    kill_after_a_shard(tmp_path, partial_directory(directory), 0.0)  # two are skipped by now
    strict.max_bad_fraction = 0.0
    with pytest.raises(Exception, match="n01440764_7.JPEG: the file is empty; 2 of 320 images"):
        prepare(strict)
    path = small_source / "ILSVRC2012_img_train.tar"
    path.write_bytes(train_images(OF_A_CLASS_FEW))
    dataset = prepare(strict)
    assert dataset.num_examples("train") == 320 and dataset.skipped == []


class Killed(BaseException):
    """Stands for a kill at a chosen place."""


def killed_at(place: str, tmp_path, monkeypatch) -> None:
    """Prepare until a method of unfinished.Partial is reached."""

    def stop(*arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(unfinished.Partial, place, stop)
        with pytest.raises(Killed):
            prepare(config(tmp_path, "killed"))
    assert not prepared_directory(config(tmp_path, "killed")).exists()


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def small(tmp_path, monkeypatch) -> dict[str, bytes]:
    """What an unbroken preparation makes of 44 and 13 images, ten to a shard."""
    monkeypatch.setattr(preparation, "_SHARD_ITEMS", 10)
    official.write_2012(tmp_path / "archives")
    return contents(prepare(config(tmp_path, "whole")).directory)


@pytest.mark.parametrize("place", ["write", "finish", "publish"])
def test_stopped_between_two_steps(tmp_path, small, monkeypatch, place):
    killed_at(place, tmp_path, monkeypatch)
    assert contents(prepare(config(tmp_path, "killed")).directory) == small


def test_what_is_damaged_meanwhile_is_made_again(tmp_path, small, monkeypatch):
    killed_at("publish", tmp_path, monkeypatch)
    directory = prepared_directory(config(tmp_path, "killed"))
    partial = partial_directory(directory)
    notes, data = sorted((partial / "notes").iterdir()), sorted((partial / "data").glob("*record*"))
    notes[0].unlink()  # killed after the shard's rename, before the note's
    notes[1].write_bytes(notes[1].read_bytes()[:100])
    data[2].write_bytes(b"")
    assert contents(prepare(config(tmp_path, "killed")).directory) == small
    partial.mkdir()  # killed after the last rename, before the rest was cleared away
    prepare(config(tmp_path, "killed"))
    assert not partial.exists()
