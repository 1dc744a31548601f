"""alexnet: its sizes, its forward pass against float64 NumPy, its initial values."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.errors import ConfigError
from alexnet_jax.net.alexnet import AlexNet
from alexnet_jax.net.parameters import params_of, structure_of
from alexnet_jax.net.variants import ARCHITECTURES
from tests.support import slow_net
from tests.support.narrow_nets import (
    draw_images,
    draw_params,
    fast_jit,
    make_arch,
    names,
    run,
    shapes,
)

FULL = {"width": 1.0, "classes": 1000, "image_size": 224}


def count(net) -> int:
    return sum(int(np.prod(s)) for layer in shapes(net).values() for s in layer.values())


def test_parameters_of_two_columns():
    convolutions = 2 * 48 * (11 * 11 * 3 + 1) + 2 * 128 * (5 * 5 * 48 + 1)
    convolutions += 2 * 192 * (9 * 256 + 1) + 2 * 192 * (9 * 192 + 1) + 2 * 128 * (9 * 192 + 1)
    matrices = 4096 * (9216 + 1) + 4096 * (4096 + 1) + 1000 * (4096 + 1)
    assert convolutions + matrices == 60_965_224  # layers-145.cfg
    assert count(make_arch(**FULL)) == 60_965_224


def test_parameters_of_one_column():
    convolutions = 48 * (11 * 11 * 3 + 1) + 128 * (5 * 5 * 48 + 1)
    convolutions += 192 * (9 * 128 + 1) + 192 * (9 * 192 + 1) + 256 * (9 * 192 + 1)
    matrices = 4096 * (9216 + 1) + 4096 * (4096 + 1) + 1000 * (4096 + 1)
    assert convolutions + matrices == 59_798_312  # layers-145-half.cfg
    assert count(make_arch(columns=1, **FULL)) == 59_798_312


def test_parameters_of_columns_that_never_meet():
    less = 2 * 192 * 9 * 128 + 2 * 2048 * 4608 + 2 * 2048 * 2048  # conv3, fc6, fc7 read half
    assert 60_965_224 - less == 33_259_880
    assert count(make_arch(cross_columns=False, **FULL)) == 33_259_880


@pytest.mark.parametrize("size", [224, 227])
@pytest.mark.parametrize("columns", [2, 1])
def test_shapes_of_the_whole_net(size, columns):
    net = make_arch(**{**FULL, "image_size": size}, columns=columns)
    logits, kept = jax.eval_shape(
        lambda x: AlexNet(net, key=jax.random.key(0))(x, activations=names(net)),
        jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32),
    )
    assert logits.shape == (2, 1000) and logits.dtype == jnp.float32
    wide = 2 if columns == 1 else 1
    channels = {
        **{"conv1": (55, 48), "relu1": (55, 48), "norm1": (55, 48), "pool1": (27, 48)},
        **{"conv2": (27, 128), "relu2": (27, 128), "norm2": (27, 128), "pool2": (13, 128)},
        **{"conv3": (13, 192), "relu3": (13, 192), "conv4": (13, 192), "relu4": (13, 192)},
        **{"conv5": (13, 128 * wide), "relu5": (13, 128 * wide), "pool5": (6, 128 * wide)},
    }
    expected = {name: (columns, 2, size, size, c) for name, (size, c) in channels.items()}
    for name in ("fc6", "relu6", "dropout6", "fc7", "relu7", "dropout7"):
        expected[name] = (columns, 2, 2048 * wide)
    expected["fc8"] = (1, 2, 1000)
    assert {name: value.shape for name, value in kept.items()} == expected


def close(actual, expected, name=""):
    bound = 2e-5 * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound, err_msg=name)


# What a config says, and the same for the slow net.
FLAGS = [
    ({}, {}),
    ({"columns": 1}, {"columns": 1}),
    ({"cross_columns": False}, {"cross": False}),
    ({"lrn__enabled": False}, {"constants": None}),
    ({"lrn__n": 3}, {"constants": {**slow_net.PAPER_LRN, "n": 3}}),
    ({"lrn__k": 1.0}, {"constants": {**slow_net.PAPER_LRN, "k": 1.0}}),
    ({"lrn__alpha": 1e-3}, {"constants": {**slow_net.PAPER_LRN, "alpha": 1e-3}}),
    ({"lrn__beta": 0.5}, {"constants": {**slow_net.PAPER_LRN, "beta": 0.5}}),
    ({"lrn__alpha_over_n": True}, {"constants": {**slow_net.PAPER_LRN, "alpha": 2e-5}}),
    ({"lrn__scope": "layer"}, {"across": True}),
    ({"norm": "none"}, {"norm": "none"}),
    ({"norm": "batch"}, {"norm": "batch"}),
    ({"norm": "layer"}, {"norm": "layer"}),
    ({"norm": "group"}, {"norm": "group"}),
    ({"pool__window": 2}, {"pool": (2, 2)}),
    ({"pool__stride": 1}, {"pool": (3, 1)}),
    ({"activation": "tanh"}, {"activation": "tanh"}),
    ({"activation": "sigmoid"}, {"activation": "sigmoid"}),
    ({"dropout__rate": 0.2}, {"rate": 0.2}),
    ({"drop_layers": "conv3,conv4"}, {"dropped": ("conv3", "conv4")}),
    ({"drop_layers": "conv2,conv5"}, {"dropped": ("conv2", "conv5")}),
    ({"drop_layers": "fc6,fc7"}, {"dropped": ("fc6", "fc7")}),
    ({"drop_layers": "fc6", "cross_columns": False}, {"dropped": ("fc6",), "cross": False}),
    ({"width": 0.04, "classes": 7, "image_size": 75}, {}),
]
# The first activation that a flag changes; a flag that is not wired would pass for the paper's net.
FIRST = {
    "lrn__enabled": "norm1", "lrn__n": "norm1", "lrn__k": "norm1", "lrn__alpha": "norm1",
    "lrn__beta": "norm1", "lrn__alpha_over_n": "norm1", "lrn__scope": "norm1", "norm": "norm1",
    "pool__window": "pool1", "pool__stride": "pool1", "dropout__rate": "dropout6",
}  # fmt: skip


@pytest.fixture(scope="module")
def paper():
    """Every activation of the paper's net, narrow."""
    net = make_arch()
    return run(net, draw_params(net), draw_images())[1]


