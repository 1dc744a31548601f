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
      images: number of training images.
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
        """Return the number of steps after which this many epochs are done."""
        return math.ceil(epoch * self.images / self.batch_size)

    def done(self, step: int) -> int:
        """Return the number of whole epochs in this many steps."""
        return step * self.batch_size // self.images

    def passed(self, step: int) -> float:
        """Return the number of epochs in this many steps, with a fraction of four digits."""
        return round(step * self.batch_size / self.images, 4)

    def validates(self, step: int) -> bool:
        """Whether a validation follows this step, the last of the run or of a validated epoch."""
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

    A layer's factor is that of the last entry of schedule.layers whose epoch has been reached, and
    1 without one. A norm takes its convolution's. With optimizer.bias_drops off, biases ignore the
    schedule and the factor, except that a factor of 0 freezes them too.

    Args:
      layers: names of all layers and norms with parameters.
      step: updates done.
      epoch: epochs done.
      steps: updates of the whole run.
      plateau: state after the last validation.
    """
    options, schedule = config.optimizer, config.schedule
    dropped = drop(schedule, step=step, epoch=epoch, steps=steps, plateau=plateau)
    base = options.learning_rate * dropped
    bias = options.bias_learning_rate or options.learning_rate
    factors = {layer: _layer_factor(schedule.layers, layer, epoch) for layer in layers}
    return LearningRates(
        base=base,
        weights={layer: base * factor for layer, factor in factors.items()},
        biases={
            layer: bias * dropped * factor if options.bias_drops else bias * (factor > 0)
            for layer, factor in factors.items()
        },
    )


def _layer_factor(rows: Iterable, layer: str, epoch: int) -> float:
    owner = layer
    if layer.startswith("norm"):  # norm1 is conv1's, norm_conv6 is conv6's
        label = layer.removeprefix("norm")
        owner = label[1:] if label.startswith("_") else f"conv{label}"
    come = [row for row in rows if row[0] == owner and row[1] <= epoch]
    return sorted(come, key=lambda row: row[1])[-1][2] if come else 1.0


def drop(schedule: ConfigDict, *, step: int, epoch: int, steps: int, plateau) -> float:
    """Return the present learning rate as a fraction of the first one.

    Args:
      schedule: config.schedule.
      step, epoch: updates and whole epochs done.
      steps: updates of the whole run.
      plateau: state after the last validation, on the host.
    """
    if schedule.kind == "plateau":
        return float(plateau.scale)
    if schedule.kind == "epochs":
        return schedule.factor ** sum(epoch >= end for end in schedule.epochs)
    # dexp (lr.cu): equal stretches of the run, whose rates are a geometric sequence.
    stretch = min(step * schedule.dexp_steps // steps, schedule.dexp_steps - 1)
    return schedule.dexp_factor ** (-stretch / max(1, schedule.dexp_steps - 1))


def make_plateau(schedule: ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Return optax's plateau for config.schedule, to be updated once after each validation."""
    return reduce_on_plateau(
        factor=schedule.factor,
        patience=schedule.patience,
        rtol=schedule.min_improvement,
        min_scale=schedule.factor**schedule.drops,
    )


def after_validation(plateau, state: ReduceLROnPlateauState, error: float):
    """Return the plateau's state after another validation error, a fraction of the images."""
    with jax.numpy_dtype_promotion("standard"):  # optax adds its int32 counts to float32
        _, state = plateau.update(jnp.zeros(()), state, value=jnp.asarray(error, jnp.float32))
    return state
