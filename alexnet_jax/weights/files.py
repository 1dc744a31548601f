"""Read files of weights: the ending decides the format, the names of the tensors decide the net.

.caffemodel     Caffe's AlexNet and CaffeNet (BVLC)
.npy .npz       the same nets, converted by caffe-tensorflow (a dict of [W, b]) or tensorpack
                (conv1/W, conv1/b)
.safetensors    exports of this program, torchvision's alexnet
.pth .pt        the same two, read by torch.load(weights_only=True) if PyTorch is installed

Caffe's images are blue, green, red. The input axis of conv1 is reversed, and so is the mean
(mean.py): all nets here read RGB. Nothing in a file is ever executed.
"""

import json
import pathlib
from typing import Any

import numpy as np
import safetensors

from alexnet_jax.config_fields import Data
from alexnet_jax.errors import WeightsError
from alexnet_jax.run.config import renamed
from alexnet_jax.weights import caffe, numpy_files
from alexnet_jax.weights.container import Weights, checked
from alexnet_jax.weights.layout import Tensors

# torchvision.models.alexnet; its images are in [0, 1] less (.485, .456, .406) over (.229, ...).
TORCHVISION = {
    **{"conv1": "features.0", "conv2": "features.3", "conv3": "features.6", "conv4": "features.8"},
    **{"conv5": "features.10", "fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"},
}
TORCHVISION_MEAN = (123.675, 116.28, 103.53)
TORCHVISION_DIVIDE_BY = (58.395, 57.12, 57.375)
CAFFE_MEAN = (123.0, 117.0, 104.0)  # of ILSVRC-2012, as in Caffe's scripts (104, 117, 123 BGR)
MEAN_IMAGE = "mean_image"  # a tensor of our exports, (3, size, size)
_LAYERS = tuple(TORCHVISION)
_LONGEST = 200  # letters of a library's message


def read(path: pathlib.Path) -> Weights:
    """Return the weights in a file.

    Raises:
      WeightsError: the file cannot be read, is damaged, holds another net, or numbers that are not
        finite.
    """
    readers = {
        ".caffemodel": _caffemodel,
        **dict.fromkeys((".npy", ".npz"), _numpy),
        ".safetensors": _safetensors,
        **dict.fromkeys((".pth", ".pt"), _pytorch),
    }
    if not path.exists():
        raise WeightsError(f"{path} is not there")
    if path.suffix not in readers:
        raise WeightsError(f"{path} ends in none of {' '.join(readers)}, the formats that are read")
    if not path.is_file():
        raise WeightsError(f"{path} is no file")
    try:
        return checked(readers[path.suffix](path))
    except (OSError, ValueError, MemoryError) as error:
        cause = " ".join(str(error).split())[:_LONGEST]
        raise WeightsError(f"{path} cannot be read: {cause}") from error


def _caffemodel(path: pathlib.Path) -> Weights:
    net = caffe.read_net(path.read_bytes())
    names = [name for name, blobs in net.layers if blobs]
    if not {"conv1", "fc8"} <= set(names):
        raise _unknown(path, names)
    return _of_caffe(path, caffe.tensors_of(net), caffe.archs_of(net))


def _of_caffe(path: pathlib.Path, tensors: Tensors, archs: tuple[str, ...]) -> Weights:
    mean = np.array(CAFFE_MEAN, np.float32)
    return Weights(str(path), _float32(tensors), archs, bgr=True, mean=mean)


def _numpy(path: pathlib.Path) -> Weights:
    """Read kernels (kh, kw, in, out) and matrices (in, out); fc6 reads (row, column, channel)."""
    reader = numpy_files.read_npz if path.suffix == ".npz" else numpy_files.read_npy
    content = reader(path.read_bytes())
    if not isinstance(content, dict):
        raise _unknown(path, ["one array"])
    pairs = _pairs(content)
    if not {"conv1", "fc8"} <= pairs.keys():
        if path.suffix == ".npz" and all(isinstance(v, np.ndarray) for v in content.values()):
            return _named(path, content, {})
        raise _unknown(path, list(content))
    tensors: Tensors = {}
    for name, (weight, bias) in pairs.items():
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


