"""Files of weights as other programs write them, of drawn numbers, for the tests of weights/."""

import dataclasses
import functools
import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from alexnet_jax.net import resolving
from alexnet_jax.weights import layout
from alexnet_jax.weights.container import Weights
from alexnet_jax.weights.importing import import_weights
from tests.support import tiny
from tests.support.narrow_nets import fast_jit, make_arch

GROUPED = ("conv2", "conv4", "conv5")


def net_of(name: str, **fields):
    """A narrow net whose fc6 reads 2x2 pixels or more, so that their order matters."""
    return make_arch(**{"arch": name, "width": 0.0625, "image_size": 99, "classes": 10, **fields})


def draw_tensors(net, seed: int = 0) -> dict[str, np.ndarray]:
    """Every tensor of a net, PyTorch's layout, of a size that keeps a signal's."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in layout.shapes(net).items():
        std = np.sqrt(2 / np.prod(shape[1:])) if name.endswith("weight") else 0.1
        tensors[name] = (std * rng.standard_normal(shape)).astype(np.float32)
    return tensors


def bgr(tensors: dict) -> dict:
    """The same net as a program has it whose images are blue, green, red."""
    return {**tensors, "conv1.weight": tensors["conv1.weight"][:, [2, 1, 0]]}


def reference(net, tensors: dict, images: np.ndarray) -> np.ndarray:
    """Logits by grouped convolutions in PyTorch's order of axes. images: (B, H, W, 3)."""
    return np.asarray(fast_jit(functools.partial(_logits, net))(tensors, images))


def _logits(net, tensors, images):
    x = images.transpose(0, 3, 1, 2)
    for layer in net.layers:
        weight, bias = (tensors[f"{layer.name}.{k}"] for k in ("weight", "bias"))
        if layer.kernel:
            groups = net.columns if layer.name in GROUPED else 1
            more = (layer.stride - (x.shape[2] - layer.kernel) % layer.stride) % layer.stride
            more = more if layer.ceil and not layer.padding else 0
            pads = [(layer.padding, layer.padding + more)] * 2
            x = lax.conv_general_dilated(
                x, weight, (layer.stride,) * 2, pads, feature_group_count=groups
            )
            x = x + bias[None, :, None, None]
        else:
            x = x.reshape(len(x), -1) @ weight.T + bias[None]
        keep = 1.0 if net.dropout.inverted else 1 - net.dropout.rate
        steps = {
            "activation": jax.nn.relu,
            "norm": _lrn(net) if net.lrn.enabled else lambda x: x,
            "pool": _pool(net),
            "dropout": lambda x, keep=keep: x * keep,
            "spatial_norm": lambda x: x,  # to be switched off by the test
        }
        for op in layer.then:
            x = steps[op](x)
    return x


def _lrn(net):
    lrn = net.lrn
    alpha = lrn.alpha / lrn.n if lrn.alpha_over_n else lrn.alpha

    def one(x):
        sums = lax.reduce_window(
            x * x,
            0.0,
            lax.add,
            (1, lrn.n, 1, 1),
            (1,) * 4,
            [(0, 0), (lrn.n // 2,) * 2] + [(0, 0)] * 2,
        )
        return x / (lrn.k + alpha * sums) ** lrn.beta

    def norm(x):
        if lrn.scope == "layer":
            return one(x)
        return jnp.concatenate([one(part) for part in jnp.split(x, net.columns, 1)], 1)

    return norm


def _pool(net):
    def pool(x):
        more = (x.shape[2] - 3) % 2 if net.pool.ceil else 0
        pads = [(0, 0)] * 2 + [(0, more)] * 2
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), pads)

    return pool


# Protocol Buffers, as Caffe writes them.


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array: np.ndarray, *, old: bool = False, double: bool = False) -> bytes:
    """A BlobProto; `old`: with num, channels, height, width."""
    data = field(8, array.astype("<f8").tobytes()) if double else field(5, array.tobytes())
    if not old:
        return field(7, field(1, b"".join(map(varint, array.shape)))) + data
    four = (1,) * (4 - array.ndim) + array.shape
    return b"".join(field(i + 1, n) for i, n in enumerate(four)) + data


def caffemodel(tensors: dict, *, old: bool, order=("norm1", "pool1"), name="net") -> bytes:
    """A NetParameter of these layers, with a data layer and others that have no weights."""
    number, name_field, blobs_field = (2, 4, 6) if old else (100, 1, 7)
    layers = [field(name_field, b"data") + struct.pack("<Bf", 5 << 3 | 5, 1.0)]
    for layer in sorted({key.partition(".")[0] for key in tensors}):
        blobs = [blob(tensors[f"{layer}.{kind}"], old=old) for kind in ("weight", "bias")]
        whole = field(name_field, layer.encode()) + b"".join(field(blobs_field, b) for b in blobs)
        layers.append(whole)
        if layer == "conv1":
            layers += [field(name_field, other.encode()) for other in order]
    return field(1, name.encode()) + b"".join(field(number, layer) for layer in layers)


def drawn_run(folder, workdir, seed: int = 0, class_names=("ant", "bee", "cow"), size: int = 256):
    """Make a run's folder of the tiny paper net with drawn weights; return (net, tensors, mean)."""
    recipe = tiny.config(folder, mesh__cpu_devices=1, mesh__data=1, mesh__group=1)
    net = resolving.resolve(recipe.model, len(class_names))
    tensors = draw_tensors(net, seed)
    tensors["fc8.weight"] *= 0.02  # so that the probabilities are none of them 0 or 1
    mean = np.random.default_rng(seed).uniform(90, 130, (size, size, 3)).astype(np.float32)
    weights = Weights("drawn", tensors, ("paper",), mean=mean)
    extra = {"class_names": json.dumps(class_names)}
    model = {"width": recipe.model.width, "image_size": recipe.model.image_size}
    import_weights(dataclasses.replace(weights, extra=extra, model=model), recipe, workdir)
    return net, tensors, mean
