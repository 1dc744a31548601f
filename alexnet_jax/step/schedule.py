"""Epochs of a run, and its learning rates: the schedule, the layers' own factors, the plateau."""

import dataclasses
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict
from optax.contrib import ReduceLROnPlateauState, reduce_on_plateau

from alexnet_jax.step.optimizer import LearningRates


@dataclasses.dataclass(frozen=True)
class Epochs:
    """How far a step is in a run.

    Attributes:
      images: of the training split.
      batch_size: of a step.
      epochs: of the whole run.
      every: epochs from one validation to the next.
    """

    images: int
    batch_size: int
    epochs: int
    every: int

    @property
    def steps(self) -> int:
        """The steps of the whole run."""
        return self.end(self.epochs)

    def end(self, epoch: int) -> int:
        """Return the step that ends this many epochs."""
        return math.ceil(epoch * self.images / self.batch_size)

    def done(self, step: int) -> int:
        """Return the epochs that this many steps have ended."""
        return step * self.batch_size // self.images

    def passed(self, step: int) -> float:
        """Return the epochs that this many steps are, to four digits."""
        return round(step * self.batch_size / self.images, 4)

    def validates(self, step: int) -> bool:
        """Whether a validation follows this step: an epoch has just ended, or the run."""
        epoch = self.done(step)
        wanted = epoch % self.every == 0 or step == self.steps
        return step > 0 and wanted and step == self.end(epoch)


def learning_rates(
    config: ConfigDict,
    layers: Iterable[str],
    *,
    step: int,
    epoch: int,
    steps: int,
    plateau: ReduceLROnPlateauState,
) -> LearningRates:
    """Return the learning rates of the update that follows `step` finished ones, as floats.

    A layer's factor is that of the row of schedule.layers with the latest epoch that has come; a
    norm goes with its convolution. Biases follow it and the schedule, unless
    optimizer.bias_drops is off; where the factor is 0 they stand still all the same.

    Args:
      config: the run's.
      layers: names of what has parameters.
      step: updates done.
      epoch: epochs done.
      steps: updates of the whole run.
      plateau: state after the last validation.
    """
    options, schedule = config.optimizer, config.schedule
    drop = _drop(schedule, step=step, epoch=epoch, steps=steps, plateau=plateau)
    base, bias = options.learning_rate * drop, options.bias_learning_rate or options.learning_rate
    factors = {layer: _layer_factor(schedule.layers, layer, epoch) for layer in layers}
    return LearningRates(
        base=base,
        weights={layer: base * factor for layer, factor in factors.items()},
        biases={
            layer: bias * drop * factor if options.bias_drops else bias * (factor > 0)
            for layer, factor in factors.items()
        },
    )


def _layer_factor(rows: Iterable, layer: str, epoch: int) -> float:
    owner = f"conv{layer[4:]}" if layer.startswith("norm") else layer
    come = [row for row in rows if row[0] == owner and row[1] <= epoch]
    return sorted(come, key=lambda row: row[1])[-1][2] if come else 1.0


def _drop(schedule: ConfigDict, *, step: int, epoch: int, steps: int, plateau) -> float:
    """Return the rate now over the first rate."""
    if schedule.kind == "plateau":
        return float(plateau.scale)
    if schedule.kind == "epochs":
        return schedule.factor ** sum(epoch >= end for end in schedule.epochs)
    # dexp, lr.cu: N equal stretches, geometrically spaced.
    stretch = min(step * schedule.dexp_steps // steps, schedule.dexp_steps - 1)
    return schedule.dexp_factor ** (-stretch / max(1, schedule.dexp_steps - 1))


def make_plateau(schedule: ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Return optax's plateau for config.schedule; to be updated once for each validation."""
    return reduce_on_plateau(
        factor=schedule.factor,
        patience=schedule.patience,
        rtol=schedule.min_improvement,
        min_scale=schedule.factor**schedule.drops,
    )


def after_validation(plateau, state: ReduceLROnPlateauState, error: float):
    """Return the plateau's state after one more validation error."""
    with jax.numpy_dtype_promotion("standard"):  # optax adds its int32 counts to float32
        _, state = plateau.update(jnp.zeros(()), state, value=jnp.asarray(error, jnp.float32))
    return state
