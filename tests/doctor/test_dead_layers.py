"""Where the difference between images dies."""

import dataclasses
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from alexnet_jax.doctor import dead_layers
from alexnet_jax.net import resolving
from alexnet_jax.net.parameters import merge, structure_of
from alexnet_jax.step import create
from tests.support import tiny

pytestmark = pytest.mark.slow

# What each layer passes on (paper 3.5, figure 2).
PASSED_ON = {
    "conv1": "pool1",
    "conv2": "pool2",
    "conv3": "relu3",
    "conv4": "relu4",
    "conv5": "pool5",
    "fc6": "dropout6",
    "fc7": "dropout7",
    "fc8": "fc8",
}
LAYERS = tuple(PASSED_ON)


@pytest.fixture(scope="module")
def healthy():
    """A net whose weights keep the signal alive, its state, and images."""
    std = {f"model__init__std__{name}": 0.15 for name in LAYERS}
    bias = {f"model__init__bias__{name}": 1.0 for name in LAYERS}
    config = tiny.config(pathlib.Path("nowhere"), model__classes=5, model__width=0.1, **std, **bias)
    net = resolving.resolve(config.model)
    state = jax.jit(lambda: create.initial_state(config, net))()
    images = np.random.default_rng(0).normal(0, 60, (6, 67, 67, 3)).astype(np.float32)
    return net, state, jnp.asarray(images)


def without_weights(state, *layers: str, factor: float = 0.0):
    """Return the state with the kernels of these layers times `factor`; biases stay."""
    params = {
        name: {**own, "kernel": own["kernel"] * factor} if name in layers else own
        for name, own in state.params.items()
    }
    return dataclasses.replace(state, params=params)


def test_spread_is_that_of_the_activations(healthy):
    net, state, images = healthy
    found = dead_layers.spreads(net, state, images)
    assert tuple(found) == LAYERS
    model = merge(structure_of(net), state.params, state.batch_stats)
    _, kept = model(images, activations=tuple(PASSED_ON.values()))
    for name, passed_on in PASSED_ON.items():
        x = np.asarray(kept[passed_on], np.float64)  # (columns, images, ...)
        spread = np.sqrt(((x - x.mean(1, keepdims=True)) ** 2).mean())
        expected = spread / max(1.0, np.sqrt((x**2).mean()))
        assert found[name] == pytest.approx(expected, rel=1e-3), name


def test_a_healthy_net_has_no_dead_layer(healthy):
    assert dead_layers.first_dead_layer(dead_layers.spreads(*healthy)) is None


@pytest.mark.parametrize("layer", ["conv1", "conv4", "fc7", "fc8"])
def test_a_layer_without_weights_is_the_first_dead_one(healthy, layer):
    net, state, images = healthy
    sizes = dead_layers.spreads(net, without_weights(state, layer), images)
    assert sizes[layer] < 1e-6
    assert dead_layers.first_dead_layer(sizes) == layer


def test_tiny_weights_under_a_bias_are_dead_and_the_first_layer_is_named(healthy):
    net, state, images = healthy
    tiny_weights = without_weights(state, "conv4", "fc6", factor=1e-6)
    sizes = dead_layers.spreads(net, tiny_weights, images)
    assert 1e-12 < sizes["conv4"] < dead_layers.DEAD
    assert dead_layers.first_dead_layer(sizes) == "conv4"


def test_images_that_are_all_alike_say_nothing(healthy):
    net, state, images = healthy
    alike = jnp.broadcast_to(images[:1], images.shape)
    assert dead_layers.first_dead_layer(dead_layers.spreads(net, state, alike)) == "conv1"


def test_a_signal_that_vanishes_is_dead_though_images_differ_in_it(healthy):
    net, state, images = healthy
    faint = without_weights(state, "conv3", factor=1e-6)
    faint.params["conv3"]["bias"] = jnp.zeros_like(faint.params["conv3"]["bias"])
    assert dead_layers.first_dead_layer(dead_layers.spreads(net, faint, images)) == "conv3"


def test_before_training_batch_normalization_has_the_statistics_of_the_images(healthy):
    _, _, images = healthy
    config = tiny.config(pathlib.Path("nowhere"), model__classes=5, model__norm="batch")
    net = resolving.resolve(config.model)
    state = jax.jit(lambda: create.initial_state(config, net))()
    key = jax.random.key(0)
    found, of_less = (
        dead_layers.spreads(net, without_weights(state, "conv1", factor=factor), images, key)
        for factor in (1.0, 0.5)
    )
    assert found["conv1"] > 0.3  # of what has a deviation of 1 before ReLU and pooling
    assert of_less["conv1"] == pytest.approx(found["conv1"], rel=0.02)  # it takes the size out


def watch_of(steps: int, classes: int = 10, plateau: int = 2000, monkeypatch=None, dead="conv4"):
    model = resolving.overrides("paper")
    model.classes = classes
    log = ConfigDict({"every_steps": 100, "plateau_steps": plateau})
    watch = dead_layers.ChanceWatch(resolving.resolve(model), None, {}, log, steps)
    watch._views = lambda: None
    monkeypatch.setattr(
        dead_layers, "spreads", lambda *_: {"conv1": 1.0, dead: 0.0} if dead else {}
    )
    return watch


@pytest.mark.parametrize(
    ("steps", "plateau", "early"),
    [(222, 500, 22), (72, 2000, 7), (16, 2000, 0), (4000, 500, 400), (900_000, 2000, 0)],
)
def test_a_short_run_is_looked_at_after_a_tenth(monkeypatch, steps, plateau, early):
    assert watch_of(steps, plateau=plateau, monkeypatch=monkeypatch).early == early


def test_the_early_warning_needs_a_loss_at_chance_and_a_dead_layer(monkeypatch):
    watch = watch_of(222, monkeypatch=monkeypatch)
    assert watch.early_warning(2.2, None) is None  # ln(10) is 2.303
    assert watch_of(222, monkeypatch=monkeypatch, dead=None).early_warning(2.31, None) is None
    watch = watch_of(222, plateau=100, monkeypatch=monkeypatch)
    said = watch.early_warning(2.31, None)
    assert said is not None and "ln(10) = 2.303" in said and said.endswith("dead is conv4")
    assert watch.warning(2.30, None) is None  # it was told


@pytest.mark.parametrize(
    ("loss", "error", "classes", "at_chance"),
    [
        (2.303, 0.9, 10, True),
        (2.29, 0.87, 10, True),
        (9.5, 0.9, 10, True),  # it gives one answer with confidence
        (1.2, 0.4, 10, False),
        (6.5, 0.97, 1000, False),
        (6.908, 0.999, 1000, True),
    ],
)
def test_a_run_that_ends_at_chance_has_last_words(monkeypatch, loss, error, classes, at_chance):
    said = watch_of(100, classes, monkeypatch=monkeypatch).last_words(loss, error)
    assert (said is not None) == at_chance
    if said:
        assert f"ln({classes}) = {math.log(classes):.3f} and {1 - 1 / classes:.3f}" in said
