"""Caffe's files, of bytes written here: what is read, and what is refused."""

import numpy as np
import pytest

from alexnet_jax.errors import WeightsError
from alexnet_jax.weights import caffe, files, layout
from alexnet_jax.weights.container import misfits
from alexnet_jax.weights.mean import read_mean
from tests.support import weight_files
from tests.support.narrow_nets import draw_images, run
from tests.support.weight_files import bgr, blob, caffemodel, field

NET = weight_files.net_of("caffe")
TENSORS = weight_files.draw_tensors(NET)


@pytest.fixture
def write(tmp_path):
    def write(data: bytes, name: str = "net.caffemodel"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("old", [True, False], ids=["layers", "layer"])
def test_both_forms_are_read_and_turned_to_rgb(old, write):
    weights = files.read(write(caffemodel(bgr(TENSORS), old=old)))
    same(weights.tensors, TENSORS)
    assert weights.archs == ("caffe",) and weights.bgr
    np.testing.assert_array_equal(weights.mean, [123, 117, 104])


def test_the_net_answers_rgb_as_caffe_answers_bgr(write):
    images = draw_images()
    weights = files.read(write(caffemodel(bgr(TENSORS), old=True)))
    logits, _ = run(NET, layout.from_torch(NET, weights.tensors)[0], images)
    expected = weight_files.reference(NET, bgr(TENSORS), images[..., ::-1])
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4 * expected.std())
    assert not np.allclose(logits, weight_files.reference(NET, bgr(TENSORS), images), rtol=0.01)


@pytest.mark.parametrize(
    ("order", "name", "archs"),
    [
        (("norm1", "pool1"), "whatever", ("caffe",)),
        (("pool1", "norm1"), "whatever", ("caffenet",)),
        (("pool1", "norm1"), "AlexNet", ("caffenet",)),
        ((), "AlexNet", ("caffe",)),
        ((), "CaffeNet", ("caffenet",)),
        ((), "whatever", ("caffe", "caffenet")),
    ],
)
def test_caffenet_pools_first(order, name, archs, write):
    data = caffemodel(TENSORS, old=False, order=order, name=name)
    assert files.read(write(data)).archs == archs


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_a_blob_has_either_shape_and_either_precision(old, double):
    array = np.random.default_rng(0).standard_normal((2, 3, 130, 1)).astype(np.float32)
    found = caffe.read_blob(blob(array, old=old, double=double))
    np.testing.assert_array_equal(found, array)


def test_numbers_that_are_not_packed_are_read():
    unpacked = b"".join(bytes([5 << 3 | 5]) + v.tobytes() for v in np.float32([1.5, -2.0]))
    dims = field(7, field(1, 2))
    np.testing.assert_array_equal(caffe.read_blob(dims + unpacked), np.float32([1.5, -2.0]))


@pytest.mark.parametrize("bgr_file", [True, False])
@pytest.mark.parametrize("kind", ["binaryproto", "npy", "values"])
def test_a_mean_becomes_rgb(kind, bgr_file, write, tmp_path):
    rng = np.random.default_rng(2)
    shape = (3,) if kind == "values" else (3, 256, 256)
    mean = rng.uniform(90, 130, shape).astype(np.float32)
    if kind == "binaryproto":
        path = write(blob(mean[None], old=True), "mean.binaryproto")
    else:
        path = tmp_path / "mean.npy"
        np.save(path, mean.astype(np.float64))
    found = read_mean(path, size=256, bgr=bgr_file)
    expected = mean[::-1] if bgr_file else mean
    np.testing.assert_array_equal(found, np.moveaxis(expected, 0, -1))
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((256, 256, 3)), r"expected \(3, 256, 256\) or \(3,\), found \(256, 256, 3\)"),
        (np.zeros((3, 227, 227)), r"found \(3, 227, 227\)"),
        (np.full(3, np.nan), "not finite"),
        (np.array(["a"]), "an array of <U1, expected floats"),
    ],
)
def test_a_mean_of_another_kind_is_refused(array, said, tmp_path):
    np.save(tmp_path / "mean.npy", array)
    with pytest.raises(WeightsError, match=said):
        read_mean(tmp_path / "mean.npy", size=256, bgr=True)


WHOLE = caffemodel(TENSORS, old=True)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b"\xff" * 40, "no Caffe file"),
        (b"PK\x03\x04 some zip", "cannot be read"),
        (WHOLE[:-1], "cut off"),
        (WHOLE[: len(WHOLE) // 2], "cut off"),
        (WHOLE[:30], "cannot be read"),
        (field(1, b"n") + field(100, field(1, b"conv1") + field(7, field(7, b""))), "1 blobs|blob"),
        (
            field(100, field(1, b"data") + field(7, blob(np.ones(2, np.float32)))),
            "1 blobs|holds no",
        ),
        (field(100, 5), "no Caffe file"),
    ],
)
def test_what_is_damaged_is_refused_in_one_line(data, said, write):
    with pytest.raises(WeightsError, match=said) as caught:
        files.read(write(data))
    assert "\n" not in str(caught.value)


def test_a_cut_between_two_layers_is_seen(write):
    tensors = {k: v for k, v in TENSORS.items() if not k.startswith("fc8")}
    weights = files.read(write(caffemodel(tensors, old=True)))
    assert set(misfits(weights, NET)) == {"fc8.bias", "fc8.weight"}


def test_a_blob_whose_shape_lies_is_refused(write):
    lie = field(7, field(1, weight_files.varint(2**40))) + field(5, b"\0" * 16)
    data = field(100, field(1, b"conv1") + field(7, lie))
    with pytest.raises(WeightsError, match=r"\(1099511627776,\) has 4 numbers"):
        files.read(write(data))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused_by_name(bad, write):
    tensors = {k: v.copy() for k, v in TENSORS.items()}
    tensors["conv4.bias"][3] = bad
    with pytest.raises(WeightsError, match=r"conv4.bias has 1 numbers that are not finite"):
        files.read(write(caffemodel(tensors, old=True)))
