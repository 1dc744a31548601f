"""layers: products over columns against float64 NumPy, and initial values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from alexnet_jax.net.architecture import Init, PerLayer
from alexnet_jax.net.initial_values import Initializer
from alexnet_jax.net.layers import Convolution, Linear, SummedLinear


def initializer(std=0.5, bias=0.25, seed=3, form="normal"):
    every = dict.fromkeys(("conv1", "conv2", "conv3", "fc7", "fc8"), std)
    biases = dict.fromkeys(every, bias)
    init = Init(form=form, std=PerLayer(**every), bias=PerLayer(**biases))
    return Initializer(init, jax.random.key(seed))


def test_a_convolution_of_one_array_is_that_of_the_same_in_each_column():
    layer = Convolution("conv3", (2, 3, 3, 4, 5), initializer(), stride=1, padding=1, ceil=True)
    layer.bias[...] = jnp.arange(10, dtype=jnp.float32).reshape(2, 5)
    x = jax.random.normal(jax.random.key(0), (3, 4, 5, 4))
    shared, each = layer(x), layer([x, x])
    assert not np.allclose(each[0], each[1])
    for c in range(2):
        np.testing.assert_allclose(shared[c], each[c], rtol=1e-5, atol=1e-5)


def test_matrices_of_columns():
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal((3, 6)).astype(np.float32) for _ in range(2)]
    layer = Linear("fc7", (2, 6, 4), initializer())
    layer.bias[...] = jnp.arange(8, dtype=jnp.float32).reshape(2, 4)
    kernel, bias = np.asarray(layer.kernel[...], np.float64), np.asarray(layer.bias[...])
    for c, y in enumerate(layer([jnp.asarray(x) for x in xs])):
        np.testing.assert_allclose(y, xs[c] @ kernel[c] + bias[c], rtol=1e-5, atol=1e-6)
    for c, y in enumerate(layer(jnp.asarray(xs[0]))):
        np.testing.assert_allclose(y, xs[0] @ kernel[c] + bias[c], rtol=1e-5, atol=1e-6)
    last = SummedLinear("fc8", (2, 6, 4), initializer())
    kernel = np.asarray(last.kernel[...], np.float64)
    expected = xs[0] @ kernel[0] + xs[1] @ kernel[1] + 0.25  # the bias once
    np.testing.assert_allclose(last([jnp.asarray(x) for x in xs], None), expected, rtol=1e-5)


def test_a_bfloat16_layer_sums_the_gradient_of_its_bias_in_float32():
    # 8192 terms of about 0.3: a sum in bfloat16 stands still at 128.
    rng = np.random.default_rng(0)
    g = jnp.asarray(rng.normal(0.3, 0.1, (2, 64, 64, 4)), jnp.bfloat16)
    x = jnp.ones((2, 64, 64, 3), jnp.bfloat16)
    layer = Convolution("conv1", (1, 1, 1, 3, 4), initializer(), stride=1, padding=0, ceil=False)
    graph, params = nnx.split(layer)
    _, transpose = jax.vjp(lambda params: nnx.merge(graph, params)([x])[0], params)
    (actual,) = transpose(g)
    expected = np.asarray(g, np.float64).sum((0, 1, 2))
    np.testing.assert_allclose(actual["bias"][...][0], expected, rtol=1e-5)


def test_logits_are_float32_whatever_comes_in():
    rng = np.random.default_rng(0)
    xs = [jnp.asarray(rng.standard_normal((3, 6)), jnp.bfloat16) for _ in range(2)]
    last = SummedLinear("fc8", (2, 6, 4), initializer())
    kernel = np.asarray(last.kernel[...], np.float64)
    expected = sum(np.asarray(xs[c], np.float64) @ kernel[c] for c in range(2)) + 0.25
    logits = last(xs, None)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


def test_a_columns_first_weights_do_not_depend_on_how_many_there_are():
    def drawn(name="conv1", columns=1, seed=0):
        kernel, _ = initializer(seed=seed)(name, (columns, 3, 3, 3, 4), (columns, 4))
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
    weights, biases = (np.asarray(x[...]) for x in initializer(form="fan_in")(name, kernel, bias))
    assert weights.shape == kernel and biases.shape == bias
    for x in (weights, biases):
        assert 0.97 * bound < np.abs(x).max() <= bound
        assert abs(x.mean()) < 0.15 * bound
    np.testing.assert_allclose(weights.std(), bound / np.sqrt(3), rtol=0.01)
    if kernel[0] == 2:
        assert not np.allclose(weights[0], weights[1])
