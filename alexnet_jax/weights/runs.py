"""The weights in a run's folder."""

import contextlib
import json
import pathlib

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from alexnet_jax.errors import DataError
from alexnet_jax.run.restore import restore
from alexnet_jax.system import sharding
from alexnet_jax.weights import layout
from alexnet_jax.weights.container import CENTRE, MEAN_OF, SQUARES, Weights, checked


def read_run(
    workdir: pathlib.Path,
    checkpoint: str | int = "best",
    mesh: Mesh | None = None,
    *,
    with_mean: bool = True,
) -> Weights:
    """Return the weights in a run's folder.

    Args:
      checkpoint: best, latest, or a step.
      mesh: the devices that read; all of its processes must call this. None: one device.
      with_mean: whether the mean is needed. If not, it may be None, if the data are gone.

    Raises:
      CheckpointError: there is no run, or no such checkpoint.
      DataError: the mean or the number of classes is that of the run's data, and they are gone.
      WeightsError: a weight is not a finite number.
    """
    mesh = mesh or sharding.one_device()
    restored = restore(workdir, checkpoint, mesh)
    config, arch, state = restored.config, restored.arch, restored.state
    pixel_stats = None
    with contextlib.nullcontext() if with_mean else contextlib.suppress(DataError):
        pixel_stats = restored.pixel_stats
    numbers = jax.tree.map(lambda x: sharding.whole(mesh, x), (state.params, state.batch_stats))
    extra = {"step": str(int(state.step)), **{name: config.data[name] for name in SQUARES}}
    if pixel_stats is not None and "centre_mean" in pixel_stats:
        extra[MEAN_OF] = CENTRE
    if names := restored.dataset_info.class_names:
        extra["class_names"] = json.dumps(names)
    return checked(
        Weights(
            str(workdir),
            layout.to_torch(arch, *numbers),
            (arch.name,),
            model={**_set(config.model), "classes": arch.classes},
            size=config.data.size,
            mean=None if pixel_stats is None else _mean(pixel_stats),
            divide_by=tuple(config.data.divide_by),
            extra=extra,
        )
    )


def _mean(pixel_stats: dict[str, np.ndarray]) -> np.ndarray:
    """Return the mean to subtract: (3,) where all pixels have the same, else (size, size, 3)."""
    mean = pixel_stats["centre_mean" if "centre_mean" in pixel_stats else "mean"]
    return mean[0, 0] if (mean == mean[0, 0]).all() else mean


def _set(section: ConfigDict) -> dict:
    """Return the fields of config.model that are set."""
    fields = {}
    for name, value in section.items():
        value = _set(value) if isinstance(value, ConfigDict) else value
        if value is not None and value != {}:
            fields[name] = value
    return fields
