"""The weights that the page shows: conv1's kernels, and the largest weights of each later unit."""

from typing import Any

import numpy as np

from alexnet_jax.analysis.explore.packing import pack
from alexnet_jax.net.architecture import Architecture, Layer

MOST = 8  # inputs of a unit


def shown(arch: Architecture, layer: Layer, values: np.ndarray, channels: int) -> dict[str, Any]:
    """Return what the page shows of a layer's weights.

    Args:
      layer: any but the last one.
      values: its kernel, (columns, kh, kw, in, out) or (columns, in, out).
      channels: of one column's input; a vector has as many as values.

    Returns:
      inputs (columns, out, MOST): the input channels with the largest sum of squared weights,
      numbered over both columns; and of a convolution slices, packed (columns, out, MOST, kh, kw):
      the kernel on these. conv1 has slices only: its three channels.
    """
    if layer.reads == "image":
        return {"slices": pack(values.transpose(0, 4, 3, 1, 2))} if layer.kernel else {"inputs": []}
    energy = _energy(arch, layer, values, channels)  # (columns, out, in)
    count = min(MOST, energy.shape[2])
    best = np.argpartition(-energy, count - 1, axis=2)[:, :, :count]
    order = np.argsort(-np.take_along_axis(energy, best, axis=2), axis=2, kind="stable")
    best = np.take_along_axis(best, order, axis=2)
    inputs = best
    if not arch.crosses(layer):  # a column counts its own channels
        inputs = best + channels * np.arange(len(values))[:, None, None]
    if not layer.kernel:
        return {"inputs": inputs.tolist()}
    by_unit = values.transpose(0, 4, 3, 1, 2)  # (columns, out, in, kh, kw)
    slices = np.take_along_axis(by_unit, best[..., None, None], axis=2)
    return {"inputs": inputs.tolist(), "slices": pack(slices)}


def _energy(arch: Architecture, layer: Layer, values: np.ndarray, channels: int) -> np.ndarray:
    """Return the sum of squared weights for each unit and input channel, (columns, out, in)."""
    squares, columns, out = np.square(values), len(values), values.shape[-1]
    if layer.kernel:
        summed = squares.sum(axis=(1, 2))
    else:  # the inputs are pixels of channels, one column after the other
        read = arch.columns if arch.crosses(layer) else 1
        summed = squares.reshape(columns, read, -1, channels, out).sum(axis=2)
    return summed.reshape(columns, -1, out).transpose(0, 2, 1)
