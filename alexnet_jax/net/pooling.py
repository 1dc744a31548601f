"""Max pooling, overlapping or not (paper 3.4)."""

import functools

import jax.numpy as jnp
from jax import Array, lax


def max_pool(x: Array, *, window: int = 3, stride: int = 2, ceil: bool = False) -> Array:
    """Largest value of each window x window patch, patches `stride` apart.

    Written as maxima of strided slices, rows first and then columns: the gradient is then sums of
    slices, several times faster on CPU than the scatter of a reduce_window. Tied maxima share
    the gradient.

    Args:
      x: activations, shape (B, H, W, C).
      window, stride: pixels.
      ceil: whether a last patch that overhangs the image counts (the released program, Caffe).

    Returns:
      Shape (B, pooled(H), pooled(W), C).
    """
    for axis in (1, 2):
        x = _max_along(x, axis, window, stride, ceil)
    return x


def pooled(size: int, window: int, stride: int, ceil: bool) -> int:
    """Return how many patches fit along `size` pixels: 1 + (size - window) / stride, rounded."""
    span = size - window
    return 1 + (-(-span // stride) if ceil else span // stride)


def _max_along(x: Array, axis: int, window: int, stride: int, ceil: bool) -> Array:
    size = x.shape[axis]
    if size < window:
        raise ValueError(f"max_pool: a window of {window} does not fit in {size} pixels")
    last = (pooled(size, window, stride, ceil) - 1) * stride
    if (more := last + window - size) > 0:
        lowest = jnp.full((), -jnp.inf, x.dtype)
        x = lax.pad(x, lowest, [(0, more if a == axis else 0, 0) for a in range(x.ndim)])
    parts = [lax.slice_in_dim(x, start, start + last + 1, stride, axis) for start in range(window)]
    return functools.reduce(jnp.maximum, parts)
