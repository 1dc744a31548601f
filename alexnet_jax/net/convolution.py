"""Convolution with either rounding of the output size, and a kernel gradient fast on CPU."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax


def conv2d(
    x: Array, kernel: Array, *, stride: int, padding: int, ceil: bool = True, parts: int = 1
) -> Array:
    """Convolve.

    Args:
      x: shape (B, H, W, Cin).
      kernel: shape (kh, kw, Cin, Cout).
      stride: pixels.
      padding: zeros on each side, pixels; bottom and right get more where the last window
        overhangs (224 pixels, 11x11, stride 4: 3 more, giving 55).
      ceil: whether that window counts (the released program) or not (PyTorch).
      parts: in training on CPU, into how many equal parts of Cout the work is split
        (`_in_parts`).

    Returns:
      Shape (B, H', W', Cout), H' = `convolved(H, ...)`.
    """
    pads = tuple(
        _pads(size, window, stride, padding, ceil)
        for size, window in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    )
    # Inside shard_map the kernel is replicated along the mesh axis of the batch, and the image
    # along that of the columns. The gradient rule below needs both marked as varying along every
    # axis along which either varies; the transpose of that mark is a sum over the axis.
    axes = _axes(x) | _axes(kernel)
    return _conv(_varying(x, axes), _varying(kernel, axes), stride, pads, parts)


def _axes(x: Array) -> frozenset:
    return jax.typeof(x).manual_axis_type.varying


def _varying(x: Array, axes: frozenset) -> Array:
    missing = tuple(sorted(axes - _axes(x)))
    return lax.pcast(x, missing, to="varying") if missing else x


def convolved(size: int, window: int, stride: int, padding: int, ceil: bool) -> int:
    """Return the output pixels of a side: 1 + (size + 2 padding - window) / stride, rounded.

    The released program rounds up (layer.py: modulesX), all others down.
    """
    span = size + 2 * padding - window
    return 1 + (-(-span // stride) if ceil else span // stride)


def _pads(size: int, window: int, stride: int, padding: int, ceil: bool) -> tuple[int, int]:
    """Return the zeros before and after that give `convolved` pixels; a negative number crops."""
    steps = convolved(size, window, stride, padding, ceil) - 1
    return padding, steps * stride + window - size - padding


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _conv(x: Array, kernel: Array, stride: int, pads, parts: int) -> Array:
    # Without a gradient, at test, the parts stay together: apart they cost 4 % of inference.
    return _plain(x, kernel, stride, pads)


def _in_parts(x: Array, kernel: Array, stride: int, pads, parts: int) -> Array:
    """Convolve so that each part of the kernel gives the same bits as alone on a device.

    On CPU the order of a sum depends on the shape of the product: XLA leaves convolutions to Eigen
    and oneDNN, whose code for AVX2 sums 96 channels in another order than twice 48. A processor
    with AVX-512 does not show it.
    """

    def joined(x, kernel):
        return _plain(x, kernel, stride, pads)

    def apart(x, kernel):
        return jnp.concatenate([joined(x, k) for k in jnp.split(kernel, parts, axis=-1)], axis=-1)

    if parts == 1:
        return joined(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=apart, default=joined)


def _plain(x: Array, kernel: Array, stride: int, pads) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _conv_forward(x, kernel, stride, pads, parts):
    return _in_parts(x, kernel, stride, pads, parts), (x, kernel)


def _conv_backward(stride, pads, parts, saved, g):
    x, kernel = saved
    (dx,) = jax.vjp(lambda x: _plain(x, kernel, stride, pads), x)[1](g)

    def gradient(form):
        return lambda x, g: jax.vjp(lambda kernel: form(x, kernel, stride, pads), kernel)[1](g)[0]

    return dx, lax.platform_dependent(x, g, cpu=gradient(_deep), default=gradient(_plain))


_conv.defvjp(_conv_forward, _conv_backward)


def _deep(x: Array, kernel: Array, stride: int, pads) -> Array:
    """Convolve with strides turned into channels, for the kernel's gradient on CPU.

    An 11x11 kernel of stride 4 over 3 channels is a 3x3 kernel of stride 1 over 48, of which the
    last row and column of the 12x12 pixels are zero. Its gradient takes 0.78 of the time.
    """
    if stride == 1:
        return _plain(x, kernel, stride, pads)
    taps = [-(-window // stride) for window in kernel.shape[:2]]
    spans = [n + sum(pad) for n, pad in zip(x.shape[1:3], pads, strict=True)]
    steps = [(n - w) // stride for n, w in zip(spans, kernel.shape[:2], strict=True)]
    sizes = [step + tap for step, tap in zip(steps, taps, strict=True)]
    x = _space_to_depth(x, pads, stride, sizes)
    kernel = _space_to_depth(jnp.moveaxis(kernel, -1, 0), ((0, 0), (0, 0)), stride, taps)
    layout = ("NHWC", "OHWI", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=layout)


def _space_to_depth(x: Array, pads, stride: int, size: Sequence[int]) -> Array:
    """Pad x to size * stride pixels and turn each stride x stride block into channels."""
    b, *pixels, channels = x.shape
    config = [(0, 0, 0)]
    for (before, _), pixel, blocks in zip(pads, pixels, size, strict=True):
        config.append((before, blocks * stride - pixel - before, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), (*config, (0, 0, 0)))
    x = x.reshape(b, size[0], stride, size[1], stride * channels).transpose(0, 1, 3, 2, 4)
    return x.reshape(b, *size, stride * stride * channels)
