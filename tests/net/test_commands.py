"""python -m net: counts, diff, show, and the figure."""

import json
import xml.etree.ElementTree as ElementTree

import jax
import numpy as np
import pytest

from alexnet_jax.net import figure, listing, resolving, variants
from alexnet_jax.net.parameters import merge, params_of, structure_of
from tests.net.test_variants import COUNTS
from tests.support import commands


def test_counts_ends_with_every_row():
    done = commands.run("net", "counts")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out.splitlines()[-1]) == COUNTS


def test_diff_shows_what_differs_and_nothing_else():
    done = commands.run("net", "diff", "caffe", "caffenet")
    assert done.code == 0
    fields = [line.split("│")[1].strip() for line in done.out.splitlines() if "│" in line]
    biases = [f"init.bias.{name}" for name in ("conv2", "conv4", "conv5", "fc6", "fc7")]
    assert fields == ["layers.conv1.then", "layers.conv2.then", *biases]


def test_what_a_net_has_no_layer_for_has_no_value():
    rows = listing.differences(*map(resolving.architecture, ("cifar18", "cifar26")))
    init = [row for row in rows if row[0].startswith("init.")]
    assert init == [
        ("init.std.fc8", "0.01", "0.1"),
        ("init.std.fc7", "-", "0.1"),
        ("init.bias.fc7", "-", "0.0"),
    ]


def test_show_draws_and_ends_with_the_totals(tmp_path):
    path = tmp_path / "paper.svg"
    done = commands.run("net", "show", "paper", f"--figure={path}")
    result = json.loads(done.out.splitlines()[-1])
    assert result["parameters"] == 60_965_224
    # 230,304 bytes an image there and back, of which fc8's 4,000 only there.
    assert result["values_received_by_a_column"] * 4 == (230_304 + 4_000) // 2
    assert result["figure"] == str(path) and ElementTree.parse(path).getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "lenet"), "model.arch is one of paper, code2012"),
        (("show", "owt", "--figure=net.png"), "an .svg file; got net.png"),
        (("show", "owt", "--figure=/dev/null/net.svg"), "/dev/null/net.svg"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message):
    done = commands.run("net", *arguments)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("error: ") and message in line


@pytest.mark.parametrize("name", variants.ARCHITECTURES)
def test_flops_are_those_that_the_compiler_counts(name):
    """XLA leaves out products with padding and counts what is between the products: 7 % less.

    Padding is a larger part of small pictures.
    """
    net = resolving.architecture(name)
    images = jax.ShapeDtypeStruct((1, net.image_size, net.image_size, 3), np.float32)
    structure = structure_of(net)
    forward = jax.jit(lambda params, images: merge(structure, params)(images)[0])
    counted = forward.lower(params_of(structure), images).cost_analysis()["flops"]
    rows = listing.rows(net)
    by_hand = {row.layer.name: row.flops for row in rows}
    if name == "paper":  # 55 x 55 x 96 filters of 11 x 11 x 3, and so on; paper figure 2
        assert by_hand["conv1"] == 2 * 55 * 55 * 96 * 363
        assert by_hand["conv2"] == 2 * 27 * 27 * 256 * 5 * 5 * 48
        assert by_hand["conv3"] == 2 * 13 * 13 * 384 * 3 * 3 * 256
        assert by_hand["fc6"] == 2 * 9216 * 4096 and by_hand["fc8"] == 2 * 4096 * 1000
    if net.image_size > 64:
        assert sum(by_hand.values()) == pytest.approx(counted, rel=0.1)
    else:
        assert 0.6 * sum(by_hand.values()) < counted < sum(by_hand.values())


def test_a_dropped_layer_is_listed_with_what_it_reads():
    model = resolving.overrides("paper")
    model.drop_layers = "conv5,fc7"  # conv5's pooling stays
    net = resolving.resolve(model)
    rows = {row.layer.name: row for row in listing.rows(net)}
    conv5, fc7, fc8 = (rows[name] for name in ("conv5", "fc7", "fc8"))
    assert (conv5.product, conv5.output, conv5.parameters) == ((13, 13, 192), (6, 6, 192), 0)
    assert (fc7.product, fc7.output, fc7.flops, fc7.received) == ((2048,), (2048,), 0, 0)
    assert fc8.parameters == 2 * 2048 * 1000 + 1000 and rows["fc6"].received == 6 * 6 * 192
    assert listing.operations(net, conv5.layer) == "dropped, pool 3/2"


@pytest.mark.parametrize(
    ("name", "down"), [("paper", True), *((name, False) for name in variants.ARCHITECTURES)]
)
def test_the_figure_marks_norms_and_crossings_and_says_sizes(name, down):
    net = resolving.architecture(name)
    (axes,) = figure.draw(net, down=down).axes
    texts = [text.get_text() for text in axes.texts]
    norms = sum(op == "norm" for layer in net.layers for op in layer.then)
    assert texts.count("LRN") == norms  # once for both columns
    crossing = [row for row in listing.rows(net) if row.received]
    lines = sum(2 for row in crossing)  # both ways, or both into the sum
    assert [line.get_color() for line in axes.lines].count(figure.CROSS) == lines
    if name == "paper":  # figure 2 and section 3.5
        sizes = {"55x55x48": 2, "27x27x128": 2, "13x13x192": 4, "13x13x128": 2, "2,048": 4}
        assert {size: texts.count(size) for size in sizes} == sizes
        assert texts.count("224x224x3") == texts.count("1,000") == 1
