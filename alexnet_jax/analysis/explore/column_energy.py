"""How much of a unit's energy comes from the other column, and what each column adds to fc8."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.conv1_filters import share


def crossing_layers(arch: Architecture) -> list[Layer]:
    """Return the layers whose products read the other column: the paper's conv3, fc6 and fc7."""
    return [layer for layer in arch.layers if arch.crosses(layer)]


def shares(kernel: np.ndarray, columns: int, energy: np.ndarray | None = None) -> np.ndarray:
    """Return which part of each unit's energy comes from the other column, (columns, units).

    It is the sum of w^2 x^2 over the inputs in the other column, over that of all inputs. If both
    columns matter alike it is 1/2.

    Args:
      kernel: (columns, ..., in, units), where the inputs of column 0 come first.
      columns: 2.
      energy: x^2 of each input, (in,); None: all are 1, so that the weights alone count.
    """
    squares = np.square(kernel.astype(np.float32))
    squares = squares.sum(axis=tuple(range(1, kernel.ndim - 2)))  # (columns, in, units)
    if energy is not None:
        squares = squares * energy.astype(np.float32)[None, :, None]
    parts = squares.reshape(columns, columns, -1, squares.shape[-1]).sum(axis=2, dtype=np.float64)
    own = parts[np.arange(columns), np.arange(columns)]
    whole = parts.sum(axis=1)
    return share(whole - own, whole)


def of_picture(
    arch: Architecture, layer: Layer, params: Mapping[str, Any], activations: Mapping
) -> np.ndarray:
    """Return `shares` for a picture: a channel's energy is the mean over its pixels."""
    values = activations[_input(arch, layer)].astype(np.float64)
    if layer.kernel:
        energy = np.square(values).mean(axis=(1, 2)).ravel()
    else:
        energy = np.square(values).ravel()  # columns one after the other, as the kernel has them
    return shares(np.asarray(params[layer.name]["kernel"]), arch.columns, energy)


def summed(
    arch: Architecture, params: Mapping[str, Any], activations: Mapping, labels: Sequence[int]
) -> list[dict[str, Any]]:
    """Return, for each of these labels, what each column adds to its logit, and the bias."""
    last = arch.layers[-1]
    values = activations[_input(arch, last)].astype(np.float64)
    kernel, bias = (np.asarray(params[last.name][name]) for name in ("kernel", "bias"))
    parts = np.einsum("cu,cuk->ck", values.reshape(len(values), -1), kernel[:, :, list(labels)])
    logits = activations[last.name][0]
    return [
        {"columns": parts[:, k].tolist(), "bias": float(bias[j]), "logit": float(logits[j])}
        for k, j in enumerate(labels)
    ]


def _input(arch: Architecture, layer: Layer) -> str:
    """Return the name of the activation that a layer reads."""
    before = arch.layers[arch.layers.index(layer) - 1]
    while before.identity and not before.then:
        before = arch.layers[arch.layers.index(before) - 1]
    return arch.output(before)
