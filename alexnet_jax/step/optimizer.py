"""The paper's update, with a rate for each layer's weights and another for its biases.

Paper 5: v <- 0.9 v - 0.0005 lr w - lr g; w <- w + v. The rate is inside the velocity: after a
drop, v still holds steps of the old rate. PyTorch's SGD puts the rate outside and then differs.

What has a rate of 0 is left alone altogether, as in the released program (weights.cu:148).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

from alexnet_jax.config_fields import Optimizer, check_section


class LearningRates(NamedTuple):
    """The rates of one update: floats on the host, () float32 in the state."""

    base: Any  # that of the weights, without a layer's own factor: the one in the log
    weights: dict[str, Any]  # layer -> rate of its kernel
    biases: dict[str, Any]  # layer -> rate of all else that it learns


class OptimizerState(NamedTuple):
    """What the update keeps between steps."""

    rates: LearningRates
    velocity: Any  # like the parameters


def make_optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """Return the update of config.optimizer; its state, an `OptimizerState`, holds the rates.

    decay_form "velocity" is the paper's; "decoupled" takes lr * weight_decay * w off outside the
    velocity (SGDW). rate_form "inside" is the paper's; "outside": v <- m v + g + decay w;
    w <- w - lr v. Where a rate is 0, neither the parameter nor its velocity moves.

    Raises:
      ConfigError: a value that config.optimizer cannot have.
    """
    check_section(Optimizer(), config, "optimizer")

    def init(params) -> OptimizerState:
        start = config.learning_rate
        rates = LearningRates(
            base=start,
            weights=dict.fromkeys(params, start),
            biases=dict.fromkeys(params, config.bias_learning_rate or start),
        )
        return OptimizerState(
            rates=jax.tree.map(lambda rate: jnp.asarray(rate, jnp.float32), rates),
            velocity=jax.tree.map(jnp.zeros_like, params),
        )

    def update(grads, state: OptimizerState, params):
        leaves, tree = jax.tree_util.tree_flatten_with_path(params)
        moves = [
            _move(config, _names(path), state.rates, w, v, g)
            for (path, w), v, g in zip(
                leaves, jax.tree.leaves(state.velocity), jax.tree.leaves(grads), strict=True
            )
        ]
        steps, velocity = (jax.tree.unflatten(tree, part) for part in zip(*moves, strict=True))
        return steps, state._replace(velocity=velocity)

    return optax.GradientTransformation(init, update)


def _names(path) -> tuple[str, str]:
    """Return layer and name of a parameter."""
    return path[0].key, path[-1].key


def _move(
    config: ConfigDict, names: tuple[str, str], rates: LearningRates, w: Array, v: Array, g: Array
) -> tuple[Array, Array]:
    """Return what is added to one parameter, and its new velocity."""
    layer, is_weights = names[0], names[1] == "kernel"
    lr = (rates.weights if is_weights else rates.biases)[layer]
    # Biases and the scales of norms do not decay (layer.cu:565), but in PyTorch.
    decay = config.weight_decay if is_weights or config.decay_biases else 0.0
    decoupled = config.decay_form == "decoupled"
    pull = g + decay * w if decay and not decoupled else g
    inside = config.rate_form == "inside"
    learns = lr > 0
    # The step is made of the velocity that is kept, so that w, v and g are read once.
    velocity = jnp.where(learns, config.momentum * v + (-lr * pull if inside else pull), v)
    step = velocity if inside else -lr * velocity
    if decay and decoupled:
        step = step - lr * (decay * w)
    return jnp.where(learns, step, jnp.zeros_like(step)), velocity


def with_learning_rates(state: OptimizerState, rates: LearningRates) -> OptimizerState:
    """Return the state with its rates replaced; each () float32, where the old ones are."""
    return state._replace(rates=rates)
