"""Pure functions of the net: local response normalization and max pooling."""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax


def local_response_norm(
    x: Array, *, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> Array:
    """Normalize each map by its neighbours at the same place (paper 3.3).

    b_i = a_i / (k + alpha * sum_j a_j^2)^beta, j from max(0, i - n//2) to min(N - 1, i + n//2).

    Alpha multiplies the plain sum, as in the paper; Caffe, PyTorch and the released program
    divide it by n first. The arithmetic is float32 for lower dtypes.

    Args:
      x: activations, shape (..., N), floating.
      n: maps in the window, odd.
      k, alpha, beta: the paper's constants.

    Returns:
      Shape and dtype of x.

    Raises:
      ValueError: n is even or below 1.
    """
    if n < 1 or n % 2 == 0:
        raise ValueError(f"local_response_norm: n is an odd number of maps; got {n}")
    wide = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
    return _lrn(wide, n, k, alpha, beta).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _lrn(x: Array, n: int, k: float, alpha: float, beta: float) -> Array:
    return x * _power(k + alpha * _window_sum(x * x, n), -beta)


def _lrn_forward(x, n, k, alpha, beta):
    # Only x is kept: the denominator is cheaper to make again than to store and load.
    return _lrn(x, n, k, alpha, beta), x


def _lrn_backward(n, k, alpha, beta, x, g):
    # With d_i = k + alpha * sum a^2: dL/da_i = g_i d_i^-beta
    #   - 2 alpha beta a_i sum_j g_j a_j d_j^(-beta-1), over the same window, which is symmetric.
    d = k + alpha * _window_sum(x * x, n)
    scale = _power(d, -beta)
    shared = _window_sum(g * x * scale / d, n)
    return (g * scale - (2 * alpha * beta) * x * shared,)


_lrn.defvjp(_lrn_forward, _lrn_backward)


def _window_sum(x: Array, n: int) -> Array:
    """Sum over the n channels around each one, clipped at the ends; shape of x."""
    window = (1,) * (x.ndim - 1) + (n,)
    pads = ((0, 0),) * (x.ndim - 1) + ((n // 2, n // 2),)
    zero = jnp.zeros((), x.dtype)
    return lax.reduce_window(x, zero, lax.add, window, (1,) * x.ndim, pads)


def _power(d: Array, exponent: float) -> Array:
    if exponent == -0.75:  # two square roots are several times faster than a power
        root = lax.rsqrt(d)
        return root * lax.sqrt(root)
    return d**exponent


def max_pool(x: Array, *, window: int = 3, stride: int = 2) -> Array:
    """Largest value of each window x window patch, patches `stride` apart, no padding.

    Written as maxima of strided slices, rows first and then columns: the gradient is then sums of
    slices, several times faster on CPU than the scatter of a reduce_window. Tied maxima share
    the gradient.

    Args:
      x: activations, shape (B, H, W, C).

    Returns:
      Shape (B, (H - window) // stride + 1, (W - window) // stride + 1, C).
    """
    for axis in (1, 2):
        x = _max_along(x, axis, window, stride)
    return x


def _max_along(x: Array, axis: int, window: int, stride: int) -> Array:
    size = x.shape[axis]
    if size < window:
        raise ValueError(f"max_pool: a window of {window} does not fit in {size} pixels")
    last = (size - window) // stride * stride
    parts = [lax.slice_in_dim(x, start, start + last + 1, stride, axis) for start in range(window)]
    return functools.reduce(jnp.maximum, parts)
