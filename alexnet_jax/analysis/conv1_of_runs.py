"""Read the first layer's kernels of a run, at a checkpoint or before the first step."""

import pathlib
from typing import NamedTuple

import jax
import numpy as np

from alexnet_jax.net import resolving
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.config import check, fingerprint
from alexnet_jax.run.folder import read_config
from alexnet_jax.step.state import initial_net
from alexnet_jax.system.random_streams import root_key, stream
from alexnet_jax.system.sharding import FAST_COMPILE
from alexnet_jax.weights.runs import read_run


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
    weights = read_run(workdir, checkpoint, with_mean=False)
    columns = resolving.resolve(read_config(workdir).model).columns
    kernels = weights.tensors["conv1.weight"]  # (columns x channels, 3, kh, kw)
    kernels = kernels.reshape(columns, -1, *kernels.shape[1:]).transpose(0, 3, 4, 2, 1)
    return Kernels(int(weights.extra["step"]), _on_pixels(kernels, weights.divide_by))


def initial_kernels(workdir: pathlib.Path) -> Kernels | None:
    """Return the kernels before the first step; None if the run started from other weights."""
    config = read_config(workdir)
    check(config)
    if config.init_from:
        return None
    # conv1 does not depend on the number of classes.
    arch = resolving.resolve(config.model, config.model.classes or 2)

    def draw():
        key = stream(root_key(config.seed), "init")
        return initial_net(arch, key).params["conv1"]["kernel"]

    kernels = np.asarray(jax.jit(draw, compiler_options=FAST_COMPILE)())
    return Kernels(0, _on_pixels(kernels, tuple(config.data.divide_by)))


def _on_pixels(kernels: np.ndarray, divide_by: tuple[float, ...]) -> np.ndarray:
    """Return kernels (columns, kh, kw, 3, channels) that include the division of the input."""
    return kernels / np.asarray(divide_by, np.float32)[None, None, None, :, None]
