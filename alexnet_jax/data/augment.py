"""What the device does to images (paper 2, 4.1): mean, crop, mirror, PCA colour, ten views.

The host sends 256x256 uint8; everything here is inside the compiled step.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError
from alexnet_jax.random_streams import per_example, stream

FULL = 256  # pixels a side of a prepared image


def constants(statistics, data: ConfigDict) -> dict[str, np.ndarray]:
    """Return what the training set's statistics mean for the net.

    Args:
      statistics: mean_image (256, 256, 3), eigenvalues (3,) and eigenvectors (3, 3; a column each)
        of the RGB covariance, on the 0-255 scale.
      data: config.data.

    Returns:
      mean (256, 256, 3) float32, and colour (3, 3) float32: column i is p_i times the standard
      deviation of its coefficient, in grey levels (paper 4.1).
    """
    mean = np.asarray(statistics.mean_image, np.float32)
    if data.mean == "channel":
        mean = np.broadcast_to(mean.mean((0, 1), dtype=np.float64), mean.shape)
    elif data.mean == "none":
        mean = np.zeros_like(mean)
    elif data.mean != "image":
        raise ConfigError(f"data.mean is image, channel or none; got {data.mean!r}")
    if data.colour_unit == "eigenvalue":  # of pixels in [0, 1]; the shift is then times 255
        spread = statistics.eigenvalues / 255.0
    elif data.colour_unit == "deviation":
        spread = np.sqrt(statistics.eigenvalues)
    else:
        raise ConfigError(f"data.colour_unit is eigenvalue or deviation; got {data.colour_unit!r}")
    colour = statistics.eigenvectors * (data.colour_std * spread)
    return {"mean": mean.astype(np.float32), "colour": colour.astype(np.float32)}


def training_views(
    images: Array, consts, data: ConfigDict, size: int, key: Array, examples: Array
) -> Array:
    """Return one random view of each image, less the mean.

    Each image's draws depend only on `key` and its place in the global batch.

    Args:
      images: (B, 256, 256, 3) uint8.
      consts: what `constants` gave.
      data: config.data: crop, flip and colour switch each idea.
      size: pixels a side of a view.
      key: this step's key.
      examples: places in the global batch, (B,) int32.

    Returns:
      (B, size, size, 3) float32.
    """
    margin = FULL - size

    def view(image, key):
        corner = jnp.full((2,), margin // 2, jnp.int32)
        if data.crop:
            corner = jax.random.randint(stream(key, "crop"), (2,), 0, margin + 1)
        x = _window(image, corner, size).astype(jnp.float32)
        x = x - _window(consts["mean"], corner, size)
        if data.flip:
            mirrored = jax.random.bernoulli(stream(key, "flip"))
            x = jnp.where(mirrored, x[:, ::-1], x)
        if data.colour:
            alpha = jax.random.normal(stream(key, "colour"), (3,))
            shift = jnp.sum(consts["colour"] * alpha[None, :], axis=1)
            x = x + shift[None, None, :]
        return x

    return jax.vmap(view)(images, per_example(key, examples))


def _window(image: Array, corner: Array, size: int) -> Array:
    zero = jnp.zeros((), corner.dtype)
    return jax.lax.dynamic_slice(image, (corner[0], corner[1], zero), (size, size, 3))


def view_corners(views: int, size: int) -> tuple[tuple[int, int, bool], ...]:
    """Return (top, left, mirrored) of each test view.

    1: the centre. 10 (paper 4.1): the four corners and the centre, then their mirror images.
    """
    far, middle = FULL - size, (FULL - size) // 2
    if views == 1:
        return ((middle, middle, False),)
    if views != 10:
        raise ConfigError(f"evaluate.views is 1 or 10; got {views}")
    places = ((0, 0), (0, far), (middle, middle), (far, 0), (far, far))
    return tuple((*place, mirrored) for mirrored in (False, True) for place in places)


def view_at(images: Array, consts, size: int, top, left, mirrored) -> Array:
    """Return one test view of each image, less the mean.

    Args:
      images: (B, 256, 256, 3) uint8.
      consts: what `constants` gave.
      size: pixels a side.
      top, left, mirrored: int32 and bool, shape ().

    Returns:
      (B, size, size, 3) float32.
    """
    zero = jnp.zeros((), jnp.int32)
    x = jax.lax.dynamic_slice(
        images, (zero, top, left, zero), (images.shape[0], size, size, 3)
    ).astype(jnp.float32)
    x = x - _window(consts["mean"], jnp.stack([top, left]), size)[None]
    return jnp.where(mirrored, x[:, :, ::-1], x)
