"""What the device does to training images (paper 2, 4.1): mean, crop, mirror, PCA colour.

The host sends the stored squares, (full, full, 3) uint8; all of this is part of the compiled step.
"""

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from alexnet_jax.data.input.resized_crop import draw_box, resize
from alexnet_jax.system.random_streams import per_example, stream


def training_views(
    images: Array, pixel_stats, data: ConfigDict, size: int, key: Array, examples: Array
) -> Array:
    """Return one random view of each image, with the mean subtracted.

    The random numbers of an image depend only on `key` and on its index in the global batch.
    data.crop_chunk neighbours share the crop and the mirror (convdata_jpeg.py:238), never the
    colour.

    Args:
      images: (B, full, full, 3) uint8.
      pixel_stats: what `make_pixel_stats` gave.
      data: config.data, whose crop, flip and colour may each be off.
      size: pixels a side of a view.
      key: the random key of this step.
      examples: indices in the global batch, (B,) int32.

    Returns:
      (B, size, size, 3) float32.
    """
    keys = shared = per_example(key, examples)
    if data.crop_chunk > 1:
        shared = per_example(key, examples // jnp.int32(data.crop_chunk))

    def view(image, key, shared_key):
        x = _cropped(image, pixel_stats, data, size, shared_key)
        if data.flip:
            mirrored = jax.random.bernoulli(stream(shared_key, "flip"))
            x = jnp.where(mirrored, x[:, ::-1], x)
        x = less_centre_mean(x, pixel_stats)
        if data.colour:
            alpha = jax.random.normal(stream(key, "colour"), (3,))
            shift = jnp.sum(pixel_stats["colour"] * alpha[None, :], axis=1)
            x = x + shift[None, None, :]
            if data.colour_rescale:
                x = x / pixel_stats["colour_divisor"]
        return divided(x, pixel_stats)

    return jax.vmap(view)(images, keys, shared)


def _cropped(image: Array, pixel_stats, data: ConfigDict, size: int, key: Array) -> Array:
    """Return a crop, (size, size, 3), with pixel_stats["mean"] subtracted if it is there."""
    full = image.shape[0]
    if data.crop and data.crop_form == "resized":
        x = image.astype(jnp.float32)
        if "mean" in pixel_stats:
            x = x - pixel_stats["mean"]
        return resize(x, draw_box(stream(key, "crop"), full), size)
    corner = jnp.full((2,), (full - size) // 2, jnp.int32)
    if data.crop:
        corner = jax.random.randint(stream(key, "crop"), (2,), 0, full - size + 1)
    x = window(image, corner, size).astype(jnp.float32)
    return x - window(pixel_stats["mean"], corner, size) if "mean" in pixel_stats else x


def less_centre_mean(x: Array, pixel_stats) -> Array:
    """Subtract the mean image's central window from views, (..., size, size, 3), if that is set.

    The window is the same for every view, and is not mirrored (convdata_jpeg.py:95, 209).
    """
    if "centre_mean" not in pixel_stats:
        return x
    size, mean = x.shape[-2], pixel_stats["centre_mean"]
    start = (mean.shape[0] - size) // 2
    centre = mean[start : start + size, start : start + size]
    return x - jnp.broadcast_to(centre, x.shape)


def divided(x: Array, pixel_stats) -> Array:
    """Divide views, (..., size, size, 3), by data.divide_by, if that is set."""
    if "divide_by" not in pixel_stats:
        return x
    return x / jnp.broadcast_to(pixel_stats["divide_by"], x.shape)


def window(image: Array, corner: Array, size: int) -> Array:
    """Return the square of `size` pixels at (top, left), (2,) int32, of (full, full, 3)."""
    zero = jnp.zeros((), corner.dtype)
    return jax.lax.dynamic_slice(image, (corner[0], corner[1], zero), (size, size, 3))
