"""Read files of weights: the content decides the format, the names of the tensors decide the net.

Caffe           .caffemodel: Caffe's AlexNet and CaffeNet (BVLC)
NumPy           .npy .npz: the same nets, converted by caffe-tensorflow (a dict of [W, b]) or
                tensorpack (conv1/W, conv1/b)
safetensors     exports of this program, torchvision's alexnet
PyTorch         .pth .pt .bin .ckpt .pth.tar: the same two, read by torch.load(weights_only=True) if
                PyTorch is installed

Caffe's images are blue, green, red. The input axis of conv1 is reversed, and so is the mean
(mean.py): all nets here read RGB. Nothing in a file is ever executed.
"""

import json
import pathlib
import re
import zipfile
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors

from alexnet_jax.config_fields import Data
from alexnet_jax.errors import UserError, WeightsError
from alexnet_jax.run.config import renamed
from alexnet_jax.weights import caffe, naming, numpy_files, pytorch_file
from alexnet_jax.weights.container import Weights, checked
from alexnet_jax.weights.layout import Tensors
from alexnet_jax.weights.naming import TORCHVISION

# torchvision's images are in [0, 1] less (.485, .456, .406) over (.229, ...).
TORCHVISION_MEAN = (123.675, 116.28, 103.53)
TORCHVISION_DIVIDE_BY = (58.395, 57.12, 57.375)
CAFFE_MEAN = (123.0, 117.0, 104.0)  # of ILSVRC-2012, as in Caffe's scripts (104, 117, 123 BGR)
MEAN_IMAGE = "mean_image"  # a tensor of our exports, (3, size, size)
_LAYERS = tuple(TORCHVISION)
_LONGEST = 300  # letters of a library's message
_ARCHIVES = (b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # zip, gz, bz2, xz, zstd
_PLAIN = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")


def read(path: pathlib.Path) -> Weights:
    """Return the weights in a file.

    Raises:
      WeightsError: the file cannot be read, is damaged, holds another net, or numbers that are not
        finite.
    """
    if not path.exists():
        raise WeightsError(f"{path} is not there")
    if not path.is_file():
        raise WeightsError(f"{path} is no file")
    form = "file of weights"
    try:
        form, reader = _format(path)
        return checked(reader(path))
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file makes a library raise
        cause = " ".join(str(error).split())[:_LONGEST] or type(error).__name__
        cause = re.split(r"\. (?=[A-Z])", cause)[0]  # what libraries advise then fits no user
        raise WeightsError(f"{path} cannot be read as {form}: {cause}") from error


def _format(path: pathlib.Path) -> tuple[str, Callable[[pathlib.Path], Weights]]:
    """Return a format's name and reader, by the first bytes of the file."""
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise ValueError("the file is empty")
    if start.lower().startswith((b"<!", b"<html", b"<?xml")):
        raise ValueError("it is a web page: the download did not succeed; download it again")
    if not start.strip(b"\0"):
        raise ValueError("it begins with zeros: the copy or download did not succeed; repeat it")
    if start.startswith(b"version h"):
        raise ValueError("it is a pointer of Git LFS: fetch the file with git lfs pull")
    # The header's length, whose first bytes may be those of any other format, and the header.
    if start[5:9] == b"\0\0\0{" or path.suffix == ".safetensors":
        return "safetensors", _safetensors
    if start.startswith(b"\x93NUMPY"):
        return "a NumPy file", _numpy
    if start.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.endswith("constants.pkl") for name in names):
            raise ValueError(
                "it is TorchScript: save its state dict, "
                "torch.save(torch.jit.load(file).state_dict(), 'weights.pth')"
            )
        if any(name.endswith("data.pkl") for name in names):
            return "a PyTorch file", _pytorch
        if any(name.endswith(".npy") for name in names):
            return "a NumPy archive", _numpy
    if start.startswith(b"\x80"):
        return "a PyTorch file", _pytorch
    if start.startswith(_ARCHIVES) or start[257:262] == b"ustar":
        raise ValueError("it is an archive of other files: unpack it, and give the weights in it")
    if start.startswith(b"\x89HDF") or path.suffix in (".npy", ".npz", ".pth", ".pt"):
        raise ValueError("it is no .caffemodel, .npy, .npz, .safetensors or PyTorch file")
    return "a .caffemodel (it begins as no other format that is read)", _caffemodel


