"""The nets for small pictures against slow NumPy in float64: cuda-convnet's on CIFAR-10, ours."""

import jax
import numpy as np
import pytest

from alexnet_jax.net import resolving
from alexnet_jax.net.alexnet import AlexNet
from alexnet_jax.net.architecture import Pool
from alexnet_jax.net.parameters import params_of
from alexnet_jax.net.pooling import avg_pool

RNG = np.random.default_rng(0)
ACTIVE = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}
# layers-18pct.cfg, layers-80sec.cfg: pooling after conv1..conv3, layers with weights, the initial
# deviations (initW), and whether response normalization over pixels follows the first two.
CONVOLUTIONS = ("max", "avg", "avg")
NETS = {
    "cifar18": ({"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc8": 0.01}, True),
    "cifar26": ({"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc7": 0.1, "fc8": 0.1}, False),
    "cifar_figure1": ({"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc8": 0.01}, False),
}


def patches(size: int, window: int = 3, stride: int = 2) -> list[slice]:
    """Windows that begin inside, the last clipped, as many as the program's ceil gives."""
    count = int(np.ceil((size - window) / stride)) + 1
    return [slice(i * stride, min(i * stride + window, size)) for i in range(count)]


def slow_pool(x: np.ndarray, reduce) -> np.ndarray:
    rows = [
        [reduce(x[:, r, c], axis=(1, 2)) for c in patches(x.shape[2])] for r in patches(x.shape[1])
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


@pytest.mark.parametrize("size", [8, 7])
def test_average_pooling_divides_by_what_lies_in_the_image(size):
    x = RNG.normal(size=(2, size, size, 3)).astype(np.float32)
    y = jax.jit(lambda x: avg_pool(x, Pool(ceil=True)))(x)
    np.testing.assert_allclose(y, slow_pool(x.astype(float), np.mean), rtol=1e-5, atol=1e-6)


def slow_logits(params, norm: bool, activation: str, x: np.ndarray) -> np.ndarray:
    for name, parameters in params.items():
        kernel, bias = (np.asarray(parameters[k], float) for k in ("kernel", "bias"))
        if name.startswith("conv"):
            padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (1, 2))
            x = np.einsum("bhwcij,ijco->bhwo", windows, kernel[0], optimize=True) + bias[0]
        else:
            x = x.reshape(len(x), -1) @ kernel[0] + bias.reshape(-1)
        x = x if name == "fc8" else ACTIVE[activation](x)
        if name.startswith("conv"):
            index = int(name[-1]) - 1
            x = slow_pool(x, {"max": np.max, "avg": np.mean}[CONVOLUTIONS[index]])
            if norm and index < 2:
                padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
                windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
                x = x * (1 + 5e-5 / 9 * (windows**2).sum((-2, -1))) ** -0.75
    return x


def net_of(name: str, **changes) -> tuple[AlexNet, dict]:
    model = resolving.overrides(name)
    for field, value in changes.items():
        model[field] = value
    net = AlexNet(resolving.resolve(model), key=jax.random.key(0))
    return net, params_of(net)


@pytest.mark.parametrize("activation", ACTIVE)
@pytest.mark.parametrize("name", NETS)
def test_the_net_is_that_of_the_layer_file(name, activation):
    stds, norm = NETS[name]
    net, params = net_of(name, activation=activation)
    assert list(params) == list(stds)
    for layer, std in stds.items():
        assert np.asarray(params[layer]["kernel"]).std() == pytest.approx(std, rel=0.1)
        assert not np.asarray(params[layer]["bias"]).any()
    # Weights that let the normalization show: conv1's as large as in a net that has learned.
    net.blocks[0].product.kernel[...] = 100 * net.blocks[0].product.kernel[...]
    x = RNG.normal(0, 60, (2, 32, 32, 3)).astype(np.float32)
    logits, _ = net(x)
    expected = slow_logits(params_of(net), norm, activation, x.astype(float))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_field_of_the_pooling_changes_the_layers_that_have_their_own_too():
    model = resolving.overrides("cifar18")
    model.pool.window = 2
    arch = resolving.resolve(model)
    pools = [arch.pool_of(layer) for layer in arch.layers if "pool" in layer.then]
    assert [(pool.kind, pool.window, pool.ceil) for pool in pools] == [
        ("max", 2, True),
        ("avg", 2, True),
        ("avg", 2, True),
    ]
    model.pool.kind = "max"
    arch = resolving.resolve(model)
    assert {arch.pool_of(layer).kind for layer in arch.layers} == {"max"}


