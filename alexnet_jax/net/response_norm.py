"""Local response normalization (paper 3.3), and the released program's over neighbouring pixels."""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

_UP = 2.0**64
_SMALL_K = 1e-6  # below it d can be so small that _UP would overflow, and k itself be 0 in float32


def local_response_norm(
    x: Array, *, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> Array:
    """Normalize each channel by its neighbours at the same pixel (paper 3.3).

    b_i = a_i / (k + alpha * sum_j a_j^2)^beta, j from max(0, i - n//2) to min(N - 1, i + n//2).

    Alpha multiplies the plain sum, as in the paper; Caffe, PyTorch and the released program
    divide it by n first. The arithmetic is float32 for lower dtypes.

    Args:
      x: activations, shape (..., N), floating.
      n: channels in the window, odd.
      k: added to the sum.
      alpha: multiplies the sum.
      beta: exponent.

    Returns:
      Shape and dtype of x.

    Raises:
      ValueError: n is even or below 1.
    """
    if n < 1 or n % 2 == 0:
        raise ValueError(f"local_response_norm: n is an odd number of channels; got {n}")
    return _wide(x, (1,) * (x.ndim - 1) + (n,), k, alpha, beta)


def spatial_response_norm(
    x: Array, *, n: int = 5, k: float = 1.0, alpha: float = 1e-3, beta: float = 0.75
) -> Array:
    """Normalize each pixel by its neighbours in the same channel (layers-145.cfg: cnorm2).

    b = a / (k + alpha / n^2 * sum a^2)^beta over the n x n pixels around, where those outside
    the image are 0 (layer.py:1183 divides alpha). x is (B, H, W, C); dtypes, result and errors are
    those of `local_response_norm`.
    """
    if n < 1 or n % 2 == 0:
        raise ValueError(f"spatial_response_norm: n is an odd number of pixels; got {n}")
    return _wide(x, (1, n, n, 1), k, alpha / n**2, beta)


def _wide(x: Array, window: tuple[int, ...], k: float, alpha: float, beta: float) -> Array:
    wide = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
    return _response_norm(wide, window, k, alpha, beta).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _response_norm(x: Array, window, k: float, alpha: float, beta: float) -> Array:
    return x * _denominator(x, window, k, alpha, beta)[1]


def _response_norm_forward(x, window, k, alpha, beta):
    # Only x is kept: computing the denominator again is cheaper than storing and loading it.
    return _response_norm(x, window, k, alpha, beta), x


def _response_norm_backward(window, k, alpha, beta, x, g):
    # With d_i = k + alpha * sum a^2: dL/da_i = g_i d_i^-beta
    #   - 2 alpha beta a_i sum_j g_j a_j d_j^(-beta-1), over the same window, which is symmetric.
    # The sum is taken times _UP, a power of two: no bit changes, but from activations of 3e17 on
    # its terms would be too small for float32.
    d, scale = _denominator(x, window, k, alpha, beta)
    up = _UP if k >= _SMALL_K else 1.0
    shared = _window_sum(g * x * (scale * up) / d, window)
    return (g * scale - (2 * alpha * beta / up) * x * shared,)


_response_norm.defvjp(_response_norm_forward, _response_norm_backward)


def _denominator(x: Array, window, k: float, alpha: float, beta: float) -> tuple[Array, Array]:
    """Return d = k + alpha * sum a^2 and d^-beta; where d is 0, 1 and 0.

    So its 0/0 is 0, and so is its gradient.
    """
    d = k + alpha * _window_sum(x * x, window)
    if k >= _SMALL_K:
        return d, _power(d, -beta)
    safe = jnp.where(d > 0, d, 1)
    return safe, jnp.where(d > 0, _power(safe, -beta), 0)


def _window_sum(x: Array, window: tuple[int, ...]) -> Array:
    """Sum over the window around each value, clipped at the ends; shape of x.

    It adds slices, one axis after the other. XLA fuses them into the loop that uses them, whereas
    a reduce_window is one more pass over memory and takes longer the wider the window is.
    """
    for axis, size in enumerate(window):
        if size > 1:
            x = _sum_along(x, axis, size)
    return x


def _sum_along(x: Array, axis: int, window: int) -> Array:
    pads = [(window // 2 if a == axis else 0,) * 2 + (0,) for a in range(x.ndim)]
    wide = lax.pad(x, jnp.zeros((), x.dtype), pads)
    length = x.shape[axis]
    parts = [lax.slice_in_dim(wide, k, k + length, axis=axis) for k in range(window)]
    return functools.reduce(jnp.add, parts)


def _power(d: Array, exponent: float) -> Array:
    if exponent == -0.75:  # two square roots are several times faster than a power
        root = lax.rsqrt(d)
        return root * lax.sqrt(root)
    return d**exponent