def _caffemodel(path: pathlib.Path) -> Weights:
    net = caffe.read_net(path.read_bytes())
    tensors = caffe.tensors_of(net)
    if not {"conv1.weight", "conv5.weight"} <= tensors.keys():
        raise _unknown(path, [name for name, blobs in net.layers if blobs])
    return _of_caffe(path, tensors, caffe.archs_of(net))


def _of_caffe(path: pathlib.Path, tensors: Tensors, archs: tuple[str, ...]) -> Weights:
    mean = np.array(CAFFE_MEAN, np.float32)
    arrays, names = _as_ours(tensors)
    return Weights(str(path), arrays, archs, names=names, bgr=True, mean=mean)


def _numpy(path: pathlib.Path) -> Weights:
    """Read kernels (kh, kw, in, out) and matrices (in, out); fc6 reads (row, column, channel)."""
    if zipfile.is_zipfile(path):
        content: Any = numpy_files.read_npz(path)
    else:
        content = numpy_files.read_npy(path.read_bytes())
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise _unknown(path, ["one array" if isinstance(content, np.ndarray) else "no names"])
    pairs = _pairs(content)
    if not {"conv1", "conv5"} <= pairs.keys():
        return _named(path, content, {}, lambda value: isinstance(value, np.ndarray))
    tensors: Tensors = {}
    for name, (weight, bias) in pairs.items():
        if weight.ndim not in (2, 4) or not weight.size or bias.ndim != 1:
            raise ValueError(f"{name} has a weight of {weight.shape} and a bias of {bias.shape}")
        if weight.ndim == 4:
            weight = weight.transpose(3, 2, 0, 1)
        elif name == "fc6" and "conv5" in pairs and not len(weight) % pairs["conv5"][1].size:
            channels = pairs["conv5"][1].size
            weight = weight.reshape(-1, channels, weight.shape[-1]).transpose(2, 1, 0)
            weight = weight.reshape(len(weight), -1)
        else:
            weight = weight.T
        tensors |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return _of_caffe(path, caffe.bgr_to_rgb(tensors), caffe.archs_named(path.stem))


