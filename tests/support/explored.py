"""A narrow net with weights of our choosing as `restore` would give it, and its page."""

import base64
import gzip
import pathlib
from typing import Any

import jax
import numpy as np

from alexnet_jax.analysis.explore import activations, content
from alexnet_jax.run.dataset_info import DatasetInfo
from alexnet_jax.run.restore import Restored
from alexnet_jax.step.state import NetState
from alexnet_jax.system import sharding
from tests.support import narrow_recipe
from tests.support.narrow_nets import SIZE, draw_params, make_arch

FULL = SIZE + 12  # pixels of the pictures, so that the ten views differ
MEAN = 120.0


def restored(workdir: pathlib.Path, names: tuple[str, ...], group: int = 1, **fields) -> Restored:
    """Return a narrow net with these names of classes, on `group` devices."""
    config = narrow_recipe.get_config()
    config.data.size, config.data.mean, config.data.mean_values = FULL, "values", (MEAN,) * 3
    config.mesh.data, config.mesh.group = 1, group
    arch = make_arch(classes=len(names), **fields)
    params = draw_params(arch)
    params["fc8"]["kernel"] *= 0.02  # so that no probability is 0 or 1
    mesh = sharding.make_mesh(config.mesh, arch.columns, 1)
    params = jax.device_put(params, sharding.placed(mesh, sharding.param_specs(params)))
    state = NetState(np.int32(7), params, {})
    return Restored(workdir, config, arch, mesh, state, DatasetInfo(names, names))


def picture(seed: int) -> np.ndarray:
    """Return a picture, (FULL, FULL, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (FULL, FULL, 3)).astype(np.uint8)


def pictures(net: Restored, files: list[pathlib.Path]) -> list:
    """Return `content.picture` of one picture for each of these names."""
    look = activations.looker(net)
    each = [(path, picture(seed)) for seed, path in enumerate(files)]
    return [content.picture(net, path, pixels, look(pixels)) for path, pixels in each]


class Training:
    """Drawn training images, as a PreparedDataset gives them; image k is `picture(100 + k)`."""

    def num_examples(self, split: str) -> int:
        """Return how many there are."""
        return {"train": 23}[split]

    def read(self, split: str, indices) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels, from 9 down to 0 and again."""
        assert split == "train"
        return np.stack([picture(100 + k) for k in indices]), 9 - np.asarray(indices) % 10


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """Return the array that `pack` was given, as float32 after rounding."""
    raw = gzip.decompress(base64.b64decode(packed["data"]))
    planes = np.frombuffer(raw, np.uint8).reshape(2, -1)
    halves = np.ascontiguousarray(planes.T).view("<f2").astype(np.float32)
    return (halves * np.float32(packed["scale"])).reshape(packed["shape"])
