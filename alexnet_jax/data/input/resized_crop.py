"""torchvision's RandomResizedCrop on the device: a box of random area and shape, scaled to size.

The box is cut from the stored square; torchvision cuts it from the original file.
"""

import jax
import jax.numpy as jnp
from jax import Array

from alexnet_jax.system.random_streams import stream

# torchvision's defaults.
AREA = (0.08, 1.0)  # share of the image, uniform
RATIO = (3 / 4, 4 / 3)  # width over height, log-uniform
TRIES = 10


def draw_box(key: Array, full: int) -> Array:
    """Return top, left, height and width, (4,) int32, of a box in an image of full x full pixels.

    It is the first of ten random boxes that fits into the image, or the whole image if none does.
    """
    area = jax.random.uniform(
        stream(key, "area"), (TRIES,), minval=AREA[0] * full**2, maxval=AREA[1] * full**2
    )
    low, high = (jnp.log(jnp.float32(ratio)) for ratio in RATIO)
    ratio = jnp.exp(jax.random.uniform(stream(key, "ratio"), (TRIES,), minval=low, maxval=high))
    sides = jnp.round(jnp.sqrt(jnp.stack([area / ratio, area * ratio])))  # (2, TRIES): h, w
    fits = jnp.all((sides > 0) & (sides <= full), axis=0)
    first = sides[:, jnp.argmax(fits)].astype(jnp.int32)
    size = jnp.where(jnp.any(fits), first, jnp.full((2,), full, jnp.int32))
    corner = jax.random.randint(stream(key, "corner"), (2,), 0, full - size + 1)
    return jnp.concatenate([corner, size])


def resize(image: Array, box: Array, size: int) -> Array:
    """Return a box of an image scaled to size x size: bilinear with antialias, as in Pillow.

    Pixels outside of the box do not count, as if the box had been cut out first.

    Args:
      image: (H, W, C) float32.
      box: top, left, height, width, (4,) int32.
      size: pixels a side of the result.
    """
    rows = _weights(image.shape[0], box[0], box[2], size)
    columns = _weights(image.shape[1], box[1], box[3], size)
    x = jnp.einsum("yh,hwc->ywc", rows, image, precision="highest")
    return jnp.einsum("xw,ywc->yxc", columns, x, precision="highest")


def _weights(full: int, begin: Array, length: Array, size: int) -> Array:
    """Return the weight of each of `full` pixels in each of `size`, (size, full): triangles."""
    source = jnp.arange(full, dtype=jnp.int32) - begin
    target = jnp.arange(size, dtype=jnp.int32)
    # From a pixel's middle, source + 1/2, to the target's, (target + 1/2) length / size. Times
    # 2 size these are whole numbers, which are not rounded.
    distance = jnp.abs((2 * source + 1)[None, :] * size - (2 * target + 1)[:, None] * length)
    reach = (2 * jnp.maximum(length, size)).astype(jnp.float32)  # the wider pixel
    triangle = jnp.maximum(0.0, 1.0 - distance.astype(jnp.float32) / reach)
    inside = (source >= 0) & (source < length)
    triangle = jnp.where(inside[None, :], triangle, jnp.zeros_like(triangle))
    return triangle / jnp.sum(triangle, axis=1, keepdims=True)