def _pairs(content: dict[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return layer -> (weight, bias), named in any of three ways."""
    pairs = {}
    for layer in dict.fromkeys(name.removesuffix("/W").removesuffix("/b") for name in content):
        value = content.get(layer, [content.get(f"{layer}/W"), content.get(f"{layer}/b")])
        if isinstance(value, dict):
            value = [value.get("weights"), value.get("biases")]
        if isinstance(value, list) and [type(v) for v in value] == [np.ndarray] * 2:
            pairs[layer] = (value[0], value[1])
    return pairs


def _safetensors(path: pathlib.Path) -> Weights:
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata, tensors = file.metadata() or {}, {}
        for name in sorted(file.keys()):
            if (kind := file.get_slice(name).get_dtype()) not in (*_PLAIN, "C64"):
                raise ValueError(
                    f"{name} is {kind}: save it again as float16, bfloat16, float32 or float64"
                )
            tensors[name] = file.get_tensor(name)
    return _named(path, tensors, metadata, lambda _: True)


def _pytorch(path: pathlib.Path) -> Weights:
    content = pytorch_file.load(path)
    if not isinstance(content, dict):
        raise _unknown(path, ["no state dict"])
    return _named(path, content, {}, pytorch_file.is_tensor, pytorch_file.array)


def _named(
    path: pathlib.Path,
    content: dict,
    metadata: dict[str, str],
    is_tensor: Callable[[Any], bool],
    array: Callable[[str, Any], np.ndarray] = lambda _, value: value,
) -> Weights:
    """Return weights with the names of this program's exports, or of torchvision's alexnet."""
    found = naming.find(content, is_tensor)
    if found is None and "model" in metadata and "conv1.weight" in content:
        found = content, []  # an export of a net without conv5
    if found is None:
        raise _unknown(path, [str(name) for name in content if isinstance(name, str | int)])
    state, left_out = found
    facts: dict[str, Any] = {"left_out": tuple(left_out)}
    if "features.0.weight" in state:
        facts |= {
            "archs": ("owt",),
            "mean": np.array(TORCHVISION_MEAN, np.float32),
            "divide_by": TORCHVISION_DIVIDE_BY,
        }
    arrays, names = _as_ours({name: array(name, value) for name, value in state.items()})
    image = arrays.pop(MEAN_IMAGE, None)
    if "model" in metadata:
        facts |= _facts_of_export(metadata)
    if image is not None:
        expected = (3, *[facts.get("size", Data().size)] * 2)
        if image.shape != expected:
            raise ValueError(f"{MEAN_IMAGE} expected {expected}, found {image.shape}")
        facts["mean"] = np.ascontiguousarray(image.transpose(1, 2, 0))
    return Weights(str(path), arrays, names=names, **facts)


def _as_ours(tensors: Tensors) -> tuple[Tensors, dict[str, str]]:
    """Return the tensors by our names, float32, and the names that differ: ours -> theirs.

    Convolutional fc6 to fc8 become matrices. `checked` refuses what is not float.
    """
    numbers = sum(value.size for value in tensors.values())
    if numbers * 4 > numpy_files.MOST_BYTES:
        raise ValueError(f"it holds {numbers} numbers, more than any AlexNet")
    arrays: Tensors = {}
    for name, value in tensors.items():
        if jnp.issubdtype(value.dtype, jnp.floating):
            with np.errstate(over="ignore"):  # becomes infinite, which is refused
                value = value.astype(np.float32, copy=False)
        new = naming.ours(name)
        if new in arrays:
            raise ValueError(f"{name} is there twice")
        is_matrix = new.startswith("fc") and new.endswith(".weight")
        arrays[new] = value.reshape(len(value), -1) if is_matrix and value.ndim == 4 else value
    return arrays, {new: old for new, old in zip(arrays, tensors, strict=True) if new != old}


def _facts_of_export(metadata: dict[str, str]) -> dict[str, Any]:
    """Return the facts in the header of an export (exporting.py)."""
    try:
        metadata = renamed(metadata)
        model = renamed(json.loads(metadata["model"]))
        mean, divide_by = (json.loads(metadata[name]) for name in ("mean", "divide_by"))
        with np.errstate(over="ignore"):  # becomes infinite
            numbers = np.array([mean, divide_by], np.float32)
        if numbers.shape != (2, 3) or not (numbers[1].min() > 0 and np.isfinite(numbers).all()):
            raise ValueError("mean and divide_by are three numbers each")
        names = json.loads(metadata.get("class_names", "[]"))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("class_names is a list of names")
        return {
            "archs": (str(model["arch"]),),
            "model": model,
            "size": int(metadata.get("size", Data().size)),  # older exports do not say it
            "mean": numbers[0],
            "divide_by": tuple(map(float, divide_by)),
            "extra": metadata,
        }
    except Exception as error:  # any text may stand there
        cause = f"{type(error).__name__}: {error}"
        raise ValueError(f"what its header says of the net is damaged: {cause}") from error


def _unknown(path: pathlib.Path, names: list[str]) -> WeightsError:
    layers = dict.fromkeys(name.removesuffix(".weight").removesuffix(".bias") for name in names)
    return WeightsError(
        f"{path} holds no AlexNet: expected layers {_LAYERS[0]} to {_LAYERS[-1]}, or torchvision's "
        f"features.0 to classifier.6; found {', '.join(layers)[:_LONGEST] or 'nothing'}"
    )
