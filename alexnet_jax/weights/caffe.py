"""Caffe's .caffemodel and .binaryproto, read with the protobuf package.

Caffe reads images as blue, green, red: conv1's input axis is reversed here, so that our net reads
RGB.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError, Message

from alexnet_jax.weights.layout import Tensors

# What holds weights in src/caffe/proto/caffe.proto of BVLC/caffe; protobuf skips other fields.
# Not a generated caffe_pb2.py: protobuf refuses generated code of versions not close to its own.
_SCHEMA = """
name: "caffe.proto" package: "caffe" syntax: "proto2"
message_type { name: "NetParameter"
  field { name: "name" number: 1 type: TYPE_BYTES label: LABEL_OPTIONAL }
  field { name: "layers" number: 2 type_name: "V1LayerParameter" label: LABEL_REPEATED }
  field { name: "layer" number: 100 type_name: "LayerParameter" label: LABEL_REPEATED } }
message_type { name: "V1LayerParameter"
  field { name: "name" number: 4 type: TYPE_BYTES label: LABEL_OPTIONAL }
  field { name: "blobs" number: 6 type_name: "BlobProto" label: LABEL_REPEATED } }
message_type { name: "LayerParameter"
  field { name: "name" number: 1 type: TYPE_BYTES label: LABEL_OPTIONAL }
  field { name: "blobs" number: 7 type_name: "BlobProto" label: LABEL_REPEATED } }
message_type { name: "BlobProto"
  field { name: "num" number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL }
  field { name: "channels" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL }
  field { name: "height" number: 3 type: TYPE_INT32 label: LABEL_OPTIONAL }
  field { name: "width" number: 4 type: TYPE_INT32 label: LABEL_OPTIONAL }
  field { name: "data" number: 5 type: TYPE_FLOAT label: LABEL_REPEATED options { packed: true } }
  field { name: "shape" number: 7 type_name: "BlobShape" label: LABEL_OPTIONAL }
  field { name: "double_data" number: 8 type: TYPE_DOUBLE label: LABEL_REPEATED
          options { packed: true } } }
message_type { name: "BlobShape"
  field { name: "dim" number: 1 type: TYPE_INT64 label: LABEL_REPEATED options { packed: true } } }
"""
_MOST_BLOBS = 10_000  # and layers; a ResNet of 152 layers has some 1,500


@dataclasses.dataclass(frozen=True)
class Net:
    """A NetParameter: its name, and the layers in order with their blobs."""

    name: str
    layers: list[tuple[str, list[np.ndarray]]]


def read_net(data: bytes) -> Net:
    """Return the net of a .caffemodel.

    Raises:
      ValueError: the file is not a whole .caffemodel.
    """
    net = _parse("NetParameter", data)
    if sum(1 + len(layer.blobs) for layer in (*net.layers, *net.layer)) > _MOST_BLOBS:
        raise ValueError("it holds more layers than any net")
    layers = [
        (_text(layer.name), [_array(blob) for blob in layer.blobs])
        for layer in (*net.layers, *net.layer)
    ]
    if not any(blobs for _, blobs in layers):
        raise ValueError("it holds no layer with weights, or is no Caffe file")
    return Net(_text(net.name), layers)


def read_blob(data: bytes) -> np.ndarray:
    """Return the numbers of a .binaryproto (BlobProto), float32.

    Raises:
      ValueError: the file is not a whole .binaryproto.
    """
    return _array(_parse("BlobProto", data))


def tensors_of(net: Net) -> Tensors:
    """Return weight and bias of each layer, in PyTorch's layout, reading RGB.

    Raises:
      ValueError: a layer has other parameters than these two.
    """
    tensors: Tensors = {}
    for name, blobs in net.layers:
        if not blobs:
            continue
        if len(blobs) != 2 or f"{name}.weight" in tensors:
            raise ValueError(f"layer {name} has {len(blobs)} blobs, expected one weight, one bias")
        weight, bias = blobs
        if weight.ndim == 4 and weight.shape[:2] == (1, 1):  # (1, 1, out, in) in old files
            weight = weight[0, 0]
        if bias.ndim == 4 and bias.shape[:3] == (1, 1, 1):
            bias = bias[0, 0, 0]
        tensors[f"{name}.weight"] = weight
        tensors[f"{name}.bias"] = bias
    return bgr_to_rgb(tensors)


def bgr_to_rgb(tensors: Tensors) -> Tensors:
    """Return the tensors with conv1's input, (out, 3, kh, kw), from BGR to RGB."""
    first = tensors.get("conv1.weight")
    if first is None or first.ndim != 4:
        return tensors
    return {**tensors, "conv1.weight": first[:, ::-1]}


def archs_of(net: Net) -> tuple[str, ...]:
    """Return which of the two Caffe nets this can be: CaffeNet pools before it normalizes."""
    order = [name for name, _ in net.layers if name in ("norm1", "pool1")]
    if set(order) == {"norm1", "pool1"}:
        return ("caffe",) if order[0] == "norm1" else ("caffenet",)
    return archs_named(net.name)


def archs_named(name: str) -> tuple[str, ...]:
    """Return which of the two Caffe nets can have such a name."""
    if "caffenet" in name.lower():
        return ("caffenet",)
    return ("caffe",) if "alexnet" in name.lower() else ("caffe", "caffenet")


def _parse(kind: str, data: bytes) -> Any:
    """Return a message of the schema."""
    pool = descriptor_pool.DescriptorPool()
    file = text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto())
    pool.AddSerializedFile(file.SerializeToString())
    message: Message = message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"caffe.{kind}")
    )()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ValueError("it is cut off, or no Caffe file") from error
    return message


def _array(blob: Any) -> np.ndarray:
    values = np.array(blob.data or blob.double_data)
    legacy = (blob.num, blob.channels, blob.height, blob.width)
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else legacy
    if min(shape, default=0) < 0 or math.prod(shape) != values.size:
        raise ValueError(f"a blob of shape {shape} has {values.size} numbers")
    with np.errstate(over="ignore"):  # becomes infinite, which is refused with the tensor's name
        return values.astype(np.float32).reshape(shape)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
