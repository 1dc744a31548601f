"""A trained net from its run's folder, for everything that comes after training."""

import dataclasses
import pathlib
import re

from jax.sharding import Mesh
from ml_collections import ConfigDict

from alexnet_jax import sharding, spec
from alexnet_jax.checkpoint import Checkpoints
from alexnet_jax.config import check, fingerprint
from alexnet_jax.data.prepare import prepare
from alexnet_jax.data.prepared import PreparedDataset
from alexnet_jax.errors import CheckpointError, DataError
from alexnet_jax.run_folder import mean_file, read_config
from alexnet_jax.train_step import TrainState, abstract_state


@dataclasses.dataclass(frozen=True)
class SavedRun:
    """A run's config, net, saved state, the mesh that the state lives on, and its data."""

    config: ConfigDict
    net: spec.Spec
    mesh: Mesh
    state: TrainState
    dataset: PreparedDataset


OF_THE_DATA = ("image", "centre", "channel")  # means that the training set decides


def load(workdir: pathlib.Path, checkpoint: str | int = "best", data_dir: str = "") -> SavedRun:
    """Return the run in `workdir` as its checkpoint (best, latest or a step) has it.

    Args:
      workdir: the run's folder.
      checkpoint: best, latest or a step.
      data_dir: a folder of images to take in place of the run's own, less the run's mean; "": its
        own.

    Raises:
      CheckpointError: no run, or no such checkpoint.
      ConfigError: another version of the program wrote it.
      DataError: its data is gone.
    """
    config = read_config(workdir)
    check(config)
    config.data.mean_file = mean_file(workdir, config)
    sharding.split_cpu(config.mesh)
    dataset = _dataset(config.data, data_dir)
    net = spec.resolve(config.model, len(dataset.class_names))
    mesh = sharding.make_mesh(config.mesh, net.columns, config.batch_size)
    folder = (workdir, fingerprint(config), config.checkpoint.dir)
    with Checkpoints(*folder, read_only=True) as checkpoints:
        state = checkpoints.restore(abstract_state(config, net, mesh), checkpoint)
    if state is None:
        raise CheckpointError(f"{workdir} has no checkpoint yet: train it first")
    return SavedRun(config, net, mesh, state, dataset)


def _dataset(data: ConfigDict, data_dir: str) -> PreparedDataset:
    if not data_dir:
        try:
            return prepare(data)
        except DataError as error:
            if data.dir or data.builder == "shapes":
                raise
            # Weights that were imported came without images.
            raise DataError(f"{error}, or for this evaluation give --data_dir") from error
    statistics = prepare(data).statistics if data.mean in OF_THE_DATA else None
    data.dir = data_dir
    data.builder = "ilsvrc" if _is_ilsvrc(pathlib.Path(data_dir)) else "image_folder"
    dataset = prepare(data)
    dataset.statistics = statistics or dataset.statistics
    return dataset


def _is_ilsvrc(folder: pathlib.Path) -> bool:
    """Whether a folder holds the archives of ILSVRC, or its classes by their wnids."""
    classes = folder / "train"
    if not classes.is_dir():
        return any(folder.glob("*.tar"))
    names = [path.name for path in classes.iterdir() if not path.name.startswith(".")]
    return bool(names) and all(re.match(r"n\d{8}(\.tar)?$", name) for name in names)