def _pairs(content: dict) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return layer -> (weight, bias), named in any of three ways."""
    pairs = {}
    for layer in _LAYERS:
        value = content.get(layer, [content.get(f"{layer}/W"), content.get(f"{layer}/b")])
        if isinstance(value, dict):
            value = [value.get("weights"), value.get("biases")]
        if isinstance(value, list) and [type(v) for v in value] == [np.ndarray] * 2:
            pairs[layer] = (value[0], value[1])
    return pairs


def _safetensors(path: pathlib.Path) -> Weights:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            return _named(path, {name: file.get_tensor(name) for name in names}, metadata)
    except safetensors.SafetensorError as error:
        raise ValueError(f"it is damaged: {error}") from error


def _pytorch(path: pathlib.Path) -> Weights:
    try:
        import torch
    except ImportError:
        raise WeightsError(
            f"{path} needs PyTorch to be read: pip install torch, or where it is installed "
            "save the state dict with safetensors.torch.save_file"
        ) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # errors of pickle, of zip, and PyTorch's
        raise ValueError(str(error) or "it is cut off") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(torch.is_tensor(v) for v in content.values()):
        raise _unknown(path, ["no state dict"])
    # DataParallel puts "module." before or inside its names.
    arrays = {k.replace("module.", ""): v.detach().float().numpy() for k, v in content.items()}
    return _named(path, arrays, {})


def _named(path: pathlib.Path, tensors: Tensors, metadata: dict[str, str]) -> Weights:
    """Return weights with the names of this program's exports, or of torchvision's alexnet."""
    arrays = _float32(tensors)
    image = arrays.pop(MEAN_IMAGE, None)
    facts: dict[str, Any] = {}
    if {"features.0.weight", "classifier.6.weight"} <= arrays.keys():
        ours = {f"{theirs}.": f"{name}." for name, theirs in TORCHVISION.items()}
        facts = {
            "archs": ("owt",),
            "names": {_renamed(name, ours): name for name in arrays},
            "mean": np.array(TORCHVISION_MEAN, np.float32),
            "divide_by": TORCHVISION_DIVIDE_BY,
        }
        arrays = {_renamed(name, ours): array for name, array in arrays.items()}
    elif not {"conv1.weight", "fc8.weight"} <= arrays.keys():
        raise _unknown(path, [name.removesuffix(".weight") for name in arrays])
    if "model" in metadata:
        facts |= _facts_of_export(metadata)
    if image is not None:
        expected = (3, *[facts.get("size", Data().size)] * 2)
        if image.shape != expected:
            raise ValueError(f"{MEAN_IMAGE} expected {expected}, found {image.shape}")
        facts["mean"] = np.ascontiguousarray(image.transpose(1, 2, 0))
    return Weights(str(path), arrays, **facts)


def _facts_of_export(metadata: dict[str, str]) -> dict[str, Any]:
    """Return the facts in the header of an export (exporting.py)."""
    try:
        metadata = renamed(metadata)
        model = renamed(json.loads(metadata["model"]))
        mean, divide_by = (json.loads(metadata[name]) for name in ("mean", "divide_by"))
        numbers = np.array([mean, divide_by], np.float64)
        if numbers.shape != (2, 3) or not numbers[1].min() > 0:
            raise ValueError("mean and divide_by are three numbers each")
        return {
            "archs": (str(model["arch"]),),
            "model": model,
            "size": int(metadata.get("size", Data().size)),  # older exports do not say it
            "mean": numbers[0].astype(np.float32),
            "divide_by": tuple(map(float, divide_by)),
            "extra": metadata,
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"what its header says of the net is damaged: {error!r}") from error


def _renamed(name: str, prefixes: dict[str, str]) -> str:
    return next((new + name[len(p) :] for p, new in prefixes.items() if name.startswith(p)), name)


def _float32(tensors: dict) -> Tensors:
    """Return floats of any width as float32; `checked` refuses what is not float."""
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite, and is refused
        return {
            name: value.astype(np.float32) if value.dtype.kind in "fV" else value
            for name, value in tensors.items()
        }


def _unknown(path: pathlib.Path, names: list[str]) -> WeightsError:
    some = ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")
    return WeightsError(
        f"{path} holds no AlexNet: expected layers {_LAYERS[0]} to {_LAYERS[-1]}, or torchvision's "
        f"features.0 to classifier.6; found {some}"
    )
