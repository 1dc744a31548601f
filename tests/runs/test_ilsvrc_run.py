"""From the official archives to a trained and evaluated net: each release, 20 steps."""

import json

import pytest

from alexnet_jax.data.check.check import check
from alexnet_jax.inference import predictions
from alexnet_jax.run import evaluations
from alexnet_jax.train import train
from tests.support import official, tiny

pytestmark = pytest.mark.usefixtures("compiled_once")

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


@pytest.mark.parametrize("release", WRITE)
def test_prepared_checked_trained_and_evaluated(tmp_path, release):
    write, validation = WRITE[release]
    write(tmp_path / "images")
    (tmp_path / "images" / "n04399382.tar").unlink(missing_ok=True)  # without images: fewer classes
    config = tiny.config(tmp_path, **settings(tmp_path, release))
    result = train(config, tmp_path / "run")
    assert result["step"] >= 20 and result["split"] == "val"
    found = check(config.data, subset=True)
    assert found["ok"] and found["validation"] == result["images"]
    assert validation is None or result["images"] == validation
    losses = [line["loss"] for line in tiny.lines(tmp_path / "run") if line["split"] == "train"]
    assert len(losses) == result["step"]
    assert found["classes"] == 4


def test_the_test_images_of_2010_are_evaluated(tmp_path):
    official.write_2010(tmp_path / "images")
    config = tiny.config(tmp_path, **{**settings(tmp_path, "2010"), "epochs": 1})
    train(config, tmp_path / "run")
    of_validation = {"step": 6, "views": 10, "resize": "aspect/area", "images": 9}
    evaluations.remember(tmp_path / "run", of_validation)
    flags = (f"--workdir={tmp_path / 'run'}", "--split=test", "--views=10")
    process = tiny.start(tmp_path, *flags, f"--out={tmp_path / 'kept.npz'}", module="evaluate")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    found = json.loads(out.splitlines()[-1])
    assert (found["split"], found["images"], found["views"]) == ("test", 17, 10)
    kept = predictions.load(tmp_path / "kept.npz")
    assert (kept.split, kept.files[0]) == ("test", "ILSVRC2010_test_00000001.JPEG")
    first, second = evaluations.read(tmp_path / "run")
    assert first == of_validation and (second["split"], second["step"]) == ("test", 6)


def test_evaluated_by_the_command_line(tmp_path):
    official.write_2012(tmp_path / "images")
    config = tiny.config(tmp_path, **settings(tmp_path, "2012"))
    result = train(config, tmp_path / "run")
    process = tiny.start(tmp_path, f"--workdir={tmp_path / 'run'}", module="evaluate")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    evaluated = json.loads(out.splitlines()[-1])
    assert evaluated["images"] == result["images"] == 13
