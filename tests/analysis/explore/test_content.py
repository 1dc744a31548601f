"""The numbers that the page gets, beside the same net called plainly and NumPy in float64."""

import dataclasses
import itertools
import json
import math
import pathlib

import numpy as np
import pytest

from alexnet_jax.analysis.explore import column_energy, content
from alexnet_jax.analysis.explore.activations import looker
from alexnet_jax.analysis.explore.packing import pack
from alexnet_jax.analysis.features.extraction import activation_names
from alexnet_jax.errors import DataError
from alexnet_jax.net import listing, resolving, variants
from experiments.claims import miniature
from tests.support import commands, explored
from tests.support.explored import unpack
from tests.support.narrow_nets import SIZE, make_arch
from tests.support.narrow_nets import run as run_net

NAMES = tuple(f"class {k}" for k in range(10))


@pytest.fixture(scope="module", params=[1, 2])
def net(request):
    return explored.restored(pathlib.Path("run"), NAMES, group=request.param)


@pytest.fixture(scope="module")
def seen(net):
    return looker(net)(explored.picture(0))


@pytest.fixture(scope="module")
def plain(net):
    """The logits of the ten views, and all activations of the central one."""
    pixels, far = explored.picture(0).astype(np.float32) - explored.MEAN, explored.FULL - SIZE
    corners = [(0, 0), (0, far), (far // 2, far // 2), (far, 0), (far, far)]
    views = [pixels[top : top + SIZE, left : left + SIZE] for top, left in corners]
    views += [view[:, ::-1] for view in views]
    params = {k: {n: np.asarray(v) for n, v in x.items()} for k, x in net.state.params.items()}
    logits, kept = run_net(net.arch, params, np.stack(views))
    return logits, {name: values[:, 2] for name, values in kept.items()}


def test_activations_and_views_are_those_of_the_net(net, seen, plain):
    logits, kept = plain
    assert list(seen.activations) == list(activation_names(net.arch)) == list(kept)
    for name, values in kept.items():
        largest = np.abs(values).max()
        np.testing.assert_allclose(seen.activations[name], values, rtol=1e-4, atol=1e-4 * largest)
    expected = np.exp(logits.astype(np.float64))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(seen.probabilities, expected, rtol=1e-3, atol=1e-6)


def test_a_page_holds_what_the_net_gives_to_eleven_bits(net, seen):
    about, stored = content.picture(net, pathlib.Path("a/b.png"), explored.picture(0), seen)
    assert about["file"] == "b.png"
    json.dumps(about, allow_nan=False)
    for name, packed in stored.items():
        values = np.moveaxis(seen.activations[name], -1, 1)
        tiny = 2.0**-39 * np.abs(values).max()
        np.testing.assert_allclose(unpack(packed), values, rtol=2.0**-11, atol=tiny)
    steps = content.steps(net.arch)
    assert [step["name"] for step in steps] == ["image", *seen.activations, "ten views"]
    for before, step in itertools.pairwise(steps[:-1]):
        assert step["input"] == before["name"]
    assert {s["name"] for s in steps if s["layer"] and not s["stored"]} == {
        *("relu1", "pool1", "relu2", "pool2", "relu3", "relu4", "relu5", "pool5", "relu6", "relu7")
    }


@pytest.mark.parametrize("name", variants.ARCHITECTURES)
def test_the_steps_of_every_net_are_its_activations(name):
    arch = resolving.architecture(name)
    steps = content.steps(arch)[1:-1]
    assert tuple(step["name"] for step in steps) == activation_names(arch)
    assert {step["words"] for step in steps} <= set(content.words())


def test_our_figures_are_those_of_the_record():
    for key, setting in (
        *(("norm", "lrn"), ("pool", "pooling"), ("dropout", "dropout")),
        *(("conv", "columns"), ("conv_image", "columns")),
    ):
        assert miniature.text(setting).startswith(f"{content.words()[key]['ours']} (n = 3)")


def test_packing_keeps_large_tiny_and_no_values():
    for values in ([1e30, -3.0, 0.0], [1e-30, 2e-30], [0.0, 0.0], [65519.9, 1.0], []):
        values = np.array(values, np.float32).reshape(1, -1)
        found = unpack(pack(values))
        assert found.shape == values.shape
        atol = 2.0**-39 * np.abs(values).max(initial=0)
        np.testing.assert_allclose(found, values, rtol=2.0**-11, atol=atol)


def test_shares_of_the_other_column():
    """Column 0's unit reads 3 of its own and 4 of the other; column 1's reads only its own."""
    kernel = np.array([[[3.0], [4.0]], [[0.0], [2.0]]])  # (columns, in, units)
    np.testing.assert_allclose(column_energy.shares(kernel, 2), [[16 / 25], [0]])
    np.testing.assert_allclose(column_energy.shares(kernel, 2, np.array([4.0, 0.25])), [[0.1], [0]])


def test_shares_and_sums_on_a_picture(net, seen):
    params, arch = net.state.params, net.arch
    fc6 = next(layer for layer in arch.layers if layer.name == "fc6")
    assert [x.name for x in column_energy.crossing_layers(arch)] == ["conv3", "fc6", "fc7"]
    inputs = seen.activations["pool5"].astype(np.float64).reshape(2, -1)
    kernel = np.asarray(params["fc6"]["kernel"], np.float64)[1]  # column 1's
    energy = (kernel * inputs.ravel()[:, None]) ** 2
    expected = energy[: inputs.shape[1]].sum(0) / energy.sum(0)
    found = column_energy.of_picture(arch, fc6, params, seen.activations)[1]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    for line in column_energy.summed(arch, params, seen.activations, range(10)):
        assert math.isclose(sum(line["columns"]) + line["bias"], line["logit"], abs_tol=1e-4)


def test_what_the_views_say():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.3, 0.6, 0.1], [0.3, 0.6, 0.1]], np.float32)
    said = content.answers(probabilities, ("ant", "bee", "cow"))
    assert [row["class"] for row in said["top"]] == ["ant", "bee", "cow"]
    np.testing.assert_allclose([row["mean"] for row in said["top"]], [0.5, 1.3 / 3, 0.2 / 3])
    assert [row["class"] for row in said["best"]] == ["ant", "bee", "bee"]
    assert said["without"] == [1, 0, 0]  # without the first view the bee would win


