"""check: what is right passes; each thing that is wrong is named, and exits 1."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from ml_collections import ConfigDict

from alexnet_jax.data.check import check as check_module
from alexnet_jax.data.check.check import check
from alexnet_jax.data.check.release_facts import FACTS, Facts
from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from alexnet_jax.data.store.statistics import Statistics
from alexnet_jax.errors import DataError
from tests.support import official, tiny

REAL = FACTS["2012"]
SMALL = Facts(
    classes=4,
    images={"train": 44, "validation": 13},
    labels={"n01440764": 0, "n01443537": 1, "n02119789": 2, "n15075141": 3},
    ilsvrc_ids={"n02119789": 1},
    images_labels={"ILSVRC2012_val_00000001.JPEG": 1, "ILSVRC2012_val_00000002.JPEG": 2},
)


def config(tmp_path, **changes) -> ConfigDict:
    return tiny.data_config(
        tmp_path,
        **{"builder": "ilsvrc", "dir": str(tmp_path / "archives"), "validation_fraction": 0.2}
        | changes,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> pathlib.Path:
    """The prepared copy of the small ILSVRC-2012, for all tests."""
    folder = tmp_path_factory.mktemp("made")
    official.write_2012(folder / "archives")
    return prepare(config(folder)).directory


@pytest.fixture
def directory(tmp_path, made, monkeypatch) -> pathlib.Path:
    """A copy of it for one test, which has the facts that are known of it."""
    monkeypatch.setitem(check_module.FACTS, "2012", SMALL)
    return pathlib.Path(shutil.copytree(made, prepared_directory(config(tmp_path))))


def test_the_real_facts():
    assert (REAL.images, REAL.classes) == ({"train": 1_281_167, "validation": 50_000}, 1000)
    assert REAL.labels == {"n01440764": 0, "n01443537": 1, "n02119789": 278, "n15075141": 999}
    assert FACTS["2010"].images == {"train": 1_261_406, "validation": 50_000, "test": 150_000}


def test_all_is_well(tmp_path, directory, capsys):
    result = check(config(tmp_path))
    assert result["ok"] and result["problems"] == []
    assert (result["train"], result["validation"], result["classes"]) == (44, 13, 4)
    assert result["odd"]["train"] == {"smaller than 256": 44}
    assert result["duplicates"] == [] and result["skipped"] == []
    lines = capsys.readouterr().out.splitlines()
    for row in (
        "ok train images 44 44",
        "ok label of n02119789 2 2",
        "ok ILSVRC id of n02119789 1 1",
        "ok label of ILSVRC2012_val_00000002.JPEG 2 2",
        "ok mean and covariance those of the records the same",
        "ok damaged records 0 0",
    ):
        assert row in [" ".join(line.split()) for line in lines]


def test_a_part_of_the_release(tmp_path, directory, monkeypatch):
    monkeypatch.setitem(check_module.FACTS, "2012", REAL)
    result = check(config(tmp_path))
    assert not result["ok"]
    assert "train images: expected 1281167, found 44" in result["problems"]
    assert "label of n02119789: expected 278, found 2" in result["problems"]
    assert "label of ILSVRC2012_val_00000001.JPEG: expected 65, found 1" in result["problems"]
    assert check(config(tmp_path), subset=True)["ok"]


def damaged_record(directory):
    path = next(directory.glob("*train.array_record*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 64] = bytes(64)
    path.write_bytes(data)


def missing_file(directory):
    next(directory.glob("*validation.array_record*")).rename(directory / "elsewhere")


def other_labels(directory):
    names = (directory / "label.labels.txt").read_text().split()
    (directory / "label.labels.txt").write_text("\n".join([names[1], names[0], *names[2:]]) + "\n")


def other_statistics(directory):
    path = directory / "statistics.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["mean_image"] = arrays["mean_image"] + np.float32(1e-3)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("spoil", "problems"),
    [
        (damaged_record, ["files with their SHA-256", "damaged records", "mean and covariance"]),
        (missing_file, ["files with their SHA-256", "damaged records"]),
        (other_labels, ["train images named of another class", "labels", "label of n01440764"]),
        (other_statistics, ["mean and covariance"]),
    ],
)
def test_what_is_wrong(tmp_path, directory, spoil, problems):
    spoil(directory)
    result = check(config(tmp_path))
    assert not result["ok"]
    found = [problem.partition(":")[0] for problem in result["problems"]]
    assert set(problems) <= set(found)


def test_statistics_of_another_cpu_and_of_other_images(tmp_path, directory):
    stored = Statistics.load(directory / "statistics.npz")

    def found(changed: Statistics) -> bool:
        changed.save(directory / "statistics.npz")
        return check(config(tmp_path))["ok"]

    last_bits = stored.eigenvectors * (1 + 1e-15)
    assert not np.array_equal(last_bits, stored.eigenvectors)
    assert found(dataclasses.replace(stored, eigenvectors=last_bits))
    for name, value in (
        ("eigenvalues", stored.eigenvalues * (1 + 1e-6)),
        ("eigenvectors", stored.eigenvectors[::-1]),
        ("mean_image", np.nextafter(stored.mean_image, np.float32(1e3))),
    ):
        assert not found(dataclasses.replace(stored, **{name: value})), name
    with pytest.raises(DataError, match="statistics.npz is of other images"):
        found(dataclasses.replace(stored, images=stored.images + 1))


def test_what_cannot_be_opened(tmp_path, directory):
    (directory / "odd.json").unlink()
    with pytest.raises(DataError, match="no prepared dataset .*odd.json.*delete it"):
        check(config(tmp_path))


def test_an_image_of_validation_in_train(tmp_path):
    source = official.write_2012(tmp_path / "archives")
    images, wnids = official.numbered_images("ILSVRC2012_val", 13, 1)
    train = official.train_images()
    train[wnids[4]][f"{wnids[4]}_5000.JPEG"] = images["ILSVRC2012_val_00000005.JPEG"]
    (source / "ILSVRC2012_img_train.tar").write_bytes(official.tar_of_tars(train))
    prepare(config(tmp_path))
    result = check(config(tmp_path), subset=True)
    assert result["ok"]  # told, and for the user to judge
    assert result["duplicates"] == [
        {
            "split": "validation",
            "file": "ILSVRC2012_val_00000005.JPEG",
            "train_file": f"{wnids[4]}/{wnids[4]}_5000.JPEG",
        }
    ]


@pytest.mark.slow
def test_command_line(tmp_path, directory):
    recipe = tmp_path / "recipe.py"
    values = {"data": config(tmp_path).to_dict()}
    recipe.write_text(
        "from ml_collections import ConfigDict\n"
        f"def get_config():\n    return ConfigDict({values!r})\n"
    )
    command = [sys.executable, "-m", "alexnet_jax.data.check", f"--config={recipe}"]
    environment = {**os.environ, "PYTHONPATH": str(tiny.REPOSITORY)}
    for flags, code in (
        ([], 1),
        (["--subset"], 0),
        (["--subset", "--config.data.storage=raw"], 1),  # not prepared
    ):
        done = subprocess.run([*command, *flags], env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert result["ok"] is (code == 0)
        assert bool(result["problems"]) is (code == 1)
    assert "prepare it with python -m alexnet_jax.data.prepare" in result["problems"][0]
