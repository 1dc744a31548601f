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
    """The steps and epochs of a run. A batch may hold images of two epochs.

    Attributes:
      images: in the training split.
      batch_size: images of a step.
      epochs: of the whole run.
      every: epochs between two validations.
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
        """Return the step with which this many epochs end."""
        return math.ceil(epoch * self.images / self.batch_size)

    def done(self, step: int) -> int:
        """Return the number of whole epochs in this many steps."""
        return step * self.batch_size // self.images

    def passed(self, step: int) -> float:
        """Return the number of epochs in this many steps, with a fraction of four digits."""
        return round(step * self.batch_size / self.images, 4)

    def validates(self, step: int) -> bool:
        """Whether a validation follows this step, with which an epoch or the run has ended."""
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
    """Return the learning rates of the update after `step` others, as floats.

    A layer's factor is in its latest row of schedule.layers whose epoch has come; a norm has the
    factor of its convolution. Biases have the factor and the schedule too, unless
    optimizer.bias_drops is off; a factor of 0 stops them in any case.

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
    """Return the learning rate divided by the first one."""
    if schedule.kind == "plateau":
        return float(plateau.scale)
    if schedule.kind == "epochs":
        return schedule.factor ** sum(epoch >= end for end in schedule.epochs)
    # dexp, lr.cu: N equal stretches, geometrically spaced.
    stretch = min(step * schedule.dexp_steps // steps, schedule.dexp_steps - 1)
    return schedule.dexp_factor ** (-stretch / max(1, schedule.dexp_steps - 1))


def make_plateau(schedule: ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Return optax's plateau for config.schedule. Update it once for each validation."""
    return reduce_on_plateau(
        factor=schedule.factor,
        patience=schedule.patience,
        rtol=schedule.min_improvement,
        min_scale=schedule.factor**schedule.drops,
    )


def after_validation(plateau, state: ReduceLROnPlateauState, error: float):
    """Return the plateau's state after another validation error."""
    with jax.numpy_dtype_promotion("standard"):  # optax adds its int32 counts to float32
        _, state = plateau.update(jnp.zeros(()), state, value=jnp.asarray(error, jnp.float32))
    return state
