"""Evaluate a trained net: centre crop or ten views, every image exactly once.

    python -m alexnet_jax.evaluate --workdir=runs/ilsvrc2012 --views=10 --checkpoint=best

The last line is one JSON object: images, views, loss, top1_error, top5_error, images_per_second.
"""

import json
import pathlib
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
from absl import flags
from jax.sharding import Mesh
from ml_collections import ConfigDict

from alexnet_jax import command_line, metrics, sharding, spec
from alexnet_jax.checkpoint import Checkpoints
from alexnet_jax.config import fingerprint
from alexnet_jax.data import augment
from alexnet_jax.data.loader import eval_batches
from alexnet_jax.data.prepare import prepare
from alexnet_jax.data.prepared import PreparedDataset
from alexnet_jax.errors import CheckpointError
from alexnet_jax.evaluate_step import make_evaluate_step
from alexnet_jax.run_folder import read_config
from alexnet_jax.train_step import TrainState, state_shardings

SPLIT = "validation"


def evaluate(
    step: Callable, state: TrainState, batches: Iterator[dict], consts: dict, mesh: Mesh
) -> dict[str, float]:
    """Return loss, top1_error, top5_error and images of a split, and images_per_second.

    Args:
      step: what `make_evaluate_step` gave.
      state: the net's parameters.
      batches: image, label and mask, each image of the split in one of them.
      consts: what `augment.constants` gave.
      mesh: where the net lives.
    """
    begin = time.perf_counter()
    total = {name: 0.0 for name in metrics.zeros()}
    waiting = None  # one batch in flight while the host reads the next
    for batch in batches:
        sums = step(state.params, state.batch_stats, sharding.put_batch(mesh, batch), consts)
        if waiting is not None:
            _add(total, waiting)
        waiting = sums
    if waiting is not None:
        _add(total, waiting)
    seconds = time.perf_counter() - begin
    images = total["images"]
    return {
        "images": int(images),
        **metrics.means(total),
        "images_per_second": images / seconds,
    }


def _add(total: dict[str, float], sums: metrics.Sums) -> None:
    for name, value in jax.device_get(sums).items():
        total[name] += float(np.float64(value))


def batch_size_for(mesh: Mesh, asked: int) -> int:
    """Return the batch that divides over the mesh: `asked`, rounded up."""
    data = mesh.shape[sharding.DATA]
    return -(-asked // data) * data


def load(
    workdir: pathlib.Path, checkpoint: str | int = "best"
) -> tuple[ConfigDict, spec.Spec, Mesh, TrainState, PreparedDataset]:
    """Return a run's config, net, mesh, saved state and data.

    Raises:
      CheckpointError: no run, or no such checkpoint.
    """
    config = read_config(workdir)
    sharding.split_cpu(config.mesh)
    dataset = prepare(config.data)
    net = spec.resolve(config.model, len(dataset.class_names))
    mesh = sharding.make_mesh(config.mesh, net.columns, config.batch_size)
    with Checkpoints(workdir, fingerprint(config)) as checkpoints:
        state = checkpoints.restore(abstract_state(config, net, mesh), checkpoint)
    if state is None:
        raise CheckpointError(f"{workdir} has no checkpoint yet; train it first")
    return config, net, mesh, state, dataset


def abstract_state(config: ConfigDict, net: spec.Spec, mesh: Mesh) -> TrainState:
    """Return a state's shapes, dtypes and places."""
    shapes, shardings = state_shardings(config, net, mesh)
    return jax.tree.map(
        lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), shapes, shardings
    )


_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_VIEWS = flags.DEFINE_enum("views", "1", ["1", "10"], "Views of each image (paper 4.1).")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")


def main(_) -> None:
    """Evaluate the run that the flags name."""
    which = _CHECKPOINT.value
    if which not in ("best", "latest") and not which.isdigit():
        raise CheckpointError(f"--checkpoint is best, latest or a step; got {which!r}")
    config, net, mesh, state, dataset = load(pathlib.Path(_WORKDIR.value), which)
    views = int(_VIEWS.value)
    batches = eval_batches(
        dataset,
        SPLIT,
        batch_size=batch_size_for(mesh, config.evaluate.batch_size),
        workers=config.data.workers,
    )
    consts = augment.constants(dataset.statistics, config.data)
    step = make_evaluate_step(net, mesh, views)
    found = evaluate(step, state, batches, consts, mesh)
    print(json.dumps({"images": found.pop("images"), "views": views, **found}))


if __name__ == "__main__":
    command_line.run(main)