def correlate(x: np.ndarray, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Convolve (B, H, W, C); windows that overhang at the bottom and right see zeros."""
    width = len(kernel)
    padded = np.pad(x, ((0, 0), (padding, padding + stride), (padding, padding + stride), (0, 0)))
    count = int(np.ceil((x.shape[1] + 2 * padding - width) / stride)) + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width), (1, 2))
    windows = windows[:, ::stride, ::stride][:, :count, :count]
    return np.einsum("bhwcij,ijco->bhwo", windows, kernel, optimize=True)


def lrn(x: np.ndarray) -> np.ndarray:  # paper 3.3
    channels = x.shape[-1]
    sums = [(x[..., max(0, i - 2) : i + 3] ** 2).sum(-1) for i in range(channels)]
    return x / (2 + 1e-4 * np.stack(sums, -1)) ** 0.75


def test_small_is_the_papers_net_for_a_quarter_of_the_pixels():
    net, params = net_of("small", width=0.125, classes=7)
    for layer in params:  # values at which normalization and dropout's half show
        block = (
            net.fc8 if layer == "fc8" else next(b.product for b in net.blocks if b.name == layer)
        )
        block.kernel[...] = (5 if layer.startswith("fc") else 10) * block.kernel[...]
    params = jax.tree.map(lambda x: np.asarray(x, float), params_of(net))
    image = RNG.normal(0, 60, (2, 56, 56, 3)).astype(np.float32)
    xs = [image.astype(float)] * 2
    sides = []
    for layer, (stride, padding) in {
        "conv1": (2, 0),
        "conv2": (1, 2),
        "conv3": (1, 1),
        "conv4": (1, 1),
        "conv5": (1, 1),
    }.items():
        kernel, bias = params[layer]["kernel"], params[layer]["bias"]
        if layer == "conv3":
            xs = [np.concatenate(xs, -1)] * 2
        xs = [
            correlate(x, k, stride, padding) + b for x, k, b in zip(xs, kernel, bias, strict=True)
        ]
        sides.append(xs[0].shape[1])
        xs = [np.maximum(x, 0) for x in xs]
        if layer in ("conv1", "conv2"):
            xs = [lrn(x) for x in xs]
        if layer in ("conv1", "conv2", "conv5"):
            xs = [slow_pool(x, np.max) for x in xs]
    assert sides == [27, 13, 6, 6, 6] and xs[0].shape[1] == 3
    xs = [x.reshape(2, -1) for x in xs]
    for layer in ("fc6", "fc7"):
        both = np.concatenate(xs, -1)
        kernel, bias = params[layer]["kernel"], params[layer]["bias"]
        xs = [np.maximum(both @ k + b, 0) / 2 for k, b in zip(kernel, bias, strict=True)]
    expected = sum(x @ k for x, k in zip(xs, params["fc8"]["kernel"], strict=True))
    expected = expected + params["fc8"]["bias"]
    logits, _ = net(image)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert np.std(expected) > 1e-3


@pytest.mark.parametrize(("name", "size"), [("cifar18", 32), ("no_norm", 67)])
def test_a_max_pool_before_the_bias_changes_no_bit(name, size):
    net, _ = net_of(name, width=0.1, image_size=size)
    for block in net.blocks:
        block.product.bias[...] = RNG.normal(size=block.product.bias.shape)
    x = RNG.normal(size=(2, size, size, 3)).astype(np.float32) * 50

    @jax.jit
    def fast_and_slow(x):  # where conv1 is asked for, it has its bias before the pool
        return net(x, activations=("pool1",)), net(x, activations=("conv1", "pool1"))

    (logits, kept), (slow_logits, slow) = fast_and_slow(x)
    assert slow["conv1"].shape[2] > kept["pool1"].shape[2]
    np.testing.assert_array_equal(kept["pool1"], slow["pool1"])
    np.testing.assert_array_equal(logits, slow_logits)
