"""The training images that drive a unit most, and what its pixel sees, beside plain loops."""

import base64
import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.analysis.explore import pieces
from alexnet_jax.analysis.explore.activations import looker
from alexnet_jax.net import listing, resolving
from tests.support import explored
from tests.support.narrow_nets import SIZE, make_arch
from tests.support.narrow_nets import run as run_net

NAMES = tuple(f"class {k}" for k in range(10))


@pytest.mark.parametrize(
    ("group", "last", "dropped"), [(1, "conv5", ""), (2, "conv2", "conv3,conv4,conv5")]
)
def test_the_nine_images_are_those_with_the_largest_values(group, last, dropped, monkeypatch):
    net = explored.restored(pathlib.Path("run"), NAMES, group, drop_layers=dropped)
    net.config.evaluate.batch_size = 8  # so that 20 images take 3 batches
    dataset, seen = explored.Training(), looker(net)(explored.picture(0))
    found = pieces.pieces(net, dataset, 20, [seen])
    searched = [int(k * 22 / 19) for k in range(20)]
    edge = (explored.FULL - SIZE) // 2
    views = dataset.read("train", searched)[0][:, edge : edge + SIZE, edge : edge + SIZE]
    params = {k: {n: np.asarray(v) for n, v in x.items()} for k, x in net.state.params.items()}
    kept = run_net(net.arch, params, views.astype(np.float32) - explored.MEAN)[1]
    assert found["searched"] == 20 and list(found["layers"]) == [last, "fc7"]
    bytes_of = [base64.b64decode(image["jpeg"]) for image in found["images"]]
    grey = [Image.open(io.BytesIO(each)).convert("L") for each in bytes_of]
    for name, units in found["layers"].items():
        assert len(units) == 2 * kept[name].shape[-1]  # all of this narrow net have room
        for key, nine in units.items():
            column, unit = map(int, key.split())
            values = kept[name][column, ..., unit].reshape(20, -1).max(axis=1)
            best = np.sort(values)[::-1][:9]
            np.testing.assert_allclose([x["value"] for x in nine], best, rtol=1e-3, atol=1e-3)
            assert len({x["image"] for x in nine}) == 9
            (index,) = np.flatnonzero(values == best[0])
            assert found["images"][nine[0]["image"]]["class"] == NAMES[9 - searched[index] % 10]
            small = Image.fromarray(views[index]).convert("L").resize((96, 96))
            pair = [np.ravel(each) for each in (small, grey[nine[0]["image"]])]
            assert np.corrcoef(*pair)[0, 1] > 0.8
            if last == name == "conv2":  # sees 51 pixels, 8 apart; the first begins at -16
                y, x = np.argwhere(kept[name][column, index, ..., unit] == best[0])[0]
                first, end = 8 * np.array([x, y]) - 16, 8 * np.array([x, y]) + 35
                first, end = np.maximum(first, 0), np.minimum(end, SIZE)
                assert nine[0]["frame"] == [*first, *(end - first)]
    strongest = np.square(seen.activations[last]).sum(axis=(1, 2)).argmax(axis=1)
    assert list(found["layers"][last])[:2] == [f"{k} {unit}" for k, unit in enumerate(strongest)]
    monkeypatch.setattr(pieces, "ROOM", 1)
    assert [len(x) for x in pieces.pieces(net, dataset, 5, [seen])["layers"].values()] == [1, 0]


def sees(arch, until: str) -> list[set[int]]:
    """Return, for each pixel of a side of a convolution's product, the pixels of the image."""
    below = [{k} for k in range(arch.image_size)]

    def moved(window, stride, padding, count):
        starts = range(-padding, count * stride - padding, stride)
        inside = [range(max(0, start), min(start + window, len(below))) for start in starts]
        return [set().union(*(below[k] for k in each)) for each in inside]

    for row in listing.rows(arch):
        layer = row.layer
        below = moved(layer.kernel, layer.stride, layer.padding, row.product[0])
        if layer.name == until:
            return below
        for op in layer.then:
            if op == "pool":
                pool = arch.pool_of(layer)
                below = moved(pool.window, pool.stride, 0, row.output[0])
            elif op == "spatial_norm":
                n = arch.spatial_norm.n
                below = moved(n, 1, n // 2, len(below))
    raise AssertionError(until)


@pytest.mark.parametrize(
    ("name", "layer"), [("paper", "conv5"), ("small", "conv4"), ("cifar18", "conv2")]
)
def test_a_pixel_sees_what_the_windows_below_it_cover(name, layer):
    arch = resolving.architecture(name)
    windows = pieces.windows_below(arch, next(x for x in arch.layers if x.name == layer))
    for pixel, expected in enumerate(sees(arch, layer)):
        first, last = pieces.receptive_field(windows, pixel)
        assert set(range(first, last + 1)) == expected
    if name == "paper":
        assert pieces.receptive_field(windows, 6) == (32, 194)  # 163 pixels, 16 apart
        assert pieces.receptive_field(windows, 0) == (0, 98)


def test_group_norm_sees_all_and_nets_without_fc7_have_one_layer():
    group = make_arch(norm="group")
    assert pieces.receptive_field(pieces.windows_below(group, group.layers[1]), 0) == (0, SIZE - 1)
    assert [x.name for x in pieces.chosen(resolving.architecture("cifar18"))] == ["conv3"]
    assert [x.name for x in pieces.chosen(make_arch(drop_layers="conv5,fc7"))] == ["conv4", "fc6"]


def test_images_that_are_gone_are_one_line(tmp_path, capsys):
    net = explored.restored(pathlib.Path("run"), NAMES)
    net.config.data.prepared_dir = str(tmp_path)
    assert pieces.training_images(net, 0) is None and not capsys.readouterr().err
    assert pieces.training_images(net, 10) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: the page has no training images: ") and "gone" in line
