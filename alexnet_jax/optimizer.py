"""The paper's update as an optax chain, and the plateau that divides its rate.

Paper 5: v <- 0.9 v - 0.0005 lr w - lr g; w <- w + v. The rate is inside the velocity: after a
drop, v still holds steps of the old rate. optax.sgd puts the rate outside and then differs.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict
from optax.contrib import ReduceLROnPlateauState, reduce_on_plateau

from alexnet_jax.errors import ConfigError


def make_optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """Return the update of config.optimizer; its state holds the learning rate.

    decay_form "velocity" is the paper's; "decoupled" takes lr * weight_decay * w off outside the
    velocity (SGDW).
    """
    if config.decay_form not in ("velocity", "decoupled"):
        raise ConfigError(
            f"optimizer.decay_form is velocity or decoupled; got {config.decay_form!r}"
        )

    def chain(learning_rate) -> optax.GradientTransformation:
        decay = optax.add_decayed_weights(config.weight_decay, mask=decays)
        rate = optax.scale_by_learning_rate(learning_rate)
        momentum = optax.trace(decay=config.momentum)
        if config.decay_form == "velocity":
            return optax.chain(decay, rate, momentum)
        shrink = optax.chain(decay, rate)
        return optax.chain(rate, momentum, _add_to_updates(shrink))

    return optax.inject_hyperparams(chain)(learning_rate=config.learning_rate)


def decays(params):
    """Return True for each kernel: biases and the scales of norms never decay."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: getattr(path[-1], "key", None) == "kernel", params
    )


def _add_to_updates(shrink: optax.GradientTransformation) -> optax.GradientTransformation:
    """Add what `shrink` makes of zero updates: the weights' own decay."""

    def update(updates, state, params=None):
        zeros = jax.tree.map(jnp.zeros_like, updates)
        own, state = shrink.update(zeros, state, params)
        return jax.tree.map(jnp.add, updates, own), state

    return optax.GradientTransformation(shrink.init, update)


def with_learning_rate(opt_state, rate: jax.Array):
    """Return opt_state with its learning rate replaced; rate: () float32, where the old one is."""
    return opt_state._replace(hyperparams={**opt_state.hyperparams, "learning_rate": rate})


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


def learning_rate(
    config: ConfigDict, *, step: int, epoch: int, steps: int, plateau: ReduceLROnPlateauState
) -> float:
    """Return the rate of the update that follows `step` finished ones.

    Args:
      config: the run's.
      step: updates done.
      epoch: epochs done.
      steps: updates of the whole run.
      plateau: state after the last validation.
    """
    base, schedule = config.optimizer.learning_rate, config.schedule
    if schedule.kind == "plateau":
        return base * float(plateau.scale)
    if schedule.kind == "epochs":
        return base * schedule.factor ** sum(epoch >= end for end in schedule.epochs)
    if schedule.kind == "dexp":  # lr.cu: N equal stretches, geometrically spaced
        stretch = min(step * schedule.dexp_steps // steps, schedule.dexp_steps - 1)
        return base * schedule.dexp_factor ** (-stretch / max(1, schedule.dexp_steps - 1))
    raise ConfigError(f"schedule.kind is plateau, epochs or dexp; got {schedule.kind!r}")
