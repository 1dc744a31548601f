"""Convert parameters to the layout of a grouped PyTorch module, and back.

Our kernels (columns, kh, kw, in, out) are PyTorch's weights (columns * out, in, kh, kw): column 0
is group 0. The input of the first fully connected layer is in the order (column, y, x, channel)
here and (column, channel, y, x) in PyTorch. The columns of fc8 lie along its input.
"""

from collections.abc import Collection
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.parameters import params_of, stats_of, structure_of

Tensors = dict[str, np.ndarray]  # "conv1.weight", "conv1.bias", ...

_THEIRS = {"kernel": "weight", "bias": "bias", "scale": "weight"}
_THEIRS |= {"mean": "running_mean", "var": "running_var"}


def abstract(arch: Architecture) -> tuple[dict, dict]:
    """Return the shapes of a net's (parameters, batch statistics): layer -> name -> shape."""
    net = structure_of(arch)
    return params_of(net), stats_of(net)


def to_torch(arch: Architecture, params: dict, stats: dict) -> dict[str, Any]:
    """Return parameters and batch statistics with PyTorch's names and axes.

    Args:
      params: layer -> {kernel, bias}, norm -> {scale, bias}.
      stats: norm -> {mean, var}, or empty.
    """
    rows = {layer.name: layer for layer in arch.layers}
    tensors = {}
    values = flatten_dict(params) | flatten_dict(stats)
    for key, value in values.items():
        name, is_kernel = key[0], _is_kernel(key, rows)
        value = _weight(arch, rows[name], value) if is_kernel else value.reshape(-1)
        tensors[_theirs(key, values)] = value
    return tensors


def from_torch(arch: Architecture, tensors: Tensors) -> tuple[dict, dict]:
    """Return (params, stats) of the layers in `tensors`, in the net's shapes."""
    rows = {layer.name: layer for layer in arch.layers}

    params, stats = abstract(arch)
    values = flatten_dict(params) | flatten_dict(stats)

    def of(section: dict) -> dict:
        arrays = {}
        for key, like in flatten_dict(section).items():
            value = tensors.get(_theirs(key, values))
            if value is not None:
                if _is_kernel(key, rows):
                    value = _kernel(arch, rows[key[0]], value, like.shape)
                arrays[key] = np.ascontiguousarray(value.reshape(like.shape))
        return unflatten_dict(arrays)

    return of(params), of(stats)


def shapes(arch: Architecture) -> dict[str, tuple[int, ...]]:
    """Return PyTorch's shape of each tensor of a net, sorted by name."""
    made = jax.eval_shape(lambda *values: to_torch(arch, *values), *abstract(arch))
    return {name: value.shape for name, value in made.items()}


def _is_kernel(key: tuple[str, ...], rows: dict[str, Layer]) -> bool:
    """Whether a value is the kernel of a layer, and not a norm's that has this name."""
    return key[0] in rows and key[1:] == ("kernel",)


def _theirs(key: tuple[str, ...], values: Collection[tuple[str, ...]]) -> str:
    """Return PyTorch's name of a value; ours where a user's norm has another value of that name."""
    name = (*key[:-1], _THEIRS.get(key[-1], key[-1]))
    return ".".join(key if name in values else name)


def _weight(arch: Architecture, layer: Layer, kernel: Any) -> Any:
    columns, out = kernel.shape[0], kernel.shape[-1]
    if layer.kernel:
        return kernel.transpose(0, 4, 3, 1, 2).reshape(columns * out, -1, *kernel.shape[1:3])
    first, channels = _flat(arch)
    if layer.name == first:
        kernel = kernel.reshape(columns, _reads(arch, layer), -1, channels, out)
        kernel = kernel.transpose(0, 1, 3, 2, 4).reshape(columns, -1, out)
    order = (2, 0, 1) if layer.reads == "sum" else (0, 2, 1)
    return kernel.transpose(order).reshape(out if layer.reads == "sum" else columns * out, -1)


def _kernel(
    arch: Architecture, layer: Layer, weight: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    columns, read, out = shape[0], shape[-2], shape[-1]
    if layer.kernel:
        return weight.reshape(columns, out, read, *shape[1:3]).transpose(0, 3, 4, 2, 1)
    if layer.reads == "sum":
        kernel = weight.reshape(out, columns, read).transpose(1, 2, 0)
    else:
        kernel = weight.reshape(columns, out, read).transpose(0, 2, 1)
    first, channels = _flat(arch)
    if layer.name == first:
        kernel = kernel.reshape(columns, _reads(arch, layer), channels, -1, out)
        kernel = kernel.transpose(0, 1, 3, 2, 4).reshape(shape)
    return kernel


def _flat(arch: Architecture) -> tuple[str, int]:
    """Return the name of the first fully connected layer, and how many channels a column has."""
    layers = [layer for layer in arch.layers if not layer.identity]
    last = [layer for layer in layers if layer.kernel][-1]
    return next(layer.name for layer in layers if not layer.kernel), arch.features(last.name)


def _reads(arch: Architecture, layer: Layer) -> int:
    """Return how many columns one neuron of `layer` reads."""
    return arch.columns if arch.crosses(layer) else 1
