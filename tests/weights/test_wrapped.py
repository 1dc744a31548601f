"""Weights of any name and wrapping are read; damaged and hostile ones end in one line."""

import gzip
import io
import json
import pickle
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from alexnet_jax.errors import WeightsError
from alexnet_jax.weights import files, layout, naming
from alexnet_jax.weights.container import misfits
from tests.support import official, weight_files
from tests.support.weight_files import bgr, caffemodel
from tests.weights.test_files import as_tensorflow, as_torchvision, same

NET = weight_files.net_of("owt")
OWT = weight_files.draw_tensors(NET)
THEIRS = as_torchvision(OWT)
CAFFE = weight_files.draw_tensors(weight_files.net_of("caffe"))


def is_array(value) -> bool:
    return isinstance(value, np.ndarray)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 90, "best_acc1": 56.5},
        lambda state: {"model": state, "model_ema": averaged(state), "optimizer": {"state": {}}},
        lambda state: {"model_state_dict": prefixed("module.", state)},
        lambda state: {"module": prefixed("_orig_mod.", state)},
        lambda state: prefixed("model.net.", state),  # Lightning
        lambda state: {"checkpoint": {"weights": prefixed("module._orig_mod.backbone.", state)}},
        lambda state: prefixed("net.", state) | prefixed("net_ema.", averaged(state)),
        lambda state: state | prefixed("ema.module.", averaged(state)),
        lambda state: {"net": state, "acc": 93.1, "epoch": 3},
        lambda state: {"state": {"model": prefixed("module.model.", state)}, "rng": None},
    ],
    ids=range(10),
)
def test_weights_of_any_name_and_wrapping(wrap):
    found, left_out = naming.find(wrap(THEIRS), is_array)
    same(found, THEIRS)
    assert all("features.0" not in name or "ema" in name for name in left_out)


def prefixed(prefix: str, state: dict) -> dict:
    return {prefix + name: value for name, value in state.items()}


def averaged(state: dict) -> dict:
    return {name: value * 0.5 for name, value in state.items()}


@pytest.mark.parametrize(
    "name", ["net", "net.CKPT", "net.pth.tar", "a.bin", "net.npy.part", "alexnet.model", "net (1)"]
)
def test_the_content_decides_the_format(name, tmp_path):
    path = tmp_path / name
    save_file(CAFFE, path)
    same(files.read(path).tensors, CAFFE)
    path.write_bytes(caffemodel(bgr(CAFFE), old=True))
    same(files.read(path).tensors, CAFFE)
    with path.open("wb") as file:
        np.save(file, as_tensorflow(bgr(CAFFE)))
    same(files.read(path).tensors, CAFFE)


def test_convolutional_fc6_to_fc8_are_matrices(tmp_path):
    side = int((CAFFE["fc6.weight"].shape[1] / len(CAFFE["conv5.bias"])) ** 0.5)
    net = {}
    for name, value in CAFFE.items():
        layer, _, kind = name.partition(".")
        if layer in ("fc6", "fc7", "fc8"):
            sides = (side, side) if layer == "fc6" else (1, 1)
            value = value.reshape(len(value), -1, *sides) if kind == "weight" else value
            name = f"{layer}-conv.{kind}"
        net[name] = value
    save_file(net, tmp_path / "a.safetensors")
    same(files.read(tmp_path / "a.safetensors").tensors, CAFFE)
    (tmp_path / "a.caffemodel").write_bytes(caffemodel(bgr(net), old=False))
    same(files.read(tmp_path / "a.caffemodel").tensors, CAFFE)


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (zipped("alexnet.pth"), "an archive of other files: unpack it"),
        (zipped("config.json", "model.weights.h5"), "an archive of other files"),  # Keras
        (gzip.compress(save(CAFFE)), "an archive of other files"),
        (official.tar({"alexnet.safetensors": save(CAFFE)}), "an archive of other files"),
        (official.tar({"alexnet.npy": b""}, "w:xz"), "an archive of other files"),
        (zipped("net/data.pkl", "net/constants.pkl"), "it is TorchScript: save its state dict"),
    ],
    ids=["zip", "keras", "gz", "tar", "tar.xz", "TorchScript"],
)
@pytest.mark.parametrize("name", ["weights", "alexnet.pth"])
def test_weights_in_another_package_are_named_as_that(data, said, name, tmp_path):
    refused(tmp_path, data, said, name)


