"""What the tests of augmentation look at: statistics, images that say where they are, views."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict, FrozenConfigDict

from alexnet_jax.data.input import augment
from alexnet_jax.data.input.pixel_stats import make_pixel_stats
from alexnet_jax.system.sharding import FAST_COMPILE
from configs import ilsvrc2012

SIZE, MARGIN = 224, 32
EIGENVALUES = np.array([14830.0, 1376.0, 389.0])
EIGENVECTORS = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
MEAN = np.random.default_rng(2).uniform(90, 150, (256, 256, 3)).astype(np.float32)
STATISTICS = types.SimpleNamespace(
    mean_image=MEAN, eigenvalues=EIGENVALUES, eigenvectors=EIGENVECTORS
)


def data(**fields) -> ConfigDict:
    """Return the paper's config.data with everything off but `fields`."""
    section = ilsvrc2012.get_config().data
    off = {"crop": False, "flip": False, "colour": False, "mean": "none"}
    section.update({**off, **fields})
    return section


def viewer(config, size=SIZE):
    """Return the compiled (images, examples, key) -> views; the same one for equal configs."""
    return _viewer(FrozenConfigDict(config), size)


@functools.cache
def _viewer(config, size):
    pixel_stats = make_pixel_stats(STATISTICS, config)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(images, examples, key):
        return augment.training_views(images, pixel_stats, config, size, key, examples)

    return lambda images, examples=None, seed=0: np.asarray(
        run(
            images,
            jnp.arange(len(images)) if examples is None else jnp.asarray(examples, jnp.int32),
            jax.random.key(seed),
        )
    )


def views(images, config, size=SIZE):
    return viewer(config, size)(images)


def draw_images(batch):
    return np.random.default_rng(0).integers(0, 256, (batch, 256, 256, 3), np.uint8)


def map_image():
    """An image whose pixels say where they are: (row, column, 7)."""
    rows, columns = np.mgrid[0:256, 0:256]
    return np.stack([rows, columns, np.full_like(rows, 7)], -1).astype(np.uint8)


def crops(chunk: int, batch: int = 12, first: int = 0) -> list[tuple[int, int, bool]]:
    """Return (top, left, mirrored) of these places of the global batch."""
    images = np.stack([map_image()] * batch)
    places = np.arange(first, first + batch)
    found = viewer(data(crop=True, flip=True, crop_chunk=chunk))(images, places)
    ends = found[:, 0, [0, -1], :2].astype(int)  # (row, column) of the first row's ends
    return [(a[0], min(a[1], b[1]), bool(a[1] > b[1])) for a, b in ends]
