"""A trained net from its run's folder, for everything that comes after training."""

import dataclasses
import pathlib

from jax.sharding import Mesh
from ml_collections import ConfigDict

from alexnet_jax import sharding, spec
from alexnet_jax.checkpoint import Checkpoints
from alexnet_jax.config import fingerprint
from alexnet_jax.data.prepare import prepare
from alexnet_jax.data.prepared import PreparedDataset
from alexnet_jax.errors import CheckpointError
from alexnet_jax.run_folder import read_config
from alexnet_jax.train_step import TrainState, abstract_state


@dataclasses.dataclass(frozen=True)
class SavedRun:
    """A run's config, net, saved state, the mesh that the state lives on, and its data."""

    config: ConfigDict
    net: spec.Spec
    mesh: Mesh
    state: TrainState
    dataset: PreparedDataset


def load(workdir: pathlib.Path, checkpoint: str | int = "best") -> SavedRun:
    """Return the run in `workdir` as its checkpoint (best, latest or a step) has it.

    Raises:
      CheckpointError: no run, or no such checkpoint.
      DataError: its data is gone.
    """
    config = read_config(workdir)
    sharding.split_cpu(config.mesh)
    dataset = prepare(config.data)
    net = spec.resolve(config.model, len(dataset.class_names))
    mesh = sharding.make_mesh(config.mesh, net.columns, config.batch_size)
    with Checkpoints(workdir, fingerprint(config), config.checkpoint.dir) as checkpoints:
        state = checkpoints.restore(abstract_state(config, net, mesh), checkpoint)
    if state is None:
        raise CheckpointError(f"{workdir} has no checkpoint yet: train it first")
    return SavedRun(config, net, mesh, state, dataset)
