"""Activations of a net on every mesh against the net run whole, one activation after the other."""

import types

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from alexnet_jax.analysis.features.extraction import activation_names, last_hidden, make_extract
from alexnet_jax.errors import ConfigError
from alexnet_jax.net import resolving, variants
from alexnet_jax.system import sharding
from tests.support.narrow_nets import draw_params, make_arch, names, run

SIZE, CLASSES = 67, 10
NET = make_arch(image_size=SIZE, classes=CLASSES)
PARAMS = draw_params(NET)
MEAN = np.random.default_rng(1).uniform(90, 150, (256, 256, 3)).astype(np.float32)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 256, 256, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def slow():
    """Every activation of the central views, columns first."""
    start = (256 - SIZE) // 2
    middle = slice(start, start + SIZE)
    return run(NET, PARAMS, (IMAGES.astype(np.float32) - MEAN)[:, middle, middle])[1]


def extracted(data, group, name, compute_dtype="float32"):
    net = make_arch(image_size=SIZE, classes=CLASSES, compute_dtype=compute_dtype)
    mesh = sharding.make_mesh(ConfigDict({"data": data, "group": group}), 2, data)
    params = jax.device_put(PARAMS, sharding.placed(mesh, sharding.param_specs(PARAMS)))
    return make_extract(net, mesh, name)(params, {}, IMAGES, {"mean": MEAN})


@pytest.mark.parametrize(
    ("data", "group", "name"),
    [
        (1, 1, "relu7"),
        (1, 2, "relu7"),
        (2, 2, "relu7"),
        (2, 2, "fc8"),
        (2, 2, "pool2"),
        (1, 2, "conv1"),
    ],
)
def test_columns_side_by_side_on_every_mesh(data, group, name, slow):
    found = extracted(data, group, name)
    columns = slow[name]  # (columns, B, ...); of fc8 one
    expected = np.concatenate(list(columns), axis=-1)
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    if name == "relu7":
        assert found.shape == (4, 256) and (np.asarray(found) == 0).any()  # after the nonlinearity
        assert not np.allclose(columns[0], columns[1])


def test_bfloat16_comes_as_float32(slow):
    found = np.asarray(extracted(1, 1, "relu7", "bfloat16"))
    expected = np.concatenate(list(slow["relu7"]), axis=-1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())


def test_names_are_those_of_the_net():
    assert activation_names(NET) == names(NET)
    assert last_hidden(NET) == ("fc7", "relu7")
    assert last_hidden(make_arch(activation="tanh")) == ("fc7", "tanh7")
    assert last_hidden(make_arch(drop_layers="fc7"))[0] == "fc6"
    for name in variants.ARCHITECTURES:
        assert last_hidden(resolving.resolve(resolving.overrides(name)))[0] in activation_names(
            resolving.resolve(resolving.overrides(name))
        )


def test_an_unknown_layer_is_one_line():
    with pytest.raises(ConfigError, match="no layer 'fc9': expected one of conv1, relu1, norm1, "):
        make_extract(NET, types.SimpleNamespace(), "fc9")