def test_five_pictures_of_the_papers_net_fit_into_15_megabytes():
    """Products are noise, which packs worst; half of what follows ReLU is 0."""
    arch, rng, total = resolving.architecture("paper"), np.random.default_rng(0), 0
    product = {row.layer.name: row.product for row in listing.rows(arch)}
    for step in content.steps(arch):
        if step["stored"]:
            shape = product[step["layer"]]
            values = rng.standard_normal((2, *shape), np.float32)
            values = values if step["name"] in product else np.maximum(values, 0)
            total += len(pack(values)["data"])
    assert 5 * total < 14e6  # the kernels and the program take less than 1 MB


def test_values_that_are_not_finite_are_one_line():
    net = explored.restored(pathlib.Path("run"), NAMES)
    params = {**net.state.params, "conv1": {"kernel": net.state.params["conv1"]["kernel"] * np.inf}}
    params["conv1"]["bias"] = net.state.params["conv1"]["bias"]
    broken = dataclasses.replace(net, state=dataclasses.replace(net.state, params=params))
    with pytest.raises(DataError, match="conv1 of run has values that are not finite"):
        looker(broken)(explored.picture(0))


def test_no_image_or_too_many_are_one_line(tmp_path):
    command = ("analysis.explore", f"--workdir={tmp_path}")
    commands.assert_refused("expected one or more images", *command)
    commands.assert_refused("at most 5 images; got 6", *command, *(f"{k}.jpg" for k in range(6)))


def test_one_column_has_nothing_that_crosses():
    arch = make_arch(columns=1)
    assert column_energy.crossing_layers(arch) == []
    assert not any(step["kind"].endswith("_crosses") for step in content.steps(arch))
