"""What the first step would be like: gradients against differences of losses, and the verdicts."""

import functools
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from alexnet_jax.doctor import __main__ as command
from alexnet_jax.doctor import examine
from alexnet_jax.errors import ConfigError, WeightsError
from alexnet_jax.net import resolving
from alexnet_jax.net.parameters import merge, structure_of
from alexnet_jax.step import create
from alexnet_jax.system import sharding
from alexnet_jax.system.random_streams import stream
from alexnet_jax.system.sharding import FAST_COMPILE
from alexnet_jax.weights.runs import read_run
from tests.support import tiny, weight_files

pytestmark = pytest.mark.slow

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def healthy():
    """The tiny net with weights that keep the signal alive, and labelled images."""
    std = {f"model__init__std__{name}": 0.3 for name in LAYERS}
    rates = {"optimizer__learning_rate": 0.01, "optimizer__bias_learning_rate": 0.03}
    config = tiny.config(pathlib.Path("nowhere"), model__classes=3, **std, **rates)
    net = resolving.resolve(config.model)
    state = jax.jit(lambda: create.initial_state(config, net), compiler_options=FAST_COMPILE)()
    images = np.random.default_rng(0).normal(0, 60, (8, 67, 67, 3)).astype(np.float32)
    labels = jnp.asarray([0, 1, 1, 2, 2, 0, 0, 2], jnp.int32)
    found = examine.layers(net, state, jnp.asarray(images), labels, KEY, 0.9)
    return net, state, jnp.asarray(images), labels, found


def make_objectives(net, state, images, labels):
    """Return a function of parameters: (the loss, the labels' objective), masks as the doctor's."""

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def forward(params):
        model = merge(structure_of(net), params, state.batch_stats)
        masks = {"dropout_key": stream(KEY, "dropout"), "examples": jnp.zeros(8, jnp.int32)}
        return model(images, train=True, **masks)[0]

    def objectives(params):
        scores, rows = np.asarray(forward(params), np.float64), np.arange(8)
        own, other = scores[rows, labels], scores[rows, np.roll(labels, 1)]
        return (np.log(np.exp(scores).sum(1)) - own).mean(), (other - own).mean()

    return objectives


def moved(params, along, by: float):
    return jax.tree.map(lambda w, g: w + by * g, params, along)


def test_sizes_are_those_of_the_first_step(healthy):
    net, state, images, labels, found = healthy
    gradients, pulls = examine._gradients(net)(state.params, state.batch_stats, images, labels, KEY)
    objectives = make_objectives(net, state, images, np.asarray(labels))
    for place, tree in enumerate((gradients, pulls)):
        square = sum(float(np.square(np.asarray(x, float)).sum()) for x in jax.tree.leaves(tree))
        by = 1e-4 / math.sqrt(square)
        low, high = (objectives(moved(state.params, tree, sign * by))[place] for sign in (-1, 1))
        assert high - low == pytest.approx(2 * by * square, rel=0.03)
    for name in LAYERS:
        kernel, bias = (np.asarray(pulls[name][leaf], float) for leaf in ("kernel", "bias"))
        pull = 0.1 * np.square(kernel).sum() + 0.3 * np.square(bias).sum()  # rates over 1 - 0.9
        assert found[name].pull == pytest.approx(pull, rel=1e-4)
        weights, gradient = (
            np.sqrt(np.square(np.asarray(tree[name]["kernel"], float)).mean())
            for tree in (state.params, gradients)
        )
        assert found[name].weights == pytest.approx(weights, rel=1e-5)
        assert found[name].gradient == pytest.approx(gradient, rel=1e-4)
        assert found[name].move == pytest.approx(0.01 * gradient / weights, rel=1e-4)
        assert found[name].spread > 0


def test_labels_pull_at_nothing_where_all_images_are_alike(healthy):
    net, state, images, labels, found = healthy
    alike = jnp.broadcast_to(images[:1], images.shape)
    none = examine.layers(net, state, alike, labels, KEY, 0.9)
    whole, none = (sum(layer.pull for layer in each.values()) for each in (found, none))
    assert none < 1e-6 * whole


def layers_with(pull: float, **spread: float):
    return {
        name: examine.LayerSignal(spread.get(name, 0.5), 0.01, 0.01, 0.01, pull / len(LAYERS))
        for name in LAYERS
    }


