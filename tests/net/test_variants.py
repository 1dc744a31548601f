"""Every row of the table against the program it comes from: shapes, counts, constants, order."""

import math

import jax
import numpy as np
import pytest

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import architecture, resolving, variants
from alexnet_jax.net.alexnet import AlexNet
from alexnet_jax.net.parameters import params_of, structure_of

# Parameters at the row's own classes: original_2012 files (layers-145.cfg and its like) by their
# filters, channels and outputs; caffe and caffenet by their prototxt; owt by torchvision.
COUNTS = {
    "paper": 60_965_224,
    "code2012": 60_965_224,
    "half": 59_798_312,  # layers-145-half.cfg
    "no_norm": 60_965_224,  # layers-148.cfg
    "nonoverlapping": 60_965_224,  # layers-147.cfg
    # layers-150.cfg, by hand: 34944 + 384320 + 553344 + 663936 + 442624
    #   + 2 (4608 + 1) 4096 + 2 (4096 + 1) 2048 + 4097000
    "no_communication": 34944 + 384320 + 553344 + 663936 + 442624
    + 2 * 4609 * 4096 + 2 * 4097 * 2048 + 4_097_000,
    "six_conv": 61_555_304,  # layers-146-2012-2011.cfg
    # ... without fc8, plus 2 x 1024 linear units that read 4096, and 21843 that read 2048
    "six_conv_fall2011": 61_555_304 - 4_097_000 + 2 * 4097 * 1024 + 2049 * 21843,
    "caffe": 60_965_224,
    "caffenet": 60_965_224,
    "owt": 61_100_840,
    # The paper's convolutions but for conv1's kernel; fc6 reads 3x3x256.
    "small": 96 * (75 + 1)
    + 2 * 128 * (25 * 48 + 1)
    + 2 * 192 * (9 * 256 + 1)
    + 2 * 192 * (9 * 192 + 1)
    + 2 * 128 * (9 * 192 + 1)
    + 4096 * (9 * 256 + 1)
    + 4096 * 4097
    + 4096 * 1000
    + 1000,
    "cifar18": 89_578,  # layers-18pct.cfg: 2432 + 25632 + 51264 + 10250
    "cifar26": 145_578,  # layers-80sec.cfg: 2432 + 25632 + 51264 + 65600 + 650
    "cifar_figure1": 89_578,
}  # fmt: skip

# (pixels, channels of one column) that conv1..conv5 give, and what fc6 reads of all columns.
SIZES = {
    "paper": ([(55, 48), (27, 128), (13, 192), (13, 192), (13, 128)], 9216),
    "half": ([(55, 48), (27, 128), (13, 192), (13, 192), (13, 256)], 9216),
    "nonoverlapping": ([(55, 48), (26, 128), (13, 192), (13, 192), (11, 128)], 9216),
    "no_communication": ([(55, 48), (27, 160), (13, 192), (13, 192), (13, 128)], 4608),
    "caffe": ([(55, 48), (27, 128), (13, 192), (13, 192), (13, 128)], 9216),
    "small": ([(27, 48), (13, 128), (6, 192), (6, 192), (6, 128)], 2304),
    "owt": ([(55, 64), (27, 192), (13, 384), (13, 256), (13, 256)], 9216),
}

RELU_NORM_POOL = ["relu", "norm", "pool"]
DROP = ["relu", "dropout"]
ORDERS = {  # what follows conv1, conv2, conv5, fc6, fc7
    "paper": [RELU_NORM_POOL, RELU_NORM_POOL, ["relu", "pool"], DROP, DROP],  # paper 3.5
    "code2012": [  # layers-145.cfg
        ["norm", "pool", "relu"],
        ["relu", "norm", "spatial_norm", "pool"],
        ["pool", "relu"],
        DROP,
        DROP,
    ],
    "no_norm": [["pool", "relu"], ["relu", "pool"], ["pool", "relu"], DROP, DROP],
    "caffe": [RELU_NORM_POOL, RELU_NORM_POOL, ["relu", "pool"], DROP, DROP],
    "caffenet": [["relu", "pool", "norm"], ["relu", "pool", "norm"], ["relu", "pool"], DROP, DROP],
    "owt": [["relu", "pool"], ["relu", "pool"], ["relu", "pool", "dropout"], DROP, ["relu"]],
}
ORDERS["small"] = ORDERS["paper"]
for same in ("half", "nonoverlapping", "no_communication", "six_conv", "six_conv_fall2011"):
    ORDERS[same] = ORDERS["code2012"]

# k, alpha in effect, scope
LRN = dict.fromkeys(("caffe", "caffenet"), (1.0, 2e-05, "layer"))
LRN |= dict.fromkeys(("paper", "small"), (2, 1e-4, "column"))
PROGRAM_LRN = (2.0, 2e-5, "column")  # minDiv=2; scale=1e-4 divided by size=5

# Initial deviations of conv1..conv5, (conv6,) fc6..fc8.
ALL_01 = [0.01] * 8
PROGRAM_STD = [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]  # initW of layers-145.cfg
CAFFE_STD = [0.01] * 5 + [0.005, 0.005, 0.01]
BIASES = [0, 1, 0, 1, 1, 1, 1, 0]
NAMES = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


