"""PyTorch's layout against grouped convolutions that read it, for every kind of net."""

import numpy as np
import pytest

from alexnet_jax.weights import layout
from tests.support import weight_files
from tests.support.narrow_nets import draw_images, draw_params, run


@pytest.mark.parametrize(
    ("name", "columns"),
    [("paper", 2), ("paper", 1), ("code2012", 2), ("caffe", 2), ("caffenet", 2), ("owt", 1)],
)
def test_the_tensors_are_those_of_a_grouped_module(name, columns):
    net = weight_files.net_of(name, columns=columns, spatial_norm__enabled=False)
    tensors, images = weight_files.draw_tensors(net), draw_images()
    params, stats = layout.from_torch(net, tensors)
    assert not stats
    logits, _ = run(net, params, images)
    expected = weight_files.reference(net, tensors, images)
    assert expected.std() > 0.01
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4 * expected.std())


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "paper"},
        {"name": "paper", "columns": 1},
        {"name": "paper", "drop_layers": "fc6"},
        {"name": "paper", "drop_layers": "conv5,fc6,fc7"},
        {"name": "paper", "norm": "batch"},
        {"name": "no_communication"},
        {"name": "six_conv_fall2011"},
        {"name": "owt"},
    ],
    ids=lambda fields: " ".join(map(str, fields.values())),
)
def test_there_and_back_is_bit_exact(fields):
    net = weight_files.net_of(**fields)
    params = draw_params(net)
    _, stats = layout.abstract(net)
    rng = np.random.default_rng(1)
    stats = {
        name: {k: rng.random(v.shape).astype(np.float32) for k, v in values.items()}
        for name, values in stats.items()
    }
    tensors = layout.to_torch(net, params, stats)
    assert {name: value.shape for name, value in tensors.items()} == layout.shapes(net)
    assert sum(value.size for value in tensors.values()) > 0
    found = layout.from_torch(net, tensors)
    for ours, theirs in zip((params, stats), found, strict=True):
        assert ours.keys() == theirs.keys()
        for name, values in ours.items():
            for kind, value in values.items():
                np.testing.assert_array_equal(theirs[name][kind], value)


def test_columns_that_do_not_meet_have_each_their_own_input():
    net = weight_files.net_of("no_communication")
    sizes = layout.shapes(net)
    together = layout.shapes(weight_files.net_of("no_communication", cross_columns=True))
    for name in ("conv3", "fc6", "fc7"):
        assert sizes[f"{name}.weight"][0] == together[f"{name}.weight"][0]
        assert 2 * sizes[f"{name}.weight"][1] == together[f"{name}.weight"][1]
    # The first neuron of column 1 reads the last place of its own last map, and nothing else.
    params = draw_params(net)
    tensors = layout.to_torch(net, params, {})
    half = len(tensors["fc6.weight"]) // 2
    assert tensors["fc6.weight"][half, -1] == params["fc6"]["kernel"][1, -1, 0]


def test_the_whole_nets_have_the_published_shapes():
    sizes = layout.shapes(weight_files.net_of("caffe", width=1.0, image_size=227, classes=1000))
    assert sizes["conv1.weight"] == (96, 3, 11, 11)
    assert sizes["conv2.weight"] == (256, 48, 5, 5)
    assert sizes["conv3.weight"] == (384, 256, 3, 3)
    assert sizes["conv4.weight"] == (384, 192, 3, 3)
    assert sizes["conv5.weight"] == (256, 192, 3, 3)
    assert sizes["fc6.weight"] == (4096, 9216)
    assert sizes["fc7.weight"] == (4096, 4096)
    assert sizes["fc8.weight"] == (1000, 4096) and sizes["fc8.bias"] == (1000,)
    assert sum(np.prod(shape) for shape in sizes.values()) == 60_965_224
    sizes = layout.shapes(weight_files.net_of("owt", width=1.0, image_size=224, classes=1000))
    assert sum(np.prod(shape) for shape in sizes.values()) == 61_100_840
