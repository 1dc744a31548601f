"""The rates of each layer over a run: the schedule, the layers' own factors, the plateau."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict
from optax.contrib import ReduceLROnPlateauState, reduce_on_plateau

from alexnet_jax.step.optimizer import LearningRates


def rates(
    config: ConfigDict,
    layers: Iterable[str],
    *,
    step: int,
    epoch: int,
    steps: int,
    plateau: ReduceLROnPlateauState,
) -> LearningRates:
    """Return the rates of the update that follows `step` finished ones, as floats.

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
