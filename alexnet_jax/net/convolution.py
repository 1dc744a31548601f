"""Convolution with either rounding of the output size, and a kernel gradient fast on CPU."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array, lax

PATCH_BYTES = 8 << 20  # patches of this size stay in the caches of two cores


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
    """Convolve to the same bits as each part of the kernel gives alone on a device.

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

    def plain(x, g):
        return jax.vjp(lambda kernel: _plain(x, kernel, stride, pads), kernel)[1](g)[0]

    def patches(x, g):
        return _kernel_gradient(x, g, kernel.shape, stride, pads)

    return dx, lax.platform_dependent(x, g, cpu=patches, default=plain)


_conv.defvjp(_conv_forward, _conv_backward)


def _kernel_gradient(x: Array, g: Array, shape, stride: int, pads) -> Array:
    """The gradient of the kernel as a sum of products (Cout, pixels) x (pixels, kh kw Cin).

    It takes a few images at a time, so that their patches stay in the cache: XLA's own gradient
    takes 1.5 to 3 times as long on CPU. First, strides are turned into channels: an 11x11 kernel of
    stride 4 over 3 channels is a 3x3 kernel of stride 1 over 48, of which the last row and column
    of the 12x12 pixels are zero.
    """
    kh, kw, cin, cout = shape
    height, width = g.shape[1:3]
    taps_y, taps_x = (-(-size // stride) for size in (kh, kw))  # of the stride-1 kernel
    size = (height + taps_y - 1, width + taps_x - 1)
    depth = stride * stride * cin
    group = _group(x.shape[0], height * width * taps_y * taps_x * depth * 4)

    def add(total, images):
        x, g = (a.astype(jnp.float32) for a in images)  # XLA on CPU lacks some bfloat16 products
        x = _space_to_depth(x, pads, stride, size)
        taps = [x[:, i : i + height, j : j + width] for i in range(taps_y) for j in range(taps_x)]
        patch = jnp.concatenate(taps, axis=-1)
        pixels = (0, 1, 2)
        return total + lax.dot_general(g, patch, ((pixels, pixels), ((), ()))), None

    total = jnp.zeros((cout, taps_y * taps_x * depth), jnp.float32)
    total = _varying(total, _axes(g))
    grouped = [a.reshape(-1, group, *a.shape[1:]) for a in (x, g)]
    total, _ = lax.scan(add, total, tuple(grouped))
    kernel = total.T.reshape(taps_y, taps_x, stride, stride, cin, cout)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(taps_y * stride, taps_x * stride, cin, cout)
    return kernel[:kh, :kw].astype(x.dtype)


def _space_to_depth(x: Array, pads, stride: int, size: tuple[int, int]) -> Array:
    """Pad x to size * stride pixels and turn each stride x stride block into channels."""
    b, *pixels, channels = x.shape
    config = [(0, 0, 0)]
    for (before, _), pixel, blocks in zip(pads, pixels, size, strict=True):
        config.append((before, blocks * stride - pixel - before, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), (*config, (0, 0, 0)))
    if stride == 1:
        return x
    x = x.reshape(b, size[0], stride, size[1], stride * channels).transpose(0, 1, 3, 2, 4)
    return x.reshape(b, *size, stride * stride * channels)


def _group(batch: int, image_bytes: int) -> int:
    """Return how many images to take at a time: the largest divisor of the batch that fits.

    Args:
      batch: number of images.
      image_bytes: size of the patches of one image.
    """
    most = max(1, PATCH_BYTES // image_bytes)
    return next(size for size in range(min(most, batch), 0, -1) if math.gcd(size, batch) == size)
