"""From the official archives to a trained and evaluated net: each release, 20 steps."""

import functools
import json

import pytest

from alexnet_jax.data.check.check import check
from alexnet_jax.inference import predictions
from alexnet_jax.run import evaluations
from alexnet_jax.train import train
from tests.support import commands, official, tiny

WRITE = {
    "2012": (official.write_2012, 13),
    "2010": (official.write_2010, 9),
    "fall2011": (official.write_fall2011, None),
}


def settings(folder, release: str) -> dict:
    return {
        "data__builder": "ilsvrc",
        "data__release": release,
        "data__dir": str(folder / "images"),
        "data__validation_fraction": 0.2,
        "epochs": 5,  # more than 20 steps of 8
        "mesh__data": 1,
        "mesh__group": 1,
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a function: release -> (the folder of its images and its run, config, result)."""

    @functools.cache
    def of(release: str):
        folder = tmp_path_factory.mktemp(release)
        WRITE[release][0](folder / "images")
        (folder / "images" / "n04399382.tar").unlink(missing_ok=True)  # no images: fewer classes
        config = tiny.config(folder, **settings(folder, release))
        return folder, config, train(config, folder / "run")

    return of


@pytest.mark.parametrize("release", WRITE)
def test_prepared_checked_and_trained(trained, release):
    folder, config, result = trained(release)
    validation = WRITE[release][1]
    assert result["step"] >= 20 and result["split"] == "val"
    found = check(config.data, subset=True)
    assert found["ok"] and found["validation"] == result["images"]
    assert validation is None or result["images"] == validation
    losses = [line["loss"] for line in tiny.lines(folder / "run") if line["split"] == "train"]
    assert len(losses) == result["step"]
    assert found["classes"] == 4


def evaluated(*flags: str) -> dict:
    done = commands.run("evaluate", *flags)
    assert done.code == 0, done.err
    return json.loads(done.out.splitlines()[-1])


def test_the_test_images_of_2010_are_evaluated(trained, tmp_path):
    folder, _, result = trained("2010")
    of_validation = {"step": result["step"], "views": 10, "resize": "aspect/area", "images": 9}
    evaluations.remember(folder / "run", of_validation)
    flags = (f"--workdir={folder / 'run'}", "--split=test", "--views=10", "--checkpoint=latest")
    found = evaluated(*flags, f"--out={tmp_path / 'kept.npz'}")
    assert (found["split"], found["images"], found["views"]) == ("test", 17, 10)
    kept = predictions.load(tmp_path / "kept.npz")
    assert (kept.split, kept.files[0]) == ("test", "ILSVRC2010_test_00000001.JPEG")
    first, second = evaluations.read(folder / "run")
    assert first == of_validation
    assert (second["split"], second["step"]) == ("test", result["step"])


def test_evaluated_by_the_command_line(trained):
    folder, _, result = trained("2012")
    assert evaluated(f"--workdir={folder / 'run'}")["images"] == result["images"] == 13
