"""Files of NumPy, safetensors and PyTorch: what is read, what is refused, what never runs."""

import builtins
import io
import json
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from alexnet_jax.errors import WeightsError
from alexnet_jax.weights import files
from alexnet_jax.weights.numpy_files import read_npy
from tests.support import weight_files
from tests.support.weight_files import bgr

NET = weight_files.net_of("caffe")
TENSORS = weight_files.draw_tensors(NET)
OWT = weight_files.draw_tensors(weight_files.net_of("owt"))
LAYERS = tuple(files.TORCHVISION)


class Hostile:
    """Writes a file wherever it is unpickled."""

    def __init__(self, marker: pathlib.Path):
        self.marker = marker

    def __reduce__(self):
        return pathlib.Path.touch, (self.marker,)


def same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def as_tensorflow(tensors: dict) -> dict[str, list[np.ndarray]]:
    """layer -> [W, b]: kernels (kh, kw, in, out), fc6's input as (row, column, map)."""
    found = {}
    for layer in LAYERS:
        weight, bias = tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]
        if weight.ndim == 4:
            weight = weight.transpose(2, 3, 1, 0)
        elif layer == "fc6":
            maps = len(tensors["conv5.bias"])
            side = int((weight.shape[1] / maps) ** 0.5)
            weight = weight.reshape(-1, maps, side, side).transpose(2, 3, 1, 0)
            weight = weight.reshape(-1, weight.shape[-1])
        else:
            weight = weight.T
        found[layer] = [weight, bias]
    return found


def as_torchvision(tensors: dict) -> dict[str, np.ndarray]:
    named = {}
    for name, value in tensors.items():
        layer, kind = name.split(".")
        named[f"{files.TORCHVISION[layer]}.{kind}"] = value
    return named


@pytest.mark.parametrize("form", ["lists", "dicts", "npz"])
def test_the_converted_caffe_nets_are_read(form, tmp_path):
    layers = as_tensorflow(bgr(TENSORS))
    path = tmp_path / "bvlc_alexnet.npy"
    if form == "npz":
        path = path.with_suffix(".npz")
        arrays = {
            f"{n}/{k}": v for n, pair in layers.items() for k, v in zip("Wb", pair, strict=True)
        }
        np.savez(path, **arrays)
    elif form == "dicts":
        np.save(path, {n: {"weights": w, "biases": b} for n, (w, b) in layers.items()})
    else:
        np.save(path, layers)
    weights = files.read(path)
    same(weights.tensors, TENSORS)
    assert weights.archs == ("caffe",) and weights.bgr
    renamed = path.rename(path.with_stem("weights"))
    assert files.read(renamed).archs == ("caffe", "caffenet")


def test_a_pickle_of_python_2_is_read():
    """Protocol 2 has the bytes as text, and the module's old name."""
    raw = np.arange(3, dtype="<f4")
    # What Python 2 writes: strings for bytes. Taken apart, since Python 3 writes no such pickles.
    text = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R("
        b"K\x01K\x03\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x0c" + raw.tobytes() + b"tb."
    )
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (117 - len(header)) + b"\n"
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    np.testing.assert_array_equal(read_npy(npy + text), raw)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
def test_pickled_arrays_come_as_they_were(dtype, order):
    array = np.asarray(np.arange(6).reshape(2, 3), dtype, order=order)
    stream = io.BytesIO()
    np.save(stream, {"a": {"b": [array, array]}})
    first, second = read_npy(stream.getvalue())["a"]["b"]
    np.testing.assert_array_equal(first, array)
    np.testing.assert_array_equal(second, array)


def test_nothing_in_an_npy_is_called(tmp_path):
    marker = tmp_path / "marker"
    for name, value in (("a", {"conv1": Hostile(marker)}), ("b", Hostile(marker))):
        np.save(tmp_path / f"{name}.npy", np.array(value), allow_pickle=True)
        np.savez(tmp_path / f"{name}.npz", conv1=np.array(value))
        for path in (tmp_path / f"{name}.npy", tmp_path / f"{name}.npz"):
            with pytest.raises(WeightsError, match="asks for pathlib.*only arrays are read"):
                files.read(path)
    assert not marker.exists()
    np.load(tmp_path / "b.npy", allow_pickle=True)  # as a careless reader would
    assert marker.exists()


@pytest.mark.parametrize("function", [("os", "system"), ("numpy", "load"), ("builtins", "eval")])
def test_no_function_has_a_name_here(function):
    stream = io.BytesIO()
    np.save(stream, np.array({}), allow_pickle=True)
    head = stream.getvalue()[: stream.getvalue().index(b"\n") + 1]
    with pytest.raises(ValueError, match=".".join(function)):
        read_npy(head + b"c" + "\n".join(function).encode() + b"\n(S'1'\ntR.")


