"""Max and average pooling, overlapping or not (paper 3.4)."""

import functools

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from alexnet_jax.net.architecture import Pool


def max_pool(x: Array, pool: Pool) -> Array:
    """Largest value of each window x window patch, patches `stride` apart (paper 3.4).

    Written as maxima of strided slices, rows first and then columns: the gradient is then sums of
    slices, several times faster on CPU than the scatter of a reduce_window. Tied maxima share
    the gradient.

    Args:
      x: activations, shape (B, H, W, C).
      pool: the window, its stride, and whether a last patch that overhangs the image counts.

    Returns:
      Shape (B, pooled(H, pool), pooled(W, pool), C).
    """
    for axis in (1, 2):
        x = functools.reduce(jnp.maximum, _slices(x, axis, pool, -jnp.inf))
    return x


def avg_pool(x: Array, pool: Pool) -> Array:
    """Mean of each window x window patch, patches `stride` apart (cuda-convnet's layers-18pct.cfg).

    Where a last patch overhangs the image, the mean is over the pixels inside the image
    (conv_util.cuh: AvgPooler divides by the region's size). Arguments and shapes: `max_pool`.
    """
    for axis in (1, 2):
        size = x.shape[axis]
        parts = _slices(x, axis, pool, 0.0)
        starts = np.arange(parts[0].shape[axis]) * pool.stride
        inside = np.minimum(starts + pool.window, size) - starts
        weights = jnp.asarray(1 / inside, x.dtype)
        total = functools.reduce(jnp.add, parts)
        x = total * lax.broadcast_in_dim(weights, total.shape, (axis,))
    return x


def pooled(size: int, pool: Pool) -> int:
    """Return how many patches fit along `size` pixels: 1 + (size - window) / stride, rounded.

    Each begins inside the image, as in Caffe and PyTorch: rounding up adds none that is outside.
    """
    span = size - pool.window
    if not pool.ceil:
        return 1 + span // pool.stride
    return min(1 + -(-span // pool.stride), -(-size // pool.stride))


def _slices(x: Array, axis: int, pool: Pool, outside: float) -> list[Array]:
    """Return the first, second, ... pixel of all patches along an axis, as strided slices.

    Pixels outside the image are `outside`.
    """
    size, window, stride = x.shape[axis], pool.window, pool.stride
    if size < window:
        raise ValueError(f"pooling: a window of {window} does not fit in {size} pixels")
    last = (pooled(size, pool) - 1) * stride
    if (more := last + window - size) > 0:
        value = jnp.full((), outside, x.dtype)
        x = lax.pad(x, value, [(0, more if a == axis else 0, 0) for a in range(x.ndim)])
    return [lax.slice_in_dim(x, start, start + last + 1, stride, axis) for start in range(window)]
