"""The views of a test image: ten-crop testing (paper 4.1), its five crops, or the centre alone.

The net's answers are averaged over them in inference/predictor.py.
"""

import jax
import jax.numpy as jnp
from jax import Array

from alexnet_jax.config_fields import Evaluate, choices
from alexnet_jax.data.input.augment import divided, less_centre_mean, window
from alexnet_jax.errors import ConfigError

VIEWS = choices(Evaluate(), "views")


def view_corners(views: int, size: int, full: int) -> tuple[tuple[int, int, bool], ...]:
    """Return (top, left, mirrored) of each test view of `size` pixels in a square of `full`.

    1: the centre. 5: the four corners and the centre. 10 (paper 4.1): those five, then their
    mirror images.
    """
    far, middle = full - size, (full - size) // 2
    if views == 1:
        return ((middle, middle, False),)
    if views not in VIEWS:
        raise ConfigError(f"evaluate.views is one of {VIEWS}; got {views}")
    corners = ((0, 0), (0, far), (middle, middle), (far, 0), (far, far))
    mirrors = (False, True) if views == 10 else (False,)
    return tuple((*corner, mirrored) for mirrored in mirrors for corner in corners)


def corner_arrays(views: int, size: int, full: int) -> tuple[Array, ...]:
    """Return `view_corners` as three arrays: top, left (views,) int32, mirrored (views,) bool."""
    corners = view_corners(views, size, full)
    return tuple(jnp.asarray(each) for each in zip(*corners, strict=True))


def central_view(images: Array, pixel_stats, size: int) -> Array:
    """Return the central view of each image; see `view_at`."""
    (corner,) = view_corners(1, size, images.shape[1])
    return view_at(images, pixel_stats, size, *corner)


def view_at(images: Array, pixel_stats, size: int, top, left, mirrored) -> Array:
    """Return one test view of each image, with the mean subtracted.

    Args:
      images: (B, full, full, 3) uint8.
      pixel_stats: what `make_pixel_stats` gave.
      size: pixels a side.
      top, left, mirrored: int32 and bool, shape ().

    Returns:
      (B, size, size, 3) float32.
    """
    zero = jnp.zeros((), jnp.int32)
    x = jax.lax.dynamic_slice(
        images, (zero, top, left, zero), (images.shape[0], size, size, 3)
    ).astype(jnp.float32)
    if "mean" in pixel_stats:
        x = x - window(pixel_stats["mean"], jnp.stack([top, left]), size)[None]
    x = jnp.where(mirrored, x[:, :, ::-1], x)
    return divided(less_centre_mean(x, pixel_stats), pixel_stats)
