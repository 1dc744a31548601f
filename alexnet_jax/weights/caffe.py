"""Caffe's .caffemodel and .binaryproto, read from Protocol Buffers' wire format.

Message and field numbers are those of Caffe's src/caffe/proto/caffe.proto. Caffe reads images as
blue, green, red: conv1's input axis is turned around here, so that our net reads RGB.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from alexnet_jax.weights.layout import Tensors

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types


@dataclasses.dataclass(frozen=True)
class Net:
    """A NetParameter: its name, and the layers in order with their blobs."""

    name: str
    layers: list[tuple[str, list[np.ndarray]]]


def read_net(data: bytes) -> Net:
    """Return the net of a .caffemodel.

    Raises:
      ValueError: it is none, or not whole.
    """
    name, layers = "", []
    for number, value in _fields(memoryview(data)):
        if number == 1:
            name = _text(value)
        elif number == 100:  # layer: LayerParameter
            layers.append(_layer(value, name_field=1, blobs_field=7))
        elif number == 2:  # layers: V1LayerParameter
            layers.append(_layer(value, name_field=4, blobs_field=6))
    if not any(blobs for _, blobs in layers):
        raise ValueError("it holds no layer with weights")
    return Net(name, layers)


def read_blob(data: bytes) -> np.ndarray:
    """Return the numbers of a .binaryproto (BlobProto), float32.

    Raises:
      ValueError: it is none, or not whole.
    """
    return _blob(memoryview(data))


def tensors_of(net: Net) -> Tensors:
    """Return weight and bias of each layer, in PyTorch's layout, reading RGB.

    Raises:
      ValueError: a layer that has other parameters than these two.
    """
    tensors: Tensors = {}
    for name, blobs in net.layers:
        if not blobs:
            continue
        if len(blobs) != 2 or f"{name}.weight" in tensors:
            raise ValueError(f"layer {name} has {len(blobs)} blobs, expected one weight, one bias")
        weight, bias = blobs
        if weight.ndim == 4 and weight.shape[:2] == (1, 1):  # (1, 1, out, in), as once written
            weight = weight[0, 0]
        if bias.ndim == 4 and bias.shape[:3] == (1, 1, 1):
            bias = bias[0, 0, 0]
        tensors[f"{name}.weight"] = weight
        tensors[f"{name}.bias"] = bias
    return turned(tensors)


def turned(tensors: Tensors) -> Tensors:
    """Return the tensors with conv1's input, (out, 3, kh, kw), from BGR to RGB."""
    first = tensors.get("conv1.weight")
    if first is None or first.ndim != 4:
        return tensors
    return {**tensors, "conv1.weight": first[:, ::-1]}


def specs_of(net: Net) -> tuple[str, ...]:
    """Return which of the two Caffe nets this can be: CaffeNet pools before it normalizes."""
    order = [name for name, _ in net.layers if name in ("norm1", "pool1")]
    if set(order) == {"norm1", "pool1"}:
        return ("caffe",) if order[0] == "norm1" else ("caffenet",)
    return specs_named(net.name)


def specs_named(name: str) -> tuple[str, ...]:
    """Return which of the two Caffe nets bears such a name."""
    if "caffenet" in name.lower():
        return ("caffenet",)
    return ("caffe",) if "alexnet" in name.lower() else ("caffe", "caffenet")


def _layer(data, *, name_field: int, blobs_field: int) -> tuple[str, list[np.ndarray]]:
    name, blobs = "", []
    for number, value in _fields(data):
        if number == name_field:
            name = _text(value)
        elif number == blobs_field:
            blobs.append(_blob(value))
    return name, blobs


def _blob(data) -> np.ndarray:
    four = dict.fromkeys((1, 2, 3, 4), 0)  # num, channels, height, width
    dims: list[int] | None = None
    chunks: dict[int, list] = {5: [], 8: []}  # data, double_data
    for number, value in _fields(data):
        if number in four and isinstance(value, int):
            four[number] = value
        elif number == 7:  # shape: BlobShape
            dims = list(_dims(value))
        elif number in chunks and not isinstance(value, int):
            chunks[number].append(value)
    raw, kind = (chunks[5], "<f4") if chunks[5] else (chunks[8], "<f8")
    values = np.frombuffer(b"".join(raw), kind)
    shape = tuple(four.values()) if dims is None else tuple(dims)
    if math.prod(shape) != values.size:
        raise ValueError(f"a blob of shape {shape} has {values.size} numbers")
    with np.errstate(over="ignore"):  # becomes infinite, which is refused with the tensor's name
        return values.astype(np.float32).reshape(shape)


def _dims(data) -> Iterator[int]:
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            yield value
        elif number == 1 and not isinstance(value, int):  # packed
            at = 0
            while at < len(value):
                dim, at = _varint(value, at)
                yield dim


def _fields(data) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (number, value) of a message: an int, or the bytes of anything longer."""
    if isinstance(data, int):
        raise ValueError("it is no Caffe file")
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
        else:
            raise ValueError("it is no Caffe file")
        if at + size > len(data):
            raise ValueError("it is cut off, or no Caffe file")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it is cut off, or no Caffe file")
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise ValueError("it is no Caffe file")


def _text(value) -> str:
    return "" if isinstance(value, int) else bytes(value).decode("utf-8", "replace")
