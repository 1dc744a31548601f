"""norms: the alternatives to LRN, against float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from alexnet_jax.net.layers import Call
from alexnet_jax.net.operations import NORMS
from alexnet_jax.net.variants import ARCHITECTURES
from tests.support.narrow_nets import fast_jit

COLUMNS, CHANNELS, EPSILON = 2, 12, 1e-5
PAPER = ARCHITECTURES["paper"]


def call(train: bool, data_axis: str | None = None) -> Call:
    return Call(train, None, jnp.arange(2), data_axis, range(COLUMNS), jnp.hstack)


def draw_columns(channels=CHANNELS, seed=0):
    """Columns and channels of different means and deviations: (columns, B, H, W, C)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((COLUMNS, 3, 4, 5, channels))
    x = x * rng.uniform(0.5, 3, (COLUMNS, 1, 1, 1, channels)) + rng.uniform(-2, 2, (channels,))
    return x.astype(np.float32)


def norm_with_values(kind, channels=CHANNELS):
    module = NORMS[kind](PAPER, channels)
    rng = np.random.default_rng(1)
    module.scale[...] = jnp.asarray(rng.uniform(0.5, 2, (COLUMNS, channels)), jnp.float32)
    module.bias[...] = jnp.asarray(rng.uniform(-1, 1, (COLUMNS, channels)), jnp.float32)
    return module


def standardized(x, axes):
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + EPSILON)


def scaled(y, module):
    scale, bias = (np.asarray(v[...], np.float64) for v in (module.scale, module.bias))
    return y * scale[:, None, None, None] + bias[:, None, None, None]


def apply(module, x, train):
    return np.stack(module(list(jnp.asarray(x)), call(train)))


@pytest.mark.parametrize("train", [True, False])
def test_layer_norm_is_over_the_channels_of_a_pixel(train):
    module, x = norm_with_values("layer"), draw_columns()
    expected = scaled(standardized(x, -1), module)
    np.testing.assert_allclose(apply(module, x, train), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("channels", "groups"), [(48, 16), (12, 12), (34, 2), (17, 1), (36, 12)])
def test_group_norm_is_over_the_pixels_of_a_group(channels, groups, train):
    """Groups: the largest number up to 16 that divides the channels."""
    module, x = norm_with_values("group", channels), draw_columns(channels)
    grouped = x.reshape(*x.shape[:-1], groups, channels // groups)
    expected = scaled(standardized(grouped, (2, 3, 5)).reshape(x.shape), module)
    np.testing.assert_allclose(apply(module, x, train), expected, rtol=1e-4, atol=2e-5)


def test_batch_norm_in_training_is_over_the_batch_and_the_pixels():
    module, x = norm_with_values("batch"), draw_columns()
    expected = scaled(standardized(x, (1, 2, 3)), module)
    np.testing.assert_allclose(apply(module, x, True), expected, rtol=1e-4, atol=1e-5)


def test_batch_norm_remembers_the_statistics_and_uses_them_at_test():
    module = norm_with_values("batch")
    mean, var = np.zeros((COLUMNS, CHANNELS)), np.ones((COLUMNS, CHANNELS))
    for seed in range(3):
        x = draw_columns(seed=seed)
        apply(module, x, True)
        mean = 0.9 * mean + 0.1 * x.astype(np.float64).mean((1, 2, 3))
        var = 0.9 * var + 0.1 * x.astype(np.float64).var((1, 2, 3))
    np.testing.assert_allclose(module.mean[...], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(module.var[...], var, rtol=1e-4)
    x = draw_columns(seed=9)
    row = (slice(None), None, None, None)
    expected = scaled((x - mean[row]) / np.sqrt(var[row] + EPSILON), module)
    np.testing.assert_allclose(apply(module, x, False), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(module.mean[...], mean, rtol=1e-4, atol=1e-5)  # test adds nothing


def test_only_batch_norm_has_statistics():
    for kind in ("batch", "layer", "group"):
        stats = jax.tree.leaves(nnx.state(NORMS[kind](PAPER, 8), nnx.BatchStat))
        assert len(stats) == (2 if kind == "batch" else 0)


def test_batch_norm_of_a_split_batch_is_that_of_the_whole(devices):
    x = draw_columns()[:, :2]
    whole, halves = norm_with_values("batch"), norm_with_values("batch")
    expected = scaled(standardized(x, (1, 2, 3)), whole)
    graph, params, stats = nnx.split(halves, nnx.Param, nnx.BatchStat)

    def local(params, stats, x):
        module = nnx.merge(graph, params, stats)
        y = jnp.stack(module(list(x), call(True, "data")))
        return y, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    axes = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((2,), ("data",), axis_types=axes, devices=devices[:2])
    part, all_of_it = jax.P(None, "data"), jax.P()
    run = jax.shard_map(
        local, mesh=mesh, in_specs=(all_of_it, all_of_it, part), out_specs=(part, all_of_it)
    )
    y, kept = fast_jit(run)(params, stats, jnp.asarray(x))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    mean = 0.1 * x.astype(np.float64).mean((1, 2, 3))
    np.testing.assert_allclose(kept["mean"], mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["batch", "layer", "group"])
def test_bfloat16_is_normalized_in_float32(kind):
    module, x = norm_with_values(kind), jnp.asarray(draw_columns(), jnp.bfloat16)
    actual = module(list(x), call(True))
    expected = apply(norm_with_values(kind), np.asarray(x, np.float32), True)
    for c in range(COLUMNS):
        assert actual[c].dtype == jnp.bfloat16
        rounded = jnp.asarray(expected[c]).astype(jnp.bfloat16)
        np.testing.assert_array_equal(actual[c].astype(jnp.float32), rounded.astype(jnp.float32))