@pytest.mark.parametrize("last", [None, "fc8_flickr", "fc8_oxford_102", "fc8_new", "classifier"])
def test_layers_that_are_left_out_may_be_missing_or_renamed(last, tmp_path):
    arch = weight_files.net_of("caffe")
    net = {
        name.replace("fc8", last or ""): value
        for name, value in CAFFE.items()
        if last or not name.startswith("fc8")
    }
    (tmp_path / "a.caffemodel").write_bytes(caffemodel(bgr(net), old=False))
    weights = files.read(tmp_path / "a.caffemodel")
    layers = [layer.name for layer in arch.layers]
    assert "fc8.weight" in misfits(weights, arch, layers)
    assert not misfits(weights, arch, layers[:-1])
    assert (f"{last}.weight" in misfits(weights, arch)) == bool(last)


def with_kind(kind: str, bits: int) -> bytes:
    """A safetensors whose conv1.bias has 4 numbers of another kind."""
    tensors = {name: value for name, value in CAFFE.items() if name != "conv1.bias"}
    whole = save(tensors)
    (length,) = struct.unpack("<Q", whole[:8])
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    end = len(data) + bits * 4 // 8
    header["conv1.bias"] = {"dtype": kind, "shape": [4], "data_offsets": [len(data), end]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data + bytes(end - len(data))


@pytest.mark.parametrize(
    ("kind", "bits"), [("F8_E4M3", 8), ("F8_E5M2", 8), ("F4", 4), ("C64", 64), ("I64", 64)]
)
def test_numbers_that_are_no_plain_floats_are_named(kind, bits, tmp_path):
    refused(tmp_path, with_kind(kind, bits), f"conv1.bias is ({kind}|complex64|int64)")


@pytest.mark.parametrize(
    ("layer", "weight"),
    [
        ("conv1", np.zeros((11, 11, 3, 0), np.float32)),
        ("fc6", np.float32(3)),
        ("fc7", np.zeros(1, [("a", "f4")])),
        ("fc7", np.zeros((2, 2), np.complex64)),
        ("conv2", np.zeros((1, 1, 1), np.float32)),
    ],
    ids=str,
)
def test_weights_of_a_shape_that_no_layer_has(layer, weight, tmp_path):
    layers = {**as_tensorflow(CAFFE), layer: [np.asarray(weight), CAFFE[f"{layer}.bias"]]}
    stream = io.BytesIO()
    np.save(stream, layers)
    refused(tmp_path, stream.getvalue(), f"{layer} has a weight|no AlexNet|expected floats|cannot")


def refused(folder, data: bytes, said: str = "cannot be read", name: str = "weights") -> None:
    """See the file refused in one line, at once."""
    path = folder / name
    path.write_bytes(data)
    begin = time.perf_counter()
    with pytest.raises(WeightsError, match=said) as caught:
        files.read(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 5000
    assert time.perf_counter() - begin < 5


def pickled(value) -> bytes:
    """An .npy that holds this."""
    stream = io.BytesIO()
    np.save(stream, np.array({}), allow_pickle=True)
    return stream.getvalue()[: stream.getvalue().index(b"\n") + 1] + pickle.dumps(value, 3)


def bomb(level: int, kind=list):
    """Ten to the power of `level` numbers, in lists that each stand in ten places."""
    value = kind([0.0] * 10)
    for _ in range(level):
        value = kind([value] * 10)
    return value


@pytest.mark.parametrize(
    "value",
    [
        bomb(12),
        {"conv1": bomb(12), "conv5": bomb(12)},
        {1: np.ones(3), 2: np.ones(3)},
    ],
    ids=["lists", "in a dict", "integer names"],
)
def test_a_small_file_of_shared_lists_stays_small(value, tmp_path):
    refused(tmp_path, pickled(value), "holds no AlexNet")


def test_a_name_of_shared_tuples_is_refused_before_it_is_hashed(tmp_path):
    steps = b"\x80\x02}(K\x00q\x00" + b"".join(
        b"h%c" % k + b"h%c" % k + b"\x86q%c" % (k + 1) for k in range(60)
    )
    head = pickled({})[: pickled({}).index(b"\n") + 1]
    refused(tmp_path, head + steps + b"K\x01u.", "a step that NumPy never writes")


def test_a_pickle_is_bounded_before_it_is_run(tmp_path):
    itself: list = []
    itself.append(itself)
    refused(tmp_path, pickled(itself), "contains itself")
    refused(tmp_path, pickled({})[:-1] + b"r\xff\xff\xff\xff.", "more than 10000 steps")
    deep: list = []
    for _ in range(100):
        deep = [deep]
    refused(tmp_path, pickled({"conv1": [deep] * 20_000}), "more than 10000 steps")


def test_an_encrypted_archive_says_what_to_do(tmp_path):
    file = io.BytesIO()
    np.savez(file, conv1=np.ones(3, np.float32))
    data = bytearray(file.getvalue())
    data[data.index(b"PK\1\2") + 8] |= 1  # of the directory's entry
    refused(tmp_path, bytes(data), "it is encrypted: unpack it, and save it again")


@pytest.mark.parametrize("dtype", ["<f4", "|b1", "<f8"])
def test_an_archive_that_unpacks_to_gigabytes_is_refused(dtype, tmp_path):
    path = tmp_path / "weights"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("conv1/W.npy", "w", force_zip64=True) as file,
    ):
        shape = (600 * 2**20 // np.dtype(dtype).itemsize,)
        np.lib.format.write_array_header_1_0(
            file, {"descr": dtype, "fortran_order": False, "shape": shape}
        )
        for _ in range(75):
            file.write(bytes(2**23))
    assert path.stat().st_size < 2**23
    refused(tmp_path, path.read_bytes(), r"it unpacks to 629145\d* bytes, more than any AlexNet")


def test_an_archive_whose_directory_lies_is_unpacked_as_far_as_it_says(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("conv1/W.npy", bytes(2**28))
    data = bytearray(stream.getvalue())
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 1000)
    tracemalloc.start()
    refused(tmp_path, bytes(data), "Bad CRC-32")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_names_without_end_are_refused_at_once(tmp_path):
    deep: dict = {}
    for _ in range(3):
        deep = {f"a{k}": deep for k in range(1000)}
    with pytest.raises(ValueError, match="too many names"):
        naming.find(deep, is_array)
    layers = [
        {f"l{k}.{kind}": np.ones(1, np.float32) for kind in ("weight", "bias")} for k in range(5001)
    ]
    every = {name: value for layer in layers for name, value in layer.items()}
    refused(tmp_path, caffemodel(every, old=True), "more layers than any net")
    refused(tmp_path, save(dict.fromkeys(list(every)[:500], np.ones(1))), "found l0, l1, l10, ")


def test_a_file_of_zeros_is_named_at_once(tmp_path):
    refused(tmp_path, bytes(2**24), "it begins with zeros")


def test_what_a_library_advises_to_allow_is_not_said(tmp_path):
    path, header = tmp_path / "a.npy", b"(" * 60_000
    path.write_bytes(b"\x93NUMPY\x02\0" + struct.pack("<I", len(header)) + header)
    with pytest.raises(WeightsError, match="may not be safe to load securely$"):
        files.read(path)


@pytest.mark.parametrize(
    "said",
    [
        {"model": "[" * 100_000},
        {"model": '{"arch": "paper"}', "mean": "[1, NaN, 3]", "divide_by": "[1, 1, 1]"},
        {"model": '{"arch": "paper"}', "mean": "[1, 2, 3]", "divide_by": "[1, Infinity, 1]"},
        {
            "model": '{"arch": "paper"}', "mean": "[1, 2, 3]", "divide_by": "[1, 1, 1]",
            "class_names": "{}",
        },
        {"model": "3", "mean": "[1, 2, 3]", "divide_by": "[1, 1, 1]"},
    ],
    ids=range(5),
)  # fmt: skip
def test_odd_metadata_is_refused(said, tmp_path):
    refused(tmp_path, save(CAFFE, said), "what its header says of the net is damaged")


def test_the_tensors_of_a_norm_of_ones_own_go_out_and_come_back(monkeypatch):
    import jax.numpy as jnp
    from flax import nnx

    from alexnet_jax.net.layers import Operation
    from alexnet_jax.net.operations import NORMS

    class Own(Operation):
        def __init__(self, arch, channels):
            self.gain = nnx.Param(jnp.ones((arch.columns, channels)))
            self.scale = nnx.Param(jnp.ones((arch.columns, channels)))
            self.weight = nnx.Param(jnp.ones((arch.columns, channels, 2)))
            self.kernel = nnx.BatchStat(jnp.ones((arch.columns,)))

        def __call__(self, xs, call):
            return xs

    monkeypatch.setitem(NORMS, "own", Own)
    net = weight_files.net_of("paper", norm="own")
    shapes = layout.shapes(net)
    assert {"norm1.gain", "norm1.scale", "norm1.weight", "norm1.kernel"} <= shapes.keys()
    tensors = {name: np.random.default_rng(0).normal(size=s) for name, s in shapes.items()}
    found = layout.to_torch(net, *layout.from_torch(net, tensors))
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name], value)
