"""The first steps of a recipe: each step's loss, and when it has left ln(classes) for good."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from ml_collections import ConfigDict

from alexnet_jax import sharding, spec
from alexnet_jax.data import augment
from alexnet_jax.data.loader import train_batches
from alexnet_jax.data.prepare import prepare
from alexnet_jax.train_step import create_state, make_train_step

WINDOW = 10  # steps in a mean
LEFT = 0.98  # of ln(classes)


def losses(config: ConfigDict, steps: int) -> Iterator[tuple[float, float]]:
    """Yield the loss of each step and ln(classes), at the first rates."""
    dataset = prepare(config.data)
    net = spec.resolve(config.model, len(dataset.class_names))
    mesh = sharding.make_mesh(config.mesh, net.columns, config.batch_size)
    state = create_state(config, net, mesh)
    step = make_train_step(config, net, mesh)
    consts = augment.constants(dataset.statistics, config.data)
    batches = train_batches(
        dataset, batch_size=config.batch_size, seed=config.seed, start_step=0, steps=steps
    )
    for batch in batches:
        state, loss = step(state, sharding.put_batch(mesh, batch), consts)
        yield float(loss), math.log(net.classes)


def windows(found: Iterator[tuple[float, float]]) -> Iterator[dict[str, float]]:
    """Yield {"step", "loss", "chance"} for the mean of each WINDOW steps."""
    seen = []
    for step, (loss, chance) in enumerate(found, start=1):
        seen.append(loss)
        if step % WINDOW == 0:
            mean = round(float(np.mean(seen[-WINDOW:])), 5)
            yield {"step": step, "loss": mean, "chance": chance}


def left_at(lines: Sequence[dict[str, float]]) -> float | None:
    """Return the first step from which every mean is below LEFT of chance, or None."""
    below = [line["loss"] < LEFT * line["chance"] for line in lines]
    first = next((i for i in range(len(below)) if all(below[i:])), None)
    return None if first is None else lines[first]["step"]
