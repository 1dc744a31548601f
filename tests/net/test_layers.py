"""layers: the alternatives to LRN, and layers over columns, against float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from alexnet_jax.net.architecture import Init, PerLayer
from alexnet_jax.net.layers import ChannelNorm, Convolution, Initializer, Matrix, SummedMatrix
from tests.support.narrow_nets import fast_jit

COLUMNS, CHANNELS, EPSILON = 2, 12, 1e-5


def draw_columns(channels=CHANNELS, seed=0):
    """Columns and channels of different means and deviations: (columns, B, H, W, C)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((COLUMNS, 3, 4, 5, channels))
    x = x * rng.uniform(0.5, 3, (COLUMNS, 1, 1, 1, channels)) + rng.uniform(-2, 2, (channels,))
    return x.astype(np.float32)


def norm_with_values(kind, channels=CHANNELS):
    module = ChannelNorm(kind, COLUMNS, channels)
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
    return np.stack(module(list(jnp.asarray(x)), train=train, data_axis=None))


@pytest.mark.parametrize("train", [True, False])
def test_layer_norm_is_over_the_channels_of_a_place(train):
    module, x = norm_with_values("layer"), draw_columns()
    expected = scaled(standardized(x, -1), module)
    np.testing.assert_allclose(apply(module, x, train), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("channels", "groups"), [(48, 16), (12, 12), (34, 2), (17, 1), (36, 12)])
def test_group_norm_is_over_the_places_of_a_group(channels, groups, train):
    """Groups: the largest number up to 16 that divides the channels."""
    module, x = norm_with_values("group", channels), draw_columns(channels)
    grouped = x.reshape(*x.shape[:-1], groups, channels // groups)
    expected = scaled(standardized(grouped, (2, 3, 5)).reshape(x.shape), module)
    np.testing.assert_allclose(apply(module, x, train), expected, rtol=1e-4, atol=2e-5)


def test_batch_norm_in_training_is_over_the_batch_and_the_places():
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
        stats = jax.tree.leaves(nnx.state(ChannelNorm(kind, 2, 8), nnx.BatchStat))
        assert len(stats) == (2 if kind == "batch" else 0)


def test_batch_norm_of_a_split_batch_is_that_of_the_whole(devices):
    x = draw_columns()[:, :2]
    whole, halves = norm_with_values("batch"), norm_with_values("batch")
    expected = scaled(standardized(x, (1, 2, 3)), whole)
    graph, params, stats = nnx.split(halves, nnx.Param, nnx.BatchStat)

    def local(params, stats, x):
        module = nnx.merge(graph, params, stats)
        y = jnp.stack(module(list(x), train=True, data_axis="data"))
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
    found = module(list(x), train=True, data_axis=None)
    expected = apply(norm_with_values(kind), np.asarray(x, np.float32), True)
    for c in range(COLUMNS):
        assert found[c].dtype == jnp.bfloat16
        rounded = jnp.asarray(expected[c]).astype(jnp.bfloat16)
        np.testing.assert_array_equal(found[c].astype(jnp.float32), rounded.astype(jnp.float32))


def draw(std=0.5, bias=0.25, seed=3, form="normal"):
    every = dict.fromkeys(("conv1", "conv2", "conv3", "fc7", "fc8"), std)
    biases = dict.fromkeys(every, bias)
    return Initializer(Init(form, PerLayer(**every), PerLayer(**biases)), jax.random.key(seed))


def test_one_shared_convolution_is_each_columns_own():
    layer = Convolution("conv3", (2, 3, 3, 4, 5), stride=1, padding=1, ceil=True, draw=draw())
    layer.bias[...] = jnp.arange(10, dtype=jnp.float32).reshape(2, 5)
    x = jnp.asarray(draw_columns(4)[0])
    shared, own = layer.of_shared(x), layer.of_own([x, x])
    assert not np.allclose(own[0], own[1])
    for c in range(2):
        np.testing.assert_allclose(shared[c], own[c], rtol=1e-5, atol=1e-5)


def test_matrices_of_columns():
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal((3, 6)).astype(np.float32) for _ in range(2)]
    layer = Matrix("fc7", (2, 6, 4), draw=draw())
    layer.bias[...] = jnp.arange(8, dtype=jnp.float32).reshape(2, 4)
    kernel, bias = np.asarray(layer.kernel[...], np.float64), np.asarray(layer.bias[...])
    for c, y in enumerate(layer.of_own([jnp.asarray(x) for x in xs])):
        np.testing.assert_allclose(y, xs[c] @ kernel[c] + bias[c], rtol=1e-5, atol=1e-6)
    for c, y in enumerate(layer.of_shared(jnp.asarray(xs[0]))):
        np.testing.assert_allclose(y, xs[0] @ kernel[c] + bias[c], rtol=1e-5, atol=1e-6)
    last = SummedMatrix("fc8", (2, 6, 4), draw=draw())
    kernel = np.asarray(last.kernel[...], np.float64)
    expected = xs[0] @ kernel[0] + xs[1] @ kernel[1] + 0.25  # the bias once
    np.testing.assert_allclose(last([jnp.asarray(x) for x in xs], None), expected, rtol=1e-5)