def test_safetensors_of_torchvisions_net(tmp_path):
    save_file(as_torchvision(OWT), tmp_path / "alexnet.safetensors")
    weights = files.read(tmp_path / "alexnet.safetensors")
    same(weights.tensors, OWT)
    assert weights.archs == ("owt",) and not weights.bgr
    np.testing.assert_allclose(weights.mean, np.array([0.485, 0.456, 0.406]) * 255, rtol=1e-6)
    np.testing.assert_allclose(weights.divide_by, np.array([0.229, 0.224, 0.225]) * 255)


def test_half_precision_is_widened(tmp_path):
    halves = {name: value.astype(np.float16) for name, value in TENSORS.items()}
    save_file(halves, tmp_path / "net.safetensors")
    weights = files.read(tmp_path / "net.safetensors")
    same(weights.tensors, {k: v.astype(np.float32) for k, v in halves.items()})
    assert weights.archs == () and weights.mean is None  # nothing says which net


def resnet() -> dict[str, np.ndarray]:
    names = ("conv1", "bn1", "layer1.0.conv1", "layer1.0.bn1", "layer1.0.conv2", "fc")
    return {f"{name}.weight": np.ones((2, 2), np.float32) for name in names}


def damaged(kind: str, path: pathlib.Path) -> str:
    """Write such a file there; return what is to be said of it."""
    good = dict(TENSORS)
    if kind == "resnet":
        save_file(resnet(), path)
        return r"holds no AlexNet: expected layers conv1 to fc8.*found bn1, conv1, fc"
    if kind == "nan":
        good["fc7.weight"] = np.full_like(good["fc7.weight"], np.nan)
        said = "fc7.weight has .* not finite"
    elif kind == "whole numbers":
        good["fc7.bias"] = good["fc7.bias"].astype(np.int32)
        said = "fc7.bias is int32, not float"
    elif kind == "too large":
        good["fc7.bias"] = np.full(len(good["fc7.bias"]), 1e300)
        said = "fc7.bias has .* not finite"
    save_file(good, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
        return "cannot be read as safetensors.*not fully covered"
    if kind == "empty":
        path.write_bytes(b"")
        return "the file is empty"
    return said


@pytest.mark.parametrize(
    "kind", ["resnet", "nan", "whole numbers", "too large", "truncated", "empty"]
)
def test_a_damaged_safetensors_is_refused_in_one_line(kind, tmp_path):
    path = tmp_path / "net.safetensors"
    said = damaged(kind, path)
    with pytest.raises(WeightsError, match=said) as caught:
        files.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["arch", "spec"])
def test_the_header_names_the_net_also_where_an_older_version_wrote_it(name, tmp_path):
    model = {name: "caffe", "width": 0.0625}
    header = {name: "caffe", "step": "7", "model": json.dumps(model)}
    header |= {"mean": "[1, 2, 3]", "divide_by": "[1, 1, 1]"}
    save_file(TENSORS, tmp_path / "net.safetensors", header)
    weights = files.read(tmp_path / "net.safetensors")
    assert weights.archs == ("caffe",) and weights.model == {"arch": "caffe", "width": 0.0625}
    assert weights.extra["arch"] == "caffe" and weights.extra["step"] == "7"
    assert "spec" not in weights.extra
    same(weights.tensors, TENSORS)


def test_a_header_that_lies_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    for said in ({"model": "{"}, {"model": "{}", "mean": "[1]", "divide_by": "[1,1,1]"}):
        save_file(TENSORS, path, said)
        with pytest.raises(WeightsError, match="what its header says of the net is damaged"):
            files.read(path)


@pytest.mark.parametrize("kind", [".npy", ".npz"])
def test_a_truncated_numpy_file_is_refused(kind, tmp_path):
    path = tmp_path / f"alexnet{kind}"
    layers = as_tensorflow(TENSORS)
    if kind == ".npy":
        np.save(path, layers)
    else:
        np.savez(path, **{f"{name}/W": pair[0] for name, pair in layers.items()})
    whole = path.read_bytes()
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(WeightsError, match="cannot be read") as caught:
            files.read(path)
        assert "\n" not in str(caught.value)


def test_an_array_cut_short_in_an_archive_is_refused(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.ones(10))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("conv1.npy", stream.getvalue()[:-8])
    with pytest.raises(WeightsError, match="cut off"):
        files.read(tmp_path / "a.npz")


def test_what_is_no_file_of_weights_is_named(tmp_path):
    for name in ("net.npy", "net.h5", "run"):
        with pytest.raises(WeightsError, match=f"{name} is not there"):
            files.read(tmp_path / name)
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(WeightsError, match="it is no .caffemodel, .npy"):
        files.read(tmp_path / "net.h5")
    (tmp_path / "net.npy").mkdir()
    with pytest.raises(WeightsError, match="is no file"):
        files.read(tmp_path / "net.npy")
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(WeightsError, match="found one array"):
        files.read(tmp_path / "array.npy")


def test_without_pytorch_one_line_says_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "alexnet.pth"
    path.write_bytes(pickle.dumps({}))
    load = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "torch":
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(WeightsError, match=r"needs PyTorch.*pip install torch, or .*safetensors"):
        files.read(path)