@pytest.mark.parametrize(("flags", "slow"), FLAGS, ids=lambda x: ",".join(x) or "paper")
def test_every_activation_is_the_slow_nets(flags, slow, paper):
    net = make_arch(**flags)
    params, images = draw_params(net), draw_images(size=net.image_size)
    if net.activation != "relu":
        images /= 100  # so that few of conv1's values saturate
    logits, kept = run(net, params, images)
    expected = slow_net.forward(params, images, **slow)
    assert kept.keys() == expected.keys()
    for name, values in expected.items():
        assert kept[name].shape == values.shape
        close(kept[name], values, name)
    np.testing.assert_array_equal(logits, kept["fc8"][0])
    if len(flags) == 1 and (first := FIRST.get(next(iter(flags)))):
        order = names(net)
        for name in order[: order.index(first)]:
            near = 1e-6 * np.abs(paper[name]).max()  # another program may round otherwise
            np.testing.assert_allclose(kept[name], paper[name], rtol=0, atol=near, err_msg=name)
        assert kept[first].shape != paper[first].shape or not np.allclose(
            kept[first], paper[first], rtol=1e-3
        )


def test_an_image_of_224_is_one_of_227_whose_last_rows_and_columns_are_zero():
    params = draw_params(make_arch(image_size=224))
    image = draw_images(2, 227)
    image[:, 224:] = image[:, :, 224:] = 0
    both = np.concatenate([image, np.roll(image, 3, (1, 2))])  # with the zeros before, too
    whole, _ = run(make_arch(image_size=227), params, both)
    cropped, _ = run(make_arch(image_size=224), params, image[:, :224, :224])
    np.testing.assert_allclose(cropped, whole[:2], rtol=1e-5, atol=1e-5)
    assert not np.allclose(cropped, whole[2:], rtol=1e-2)


def test_weights_are_drawn_with_each_layers_std_and_biases_are_its_constant():
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    fields = {f"init__std__{name}": 0.01 * (i + 1) for i, name in enumerate(layers)}
    fields |= {f"init__bias__{name}": 0.1 * i - 0.3 for i, name in enumerate(layers)}
    net = make_arch(width=0.25, classes=200, **fields)
    params = fast_jit(lambda: params_of(AlexNet(net, key=jax.random.key(1))))()
    for i, name in enumerate(layers):
        kernel, bias = np.asarray(params[name]["kernel"]), params[name]["bias"]
        assert kernel.dtype == np.float32
        std, five = 0.01 * (i + 1), 5 / np.sqrt(kernel.size)  # five standard errors
        assert abs(kernel.mean()) < five * std
        assert abs(kernel.std() / std - 1) < five / np.sqrt(2)
        beyond = (np.abs(kernel) > 2 * std).mean()  # of a normal, not truncated, not uniform
        assert abs(beyond - 0.0455) < five * 0.21
        np.testing.assert_array_equal(bias, np.full(bias.shape, 0.1 * i - 0.3, np.float32))
        assert abs(np.corrcoef(kernel[0].ravel(), kernel[1].ravel())[0, 1]) < 2 * five


def test_unknown_activations_are_named():
    def call(images):
        return AlexNet(make_arch(), key=jax.random.key(0))(images, activations=("fc7", "x", "fc9"))

    with pytest.raises(ValueError, match="no activation named fc9, x"):
        jax.eval_shape(call, draw_images())


def test_a_pool_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"pool.window=3 does not fit in the 1 pixels that conv5"):
        structure_of(make_arch(image_size=99, pool__stride=5))


def least(arch) -> int:
    """The smallest image_size from which on all layers have pixels, by whole numbers."""

    def fits(side: int) -> bool:
        for layer in arch.layers:
            if layer.kernel:
                span = side + 2 * layer.padding - layer.kernel
                side = 1 + (math.ceil(span / layer.stride) if layer.ceil else span // layer.stride)
            if side < (arch.pool.window if "pool" in layer.then else 1):
                return False
            if "pool" in layer.then:
                span = (side - arch.pool.window) / arch.pool.stride
                side = 1 + (math.ceil(span) if arch.pool.ceil else math.floor(span))
        return True

    return next(side for side in range(16, 512) if all(map(fits, range(side, 512))))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_images_so_small_that_a_layer_has_no_pixels_are_refused(name):
    smallest = least(make_arch(arch=name))
    assert 16 <= smallest < 80
    structure_of(make_arch(arch=name, image_size=smallest))
    for size in range(16, smallest):
        with pytest.raises(ConfigError, match=f"not fit in .*model.image_size={size}: ") as error:
            structure_of(make_arch(arch=name, image_size=size))
        assert "\n" not in str(error.value)


def test_a_kernel_that_does_not_fit_is_refused():
    net = make_arch(image_size=16, pool__window=1, pool__stride=4)  # 3 pixels, then one
    layers = tuple(
        dataclasses.replace(layer, kernel=9, padding=0) if layer.name == "conv3" else layer
        for layer in net.layers
    )
    with pytest.raises(ConfigError, match=r"^conv3's kernel of 9 does not fit in the 1 pixels"):
        structure_of(dataclasses.replace(net, layers=layers))
