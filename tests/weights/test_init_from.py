"""Runs that start from the weights of another: all layers, some, and those that do not fit."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from alexnet_jax.errors import ConfigError, WeightsError
from alexnet_jax.net import resolving
from alexnet_jax.step.create import abstract_state, create_state
from alexnet_jax.system import sharding
from alexnet_jax.train import train
from alexnet_jax.weights import files, layout
from alexnet_jax.weights.container import Weights
from alexnet_jax.weights.importing import import_weights
from alexnet_jax.weights.init_from import _other_images, initialised
from alexnet_jax.weights.runs import read_run
from tests.support import tiny, weight_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_images(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def drawn(folder, tmp_path_factory):
    """(a file of weights of the tiny net of 3 classes, its tensors)."""
    net = resolving.resolve(tiny.config(folder).model, 3)
    tensors, path = (
        weight_files.draw_tensors(net),
        tmp_path_factory.mktemp("file") / "a.safetensors",
    )
    save_file(tensors, path)
    return path, tensors


def refused(folder, path, classes=3, **changes):
    """Begin, without a state drawn first."""
    config = tiny.config(folder, init_from=str(path), **changes)
    net = resolving.resolve(config.model, classes)
    mesh = sharding.make_mesh(config.mesh, net.columns, config.batch_size)
    initialised(abstract_state(config, net, mesh), config, net, mesh)


@functools.cache
def drawn_state(folder, data, group, classes):
    """Return (net, mesh, state) of a run that starts from no weights."""
    config = tiny.config(folder, mesh__data=data, mesh__group=group)
    net = resolving.resolve(config.model, classes)
    mesh = sharding.make_mesh(config.mesh, net.columns, config.batch_size)
    return net, mesh, create_state(config, net, mesh)


def begin(folder, path, data=1, group=1, classes=3, **changes):
    """Return (the net, its state, the same drawn anew, what is said) on a mesh."""
    config = tiny.config(folder, init_from=str(path), mesh__data=data, mesh__group=group, **changes)
    net, mesh, drawn = drawn_state(folder, data, group, classes)
    state, said = initialised(drawn, config, net, mesh)
    assert jax.tree.map(lambda x: x.sharding, state) == jax.tree.map(lambda x: x.sharding, drawn)
    assert not any(v.any() for v in jax.tree.leaves(jax.device_get(state.opt_state.velocity)))
    return net, state, drawn, said


@pytest.mark.slow
@pytest.mark.parametrize(("data", "group"), [(1, 1), (2, 2)])
def test_all_layers_on_any_mesh(data, group, folder, drawn):
    path, tensors = drawn
    net, state, _, said = begin(folder, path, data, group)
    found = layout.to_torch(net, jax.device_get(state.params), {})
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name], value)
    assert said.startswith(f"starts from {path}: conv1, conv2,") and "drawn anew" not in said


@pytest.mark.parametrize("given", [("conv1", "fc6"), ("fc6,conv1",)], ids=str)
def test_some_layers(given, folder, drawn):
    path, tensors = drawn
    net, state, anew, said = begin(folder, path, init_layers=given)
    found, fresh = (layout.to_torch(net, jax.device_get(s.params), {}) for s in (state, anew))
    for name, value in tensors.items():
        taken = name.partition(".")[0] in ("conv1", "fc6")
        np.testing.assert_array_equal(found[name], value if taken else fresh[name])
    assert ": conv1, fc6;" in said and "drawn anew: conv2, conv3, conv4, conv5, fc7, fc8" in said


@pytest.mark.slow
def test_a_layer_of_another_shape_is_named_and_can_be_left_out(folder, drawn):
    path, _ = drawn
    with pytest.raises(WeightsError) as caught:
        refused(folder, path, classes=7)
    said = str(caught.value)
    assert "fc8.bias expected (7,), found (3,); fc8.weight expected (7, " in said
    others = "conv1,conv2,conv3,conv4,conv5,fc6,fc7"
    assert said.endswith(f"--config.init_layers={others} leaves them out") and "\n" not in said
    others = (others.replace(",fc6", ""), "fc6")
    _, state, anew, _ = begin(folder, path, classes=7, init_layers=others)
    assert tiny.bits(state.params["fc8"]) == tiny.bits(anew.params["fc8"])
    assert tiny.bits(state.params["fc7"]) != tiny.bits(anew.params["fc7"])


def test_a_layer_that_is_not_there_is_named(folder, drawn):
    path, _ = drawn
    with pytest.raises(WeightsError, match=r"conv6.bias expected .*, found none"):
        refused(folder, path, model__arch="six_conv")
    with pytest.raises(ConfigError, match=r"init_layers takes conv1, .*; got conv9"):
        refused(folder, path, init_layers=("conv1", "conv9"))
    with pytest.raises(WeightsError, match="is not there"):
        refused(folder, path.with_stem("nothing"))


@pytest.mark.slow
def test_a_run_starts_from_another_run(folder, drawn, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    values = dataclasses.replace(files.read(drawn[0]), mean=np.full(3, 100, np.float32))
    import_weights(values, tiny.config(folder), first, "paper")
    config = tiny.config(
        folder,
        epochs=1,
        init_from=str(first),
        init_layers=("conv1", "conv2"),
        mesh__group=2,
        optimizer__learning_rate=0.0,
    )
    train(config, second)
    said = (
        f"starts from {first}: conv1, conv2; it was given RGB 0-255 less [100.00, 100.00, 100.00]"
    )
    assert said in capsys.readouterr().err
    found = read_run(second, "latest").tensors
    for name, value in drawn[1].items():
        assert np.array_equal(found[name], value) == name.startswith(("conv1.", "conv2.")), name
    train(config, second)  # goes on: nothing is loaded again
    assert "starts from" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("divide_by", "mean", "said"),
    [
        ((1.0, 1.0, 1.0), (123.0, 117.0, 104.0), ""),
        ((58.4, 57.1, 57.4), (123.0, 117.0, 104.0), "divided by [58.4, 57.1, 57.4]"),
        ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), "less [0.0, 0.0, 0.0]"),
        ((255.0, 255.0, 255.0), (0.0, 0.0, 0.0), "divided by [255, 255, 255]"),
    ],
)
def test_weights_whose_mean_or_scale_is_another(divide_by, mean, said, folder):
    config = tiny.config(
        folder, data__divide_by=divide_by, data__mean="values", data__mean_values=mean
    )
    weights = Weights("file", {}, mean=np.array([123.0, 117.0, 104.0], np.float32))
    found = _other_images(weights, config)
    assert said in found and bool(said) == bool(found)
