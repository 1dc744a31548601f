"""What train refuses before it prepares images, which may take hours."""

import json
import types

import numpy as np
import pytest

from alexnet_jax import train
from alexnet_jax.errors import ConfigError, DataError
from alexnet_jax.run import dataset_info
from alexnet_jax.system import distributed
from tests.support import tiny


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is at least 1; got 0"),
        ({"model__pool__window": 9}, "model.pool.window=9 does not fit in the"),
        ({"model__image_size": 63}, "pool.window=3 does not fit in the 2 pixels that conv5 leaves"),
        ({"model__image_size": 257}, "model.image_size is at most data.size=256, .*; got 257"),
        ({"data__size": 66}, "model.image_size is at most data.size=66, .*; got 67"),
        ({"data__mean": "file", "data__mean_file": "nowhere.npy"}, "data.mean_file is an .npy"),
        ({"init_from": "weights.npy", "init_layers": ("conv9",)}, "init_layers takes conv1, .*"),
        ({"init_from": "weights.npy", "init_layers": (1, 2)}, r"init_layers is names .*\(1, 2\)"),
        ({"mesh__data": 3}, "mesh data=3 x group=2 does not fit on 4"),
        ({"schedule__layers": (("conv9", 0, 0.1),)}, "schedule.layers names one of conv1"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_prepared(
    tmp_path, monkeypatch, devices, changes, message
):
    monkeypatch.setattr(train, "prepare", lambda data: pytest.fail("it prepares images"))
    with pytest.raises(ConfigError, match=message) as error:
        train.train(tiny.config(tmp_path, **{"mesh__cpu_devices": 1, **changes}), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_process_is_started_with_the_command_and_packages_of_process_0(tmp_path, monkeypatch):
    config, of_first = tiny.config(tmp_path), {}

    def first_has(here: bytes) -> bytes:
        return json.dumps(json.loads(here) | of_first).encode()

    monkeypatch.setattr(distributed, "first_has", first_has)
    train._check_same_in_all(config)
    of_first |= {"data.dir": "/its/own/disk", "data.workers": 99}
    train._check_same_in_all(config)
    of_first |= {"optax": "0.1", "optimizer.learning_rate": 0.5}
    said = r"\(optax: '0.1', here '[\d.]+'; optimizer.learning_rate: 0.5, here 0.01\): start all"
    with pytest.raises(ConfigError, match=said):
        train._check_same_in_all(config)


@pytest.mark.parametrize("other", ["classes", "count", "mean"])
def test_a_process_has_the_images_of_process_0(monkeypatch, other):
    def dataset(names=("ant", "bee"), images=42, brightness=100.0):
        mean = np.full((8, 8, 3), brightness, np.float32)
        statistics = types.SimpleNamespace(mean_image=mean)
        return types.SimpleNamespace(
            directory="/here",
            class_names=names,
            num_examples=lambda split: images,
            statistics=statistics,
        )

    said = []
    monkeypatch.setattr(distributed, "first_has", lambda data: said.append(data) or data)
    dataset_info.check_same_in_all(dataset())
    monkeypatch.setattr(distributed, "first_has", lambda data: said.pop(0))
    said += said
    dataset_info.check_same_in_all(dataset(brightness=100.2))  # by another JPEG decoder
    changed = {"classes": {"names": ("ant", "cow")}, "count": {"images": 41}}
    with pytest.raises(DataError, match="/here holds other images than process 0"):
        dataset_info.check_same_in_all(dataset(**changed.get(other, {"brightness": 101.0})))
