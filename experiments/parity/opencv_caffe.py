"""BVLC's two nets in OpenCV, which reads Caffe's own files: a prototxt and a caffemodel.

Needs OpenCV 4 (`pip install "opencv-python-headless<5"`; 5 reads no Caffe files). The prototxt is
that of the deploy nets without its last layer, the softmax; the caffemodel holds our parameters as
Caffe lays them out: images BGR, kernels (out, in, kh, kw), conv2, conv4 and conv5 in two groups.
"""

import struct

import cv2
import numpy as np

from experiments.parity.cases import Params

_NORM = "LRN lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
_POOL = "Pooling pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
_CONVOLUTIONS = {
    "conv1": "num_output: 96 kernel_size: 11 stride: 4",
    "conv2": "num_output: 256 pad: 2 kernel_size: 5 group: 2",
    "conv3": "num_output: 384 pad: 1 kernel_size: 3",
    "conv4": "num_output: 384 pad: 1 kernel_size: 3 group: 2",
    "conv5": "num_output: 256 pad: 1 kernel_size: 3 group: 2",
}
_OUTPUTS = {"fc6": 4096, "fc7": 4096, "fc8": 1000}
_STAGES = {
    "caffe": (("norm", _NORM), ("pool", _POOL)),
    "caffenet": (("pool", _POOL), ("norm", _NORM)),
}


def logits(name: str, params: Params, images: np.ndarray) -> np.ndarray:
    """Return the logits of row caffe or caffenet: (B, 227, 227, 3) RGB -> (B, 1000)."""
    files = (prototxt(name).encode(), caffemodel(params))
    net = cv2.dnn.readNetFromCaffe(*(np.frombuffer(file, np.uint8) for file in files))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.enableWinograd(False)  # it rounds more than float32 needs to
    net.setInput(np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2)))
    return net.forward("fc8")


def prototxt(name: str) -> str:
    """Return the net as text."""
    lines = ['name: "net"', 'input: "data"', *(f"input_dim: {n}" for n in (1, 3, 227, 227))]
    top = "data"

    def add(layer: str, kind: str, out: str) -> None:
        nonlocal top
        type_, _, rest = kind.partition(" ")
        lines.append(
            f'layer {{ name: "{layer}" type: "{type_}" bottom: "{top}" top: "{out}" {rest} }}'
        )
        top = out

    for layer, text in _CONVOLUTIONS.items():
        number = layer[-1]
        add(layer, f"Convolution convolution_param {{ {text} }}", layer)
        add(f"relu{number}", "ReLU", layer)
        stages = _STAGES[name] if number in "12" else (("pool", _POOL),) if number == "5" else ()
        for stage, kind in stages:
            add(f"{stage}{number}", kind, f"{stage}{number}")
    for layer, outputs in _OUTPUTS.items():
        add(layer, f"InnerProduct inner_product_param {{ num_output: {outputs} }}", layer)
        if layer != "fc8":
            add(f"relu{layer[-1]}", "ReLU", layer)
            add(f"drop{layer[-1]}", "Dropout dropout_param { dropout_ratio: 0.5 }", layer)
    return "\n".join(lines)


def caffemodel(params: Params) -> bytes:
    """Return a NetParameter of protocol buffers: `layer` (100) of name (1), type (2), blobs (7)."""
    layers = []
    for name, blobs in blobs_of(params).items():
        kind = b"Convolution" if name.startswith("conv") else b"InnerProduct"
        parts = [_field(1, name.encode()), _field(2, kind), *(_field(7, _blob(b)) for b in blobs)]
        layers.append(_field(100, b"".join(parts)))
    return _field(1, b"net") + b"".join(layers)


def blobs_of(params: Params) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return layer -> (weights, bias) as Caffe lays them out."""
    blobs = {}
    for name, values in params.items():
        kernel, bias = values["kernel"], values["bias"]
        columns = range(kernel.shape[0])
        if name.startswith("conv"):
            if name == "conv1":
                kernel = kernel[:, :, :, ::-1]  # BGR
            weights = np.concatenate([kernel[c].transpose(3, 2, 0, 1) for c in columns])
        elif name == "fc8":
            weights = np.concatenate([kernel[c].T for c in columns], axis=1)
        else:
            weights = np.concatenate([kernel[c].T for c in columns])
            if name == "fc6":  # (out, column, pixel, channel) -> (out, column, channel, pixel)
                weights = weights.reshape(4096, 2, 36, 128).transpose(0, 1, 3, 2).reshape(4096, -1)
        blobs[name] = (weights, bias.reshape(-1))
    return blobs


def _blob(values: np.ndarray) -> bytes:
    """Return a BlobProto: shape (7) of dim (1), data (5)."""
    dims = b"".join(_varint(size) for size in values.shape)
    data = np.ascontiguousarray(values, "<f4").tobytes()
    return _field(7, _field(1, dims)) + _field(5, data)


def _field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return struct.pack(f"{len(groups) + 1}B", *groups, number)
