"""The first steps of a recipe: each step's loss, and when it has left ln(classes) for good."""

import collections
import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.input.loader import train_batches
from alexnet_jax.data.input.pixel_stats import make_pixel_stats
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.doctor import examine
from alexnet_jax.net import resolving
from alexnet_jax.step.create import create_state
from alexnet_jax.step.train_step import make_train_step
from alexnet_jax.system import sharding

WINDOW = 10  # steps in a mean
LEFT = 0.98  # of ln(classes)
ENOUGH = 5  # means in a row: no run came back after them


def losses(config: ConfigDict, steps: int) -> Iterator[tuple[float, float]]:
    """Yield the loss of each step and ln(classes), at the initial learning rates."""
    dataset = prepare(config.data)
    arch = resolving.resolve(config.model, len(dataset.class_names))
    mesh = sharding.make_mesh(config.mesh, arch.columns, config.batch_size)
    state = create_state(config, arch, mesh)
    step = make_train_step(config, arch, mesh)
    pixel_stats = make_pixel_stats(dataset.statistics, config.data)
    batches = train_batches(
        dataset, batch_size=config.batch_size, seed=config.seed, start_step=0, steps=steps
    )
    for batch in batches:
        state, loss = step(state, sharding.put_batch(mesh, batch), pixel_stats)
        yield float(loss), math.log(arch.classes)


def windows(each: Iterator[tuple[float, float]]) -> Iterator[dict[str, float]]:
    """Yield {"step", "loss", "chance"} for every WINDOW steps, with their mean loss."""
    latest: collections.deque[float] = collections.deque(maxlen=WINDOW)
    for step, (loss, chance) in enumerate(each, start=1):
        latest.append(loss)
        if step % WINDOW == 0:
            mean = round(float(np.mean(latest)), 5)
            yield {"step": step, "loss": mean, "chance": chance}


def left_at(lines: Sequence[dict[str, float]]) -> float | None:
    """Return the first step from which every mean is below LEFT * chance, or None."""
    below = [line["loss"] < LEFT * line["chance"] for line in lines]
    first = next((i for i in range(len(below)) if all(below[i:])), None)
    return None if first is None else lines[first]["step"]


def start(config: ConfigDict, steps: int) -> dict[str, Any]:
    """Return the doctor's verdict on a recipe before training, and when it then starts.

    Runs on one device, until the loss has left ln(classes) or is not finite.

    Args:
      config: the recipe.
      steps: the most to take.

    Returns:
      pull: of the labels, nats a step (alexnet_jax.doctor).
      verdict: the doctor's.
      spread: layer -> how far images differ in its output.
      left_at_step: the loss stays below LEFT * ln(classes) from here; None: not in these steps.
      steps: taken.
      loss: mean of the last WINDOW steps, nats; None: not finite.
    """
    config = copy.deepcopy(config)
    config.mesh.data = config.mesh.group = 1
    layers, classes = examine.examine(config)
    lines: list[dict[str, float]] = []
    for line in windows(losses(config, steps)):
        lines.append(line)
        left = all(one["loss"] < LEFT * one["chance"] for one in lines[-ENOUGH:])
        if (left and len(lines) > ENOUGH) or not math.isfinite(line["loss"]):
            break
    loss = lines[-1]["loss"] if lines else math.nan
    return {
        "pull": _rounded(sum(layer.pull for layer in layers.values())),
        "verdict": examine.judge(layers, classes)[0],
        "spread": {name: _rounded(layer.spread) for name, layer in layers.items()},
        "left_at_step": left_at(lines),
        "steps": lines[-1]["step"] if lines else 0,
        "loss": loss if math.isfinite(loss) else None,
    }


def _rounded(x: float) -> float | None:
    """Return x with three digits; None where it is not finite, which JSON does not have."""
    return float(f"{x:.3g}") if math.isfinite(x) else None