def net_of(name: str, **changes) -> architecture.Architecture:
    model = resolving.overrides(name)
    for field, value in changes.items():
        model[field] = value
    return resolving.resolve(model)


def shapes_of(net: architecture.Architecture) -> dict:
    return params_of(structure_of(net))


def test_the_table_holds_these():
    assert list(variants.ARCHITECTURES) == list(COUNTS)
    assert all(row.name == name and row.source for name, row in variants.ARCHITECTURES.items())


@pytest.mark.parametrize("name", COUNTS)
def test_count_of_parameters(name):
    leaves = jax.tree.leaves(shapes_of(net_of(name)))
    assert sum(math.prod(leaf.shape) for leaf in leaves) == COUNTS[name]


@pytest.mark.parametrize("name", SIZES)
def test_shapes_of_activations(name):
    net = net_of(name)
    sizes, flat = SIZES[name]
    names = NAMES[:5]
    _, kept = jax.eval_shape(
        lambda images: AlexNet(net, key=jax.random.key(0))(images, activations=names),
        jax.ShapeDtypeStruct((2, net.image_size, net.image_size, 3), np.float32),
    )
    for layer, (pixels, channels) in zip(names, sizes, strict=True):
        assert kept[layer].shape == (net.columns, 2, pixels, pixels, channels)
    assert shapes_of(net)["fc6"]["kernel"].shape[1] == flat


def test_six_conv_reads_both_columns_over_the_last_pool():
    shapes = shapes_of(net_of("six_conv"))
    assert shapes["conv6"]["kernel"].shape == (2, 3, 3, 256, 128)
    pretrained = shapes_of(net_of("six_conv_fall2011"))
    assert pretrained["bottleneck"]["kernel"].shape == (2, 4096, 1024)
    assert pretrained["fc8"]["kernel"].shape == (2, 1024, 21843)
    assert {k: v for k, v in pretrained.items() if k not in ("bottleneck", "fc8")}.keys() == {
        k for k in shapes if k != "fc8"
    }


@pytest.mark.parametrize("name", ORDERS)
def test_order_of_operations(name):
    net = net_of(name)
    by_name = {layer.name: layer for layer in net.layers}
    actual = [
        ["relu" if op == "activation" else op for op in by_name[layer].then]
        for layer in ("conv1", "conv2", "conv5", "fc6", "fc7")
    ]
    assert actual == ORDERS[name]
    assert net.activation == "relu"
    for layer in ("conv3", "conv4"):
        assert by_name[layer].then == ("activation",)


@pytest.mark.parametrize("name", ORDERS)
def test_normalization_in_effect(name):
    net = net_of(name)
    if name in ("no_norm", "owt"):
        assert not any("norm" in op for layer in net.layers for op in layer.then)
        return
    alpha = net.lrn.alpha / net.lrn.n if net.lrn.alpha_over_n else net.lrn.alpha
    k, effective, scope = LRN.get(name, PROGRAM_LRN)
    assert (net.lrn.n, net.lrn.beta, net.lrn.k, net.lrn.scope) == (5, 0.75, k, scope)
    assert alpha == pytest.approx(effective)
    if any("spatial_norm" in layer.then for layer in net.layers):  # scale=0.001, size=5, pow=.75
        spatial = net.spatial_norm
        assert (spatial.n, spatial.k, spatial.alpha, spatial.beta) == (5, 1.0, 1e-3, 0.75)


@pytest.mark.parametrize("name", ORDERS)
def test_dropout_and_pooling(name):
    net = net_of(name)
    assert net.dropout.rate == 0.5
    assert net.dropout.inverted == (name in ("caffe", "caffenet", "owt"))
    assert (net.pool.window, net.pool.stride) == (2 if name == "nonoverlapping" else 3, 2)
    sizes = {"caffe": 227, "caffenet": 227, "small": 56}
    assert net.image_size == sizes.get(name, 224)


@pytest.mark.parametrize(
    ("name", "stds", "biases"),
    [
        ("paper", ALL_01, BIASES),  # paper 5
        ("code2012", PROGRAM_STD, BIASES),
        ("six_conv", PROGRAM_STD, BIASES),
        ("caffe", CAFFE_STD, [0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0]),
        ("caffenet", CAFFE_STD, BIASES),
    ],
)
def test_initial_values_as_drawn(name, stds, biases):
    model = resolving.overrides(name)
    model.width, model.init.scale_with_width = 0.25, False
    params = params_of(AlexNet(resolving.resolve(model), key=jax.random.key(1)))
    for layer, std, bias in zip(NAMES, stds, biases, strict=True):
        kernel = np.asarray(params[layer]["kernel"], np.float64)
        sigma = 1 / math.sqrt(2 * kernel.size)
        assert kernel.std() == pytest.approx(std, rel=5 * sigma)
        assert abs(kernel.mean()) < 5 * std / math.sqrt(kernel.size)
        np.testing.assert_allclose(params[layer]["bias"], bias, rtol=1e-6)
    if name == "six_conv":
        assert np.std(params["conv6"]["kernel"]) == pytest.approx(0.03, rel=0.05)
        np.testing.assert_array_equal(params["conv6"]["bias"], 1)


def test_a_row_of_one_column_has_no_second():
    with pytest.raises(ConfigError, match="model.columns of owt is 1; got 2"):
        net_of("owt", columns=2)