def test_a_bfloat16_layer_sums_the_gradient_of_its_bias_in_float32():
    # 8192 terms of about 0.3: a sum in bfloat16 stands still at 128.
    rng = np.random.default_rng(0)
    g = jnp.asarray(rng.normal(0.3, 0.1, (2, 64, 64, 4)), jnp.bfloat16)
    x = jnp.ones((2, 64, 64, 3), jnp.bfloat16)
    layer = Convolution("conv1", (1, 1, 1, 3, 4), stride=1, padding=0, ceil=False, draw=draw())
    graph, params = nnx.split(layer)
    _, transpose = jax.vjp(lambda params: nnx.merge(graph, params).of_own([x])[0], params)
    (found,) = transpose(g)
    expected = np.asarray(g, np.float64).sum((0, 1, 2))
    np.testing.assert_allclose(found["bias"][...][0], expected, rtol=1e-5)


def test_logits_are_float32_whatever_comes_in():
    rng = np.random.default_rng(0)
    xs = [jnp.asarray(rng.standard_normal((3, 6)), jnp.bfloat16) for _ in range(2)]
    last = SummedMatrix("fc8", (2, 6, 4), draw=draw())
    kernel = np.asarray(last.kernel[...], np.float64)
    expected = sum(np.asarray(xs[c], np.float64) @ kernel[c] for c in range(2)) + 0.25
    logits = last(xs, None)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


def test_a_columns_first_weights_do_not_depend_on_how_many_there_are():
    def drawn(name="conv1", columns=1, seed=0):
        kernel, _ = draw(seed=seed)(name, (columns, 3, 3, 3, 4), (columns, 4))
        return np.asarray(kernel[...])

    two, one = drawn(columns=2), drawn()
    np.testing.assert_array_equal(two[:1], one)
    assert not np.allclose(two[0], two[1])
    assert not np.allclose(one, drawn("conv2"))
    assert not np.allclose(one, drawn(seed=1))


@pytest.mark.parametrize(
    ("name", "kernel", "bias", "fan_in"),
    [
        ("conv2", (2, 5, 5, 48, 200), (2, 200), 1200),
        ("fc7", (1, 300, 200), (1, 200), 300),
        ("fc8", (2, 300, 5000), (5000,), 600),  # one unit reads both columns
    ],
)
def test_fan_in_is_uniform_within_the_root_of_what_a_unit_reads(name, kernel, bias, fan_in):
    bound = np.float32(1 / np.sqrt(fan_in))
    weights, biases = (np.asarray(x[...]) for x in draw(form="fan_in")(name, kernel, bias))
    assert weights.shape == kernel and biases.shape == bias
    for x in (weights, biases):
        assert 0.97 * bound < np.abs(x).max() <= bound
        assert abs(x.mean()) < 0.15 * bound
    np.testing.assert_allclose(weights.std(), bound / np.sqrt(3), rtol=0.01)
    if kernel[0] == 2:
        assert not np.allclose(weights[0], weights[1])