def test_verdicts_are_those_of_the_measured_recipes():
    assert examine.judge(layers_with(1.5), 40)[0] == "starts"
    assert examine.judge(layers_with(0.017), 40)[0] == "starts late"
    assert examine.judge(layers_with(1.3e-3), 10)[0] == "starts late"
    assert examine.judge(layers_with(2e-4), 10)[0] == "not known to start"
    verdict, reason = examine.judge(layers_with(2e-7, conv3=0.005, fc6=0.0003), 1000)
    assert verdict == "not known to start"
    assert "2e-07 nats" in reason and "ln(1000) = 6.908" in reason
    assert "images hardly differ in conv3 (0.005)" in reason
    assert "hardly differ" not in examine.judge(layers_with(2e-7), 1000)[1]
    verdict, reason = examine.judge(layers_with(math.nan), 40)
    assert verdict == "does not start" and reason.startswith("a gradient is not finite")
    verdict, reason = examine.judge(layers_with(math.nan, conv3=math.nan, fc6=math.nan), 40)
    assert reason.startswith("the output of conv3 is not finite")


def test_the_rates_and_the_weights_are_those_that_the_run_begins_with(tmp_path):
    def first(**changes):
        """Return the state that the doctor looks at."""
        config = tiny.config(pathlib.Path("nowhere"), model__classes=3, **changes)
        net = resolving.resolve(config.model)
        mesh = sharding.make_mesh(ConfigDict({"data": 1, "group": 1}), net.columns, 8)
        return examine._first_state(config, net, mesh, tiny.TRAIN)

    weight_files.drawn_run(tmp_path, tmp_path / "other", 0)
    layers = [("conv1", 0, 0.5), ("fc8", 0, 0.0)]
    begun = first(schedule__layers=layers, init_from=str(tmp_path / "other"))
    rates = {name: float(rate) for name, rate in begun.opt_state.rates.weights.items()}
    assert rates == pytest.approx({**dict.fromkeys(LAYERS, 0.01), "conv1": 0.005, "fc8": 0.0})
    drawn = read_run(tmp_path / "other").tensors["fc6.bias"]
    np.testing.assert_array_equal(np.ravel(begun.params["fc6"]["bias"]), drawn)
    with pytest.raises(WeightsError, match="/nowhere"):
        first(init_from="/nowhere/at/all.npz")


def test_a_recipe_is_reported_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    tiny.write_images(tmp_path)
    monkeypatch.setattr(command, "remedy", lambda _: None)  # test_remedy.py
    command.report(tiny.config(tmp_path))
    *_, said, tried, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    # A net of 0.03 of the width with the quickstart's weights: nothing comes through.
    assert said == f"{result['verdict']}: {result['reason']}"
    assert result["verdict"] == "not known to start"
    assert tried == "no value that was tried helps" and result["try"] == {}
    assert tuple(result["layers"]) == LAYERS
    assert result["pull"] == pytest.approx(sum(x["pull"] for x in result["layers"].values()))
    assert {path.name for path in tmp_path.iterdir()} == {"images", "prepared"}


def test_what_is_no_number_is_null_in_the_last_line(monkeypatch, capsys):
    found = layers_with(math.nan, conv3=math.nan, fc6=math.inf)
    monkeypatch.setattr(command, "examine", lambda _: (found, 40))
    monkeypatch.setattr(command, "remedy", lambda _: None)
    command.report(ConfigDict())
    last = capsys.readouterr().out.splitlines()[-1]
    result = json.loads(last, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert result["pull"] is None
    assert [result["layers"][name]["spread"] for name in ("conv3", "fc6")] == [None, None]
    assert result["layers"]["conv1"]["spread"] == found["conv1"].spread


def test_one_image_has_nothing_to_differ_from():
    with pytest.raises(ConfigError, match="needs a batch_size of at least 2; got 1"):
        examine.examine(tiny.config(pathlib.Path("nowhere"), batch_size=1))


def test_a_net_without_pixels_is_refused_before_anything_is_prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(examine, "prepare", lambda data: pytest.fail("it prepares images"))
    with pytest.raises(ConfigError, match="does not fit in the 2 pixels that conv5 leaves"):
        examine.examine(tiny.config(tmp_path, model__image_size=60))
