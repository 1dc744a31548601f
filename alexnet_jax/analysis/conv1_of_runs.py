"""Read the first layer's kernels of a run, at a checkpoint or before the first step."""

import pathlib
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.net import resolving
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.config import fingerprint
from alexnet_jax.run.folder import read_config
from alexnet_jax.run.restore import restore
from alexnet_jax.step.state import initial_net
from alexnet_jax.system import sharding
from alexnet_jax.system.random_streams import root_key, stream


class Kernels(NamedTuple):
    """conv1's kernels, (columns, kh, kw, 3, channels) float32, as they act on RGB 0-255."""

    step: int
    values: np.ndarray


def checkpoint_steps(workdir: pathlib.Path) -> list[int]:
    """Return the steps of a run's checkpoints, oldest first."""
    config = read_config(workdir)
    folder = (workdir, fingerprint(config), config.checkpoint.dir)
    with Checkpoints(*folder, read_only=True) as checkpoints:
        return checkpoints.steps()


def read_kernels(workdir: pathlib.Path, checkpoint: str | int) -> Kernels:
    """Return the kernels of a checkpoint.

    Raises:
      CheckpointError: there is no run, or no such checkpoint.
      DataError: the data determine the number of classes, and they are gone.
    """
    restored = restore(workdir, checkpoint, sharding.one_device())
    kernels = np.asarray(restored.state.params["conv1"]["kernel"])
    return Kernels(int(restored.state.step), _on_pixels(kernels, restored.config))


def initial_kernels(workdir: pathlib.Path) -> Kernels | None:
    """Return the kernels before the first step; None if the run started from other weights."""
    config = read_config(workdir)
    if config.init_from:
        return None
    # conv1 does not depend on the number of classes.
    arch = resolving.resolve(config.model, config.model.classes or 2)

    def draw():
        key = stream(root_key(config.seed), "init")
        return initial_net(arch, key).params["conv1"]["kernel"]

    kernels = np.asarray(jax.jit(draw, compiler_options=sharding.FAST_COMPILE)())
    return Kernels(0, _on_pixels(kernels, config))


def _on_pixels(kernels: np.ndarray, config: ConfigDict) -> np.ndarray:
    """Return kernels (columns, kh, kw, 3, channels) that include the division of the input."""
    return kernels / np.asarray(config.data.divide_by, np.float32)[:, None]
