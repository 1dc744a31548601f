"""What train refuses before it prepares images, which may take hours."""

import pytest

from alexnet_jax import train
from alexnet_jax.errors import ConfigError
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
