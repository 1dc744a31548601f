"""The weights of a run, from its folder; its data need not be there, if its mean is."""

import json
import pathlib

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from alexnet_jax.data.input.pixel_stats import OF_THE_DATA
from alexnet_jax.errors import WeightsError
from alexnet_jax.net import architecture
from alexnet_jax.run import dataset_info
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.config import check, fingerprint
from alexnet_jax.run.folder import data_of, read_config
from alexnet_jax.step.state import NetState, abstract_net
from alexnet_jax.system import sharding
from alexnet_jax.weights import layout
from alexnet_jax.weights.weights import CENTRE, MEAN_OF, Weights, checked


def read_run(
    workdir: pathlib.Path,
    checkpoint: str | int = "best",
    mesh: Mesh | None = None,
    *,
    with_mean: bool = True,
) -> Weights:
    """Return the weights in a run's folder.

    Args:
      workdir: the folder.
      checkpoint: best, latest, or a step.
      mesh: the devices that read; all processes of a mesh must call. None: one device.
      with_mean: whether the mean is needed; else it is None where it is gone.

    Raises:
      CheckpointError: no run, or no such checkpoint.
      DataError: the mean or the number of classes is that of the run's data, which are gone.
      WeightsError: the weights are not finite numbers.
    """
    config = read_config(workdir)
    check(config)
    known = dataset_info.read(workdir, config.data)
    pixel_stats = None
    if known.statistics is not None or with_mean or config.data.mean not in OF_THE_DATA:
        pixel_stats = known.pixel_stats(data_of(workdir, config))
    arch = known.arch(config.model)
    if mesh is None:
        one = ConfigDict({"data": 1, "group": 1})
        mesh = sharding.make_mesh(one, arch.columns, 1, jax.devices()[:1])
    state = _restored(workdir, config, arch, mesh, checkpoint)
    tensors = layout.to_torch(arch, *jax.tree.map(np.asarray, (state.params, state.batch_stats)))
    extra = {"step": str(int(state.step))}
    if pixel_stats is not None and "centre_mean" in pixel_stats:
        extra[MEAN_OF] = CENTRE
    if known.class_names:
        extra["class_names"] = json.dumps(known.class_names)
    return checked(
        Weights(
            str(workdir),
            tensors,
            (arch.name,),
            model={**_set(config.model), "classes": arch.classes},
            mean=None if pixel_stats is None else _mean(pixel_stats),
            divide_by=tuple(config.data.divide_by),
            extra=extra,
        )
    )


def _restored(
    workdir: pathlib.Path,
    config: ConfigDict,
    arch: architecture.Architecture,
    mesh: Mesh,
    checkpoint: str | int,
) -> NetState:
    """Return the state of a checkpoint, whole on every device."""
    everywhere = sharding.everywhere(mesh)
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
        abstract_net(arch, mesh),
    )
    folder = (workdir, fingerprint(config), config.checkpoint.dir)
    with Checkpoints(*folder, read_only=True) as checkpoints:
        state = checkpoints.restore(like, checkpoint)
    if state is None:
        raise WeightsError(f"{workdir} has no checkpoint yet: train it first")
    return state


def _mean(pixel_stats: dict[str, np.ndarray]) -> np.ndarray:
    """Return what an image loses: (3,) where that is the same everywhere, else (256, 256, 3)."""
    mean = pixel_stats["centre_mean" if "centre_mean" in pixel_stats else "mean"]
    return mean[0, 0] if (mean == mean[0, 0]).all() else mean


def _set(section: ConfigDict) -> dict:
    """Return the fields of config.model that are set."""
    found = {}
    for name, value in section.items():
        value = _set(value) if isinstance(value, ConfigDict) else value
        if value is not None and value != {}:
            found[name] = value
    return found
