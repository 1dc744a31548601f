"""The paper's update, with a learning rate for each layer's weights and another for its biases.

Paper 5: v <- 0.9 v - 0.0005 lr w - lr g; w <- w + v. The rate is inside the velocity: after a
drop, v still holds steps of the old rate. PyTorch's SGD puts the rate outside, so the two differ
after a drop.

Where a rate is 0, neither the parameter nor its velocity changes, as in the released program
(weights.cu:148).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from alexnet_jax.config_fields import Optimizer, check_section


class LearningRates(NamedTuple):
    """The learning rates of one update: floats on the host, () float32 in the state."""

    base: Any  # of the weights, before a layer's factor; this one is logged
    weights: dict[str, Any]  # layer -> rate of its kernel
    biases: dict[str, Any]  # layer -> rate of its other parameters


class OptimizerState(NamedTuple):
    """What the update keeps between steps. A checkpoint has the fields under these names."""

    rates: LearningRates
    velocity: Any  # like the parameters


def make_optimizer(options: ConfigDict) -> optax.GradientTransformation:
    """Return the update of config.optimizer; its state, an `OptimizerState`, holds the rates.

    decay_form "velocity" is the paper's; "decoupled" subtracts lr * weight_decay * w from the
    weights, outside the velocity (SGDW). rate_form "inside" is the paper's; "outside":
    v <- m v + g + decay w; w <- w - lr v.

    Raises:
      ConfigError: a value that config.optimizer cannot have.
    """
    check_section(Optimizer(), options, "optimizer")
    return optax.GradientTransformation(
        functools.partial(_initial, options), functools.partial(_update, options)
    )


def _initial(options: ConfigDict, params) -> OptimizerState:
    start = options.learning_rate
    rates = LearningRates(
        base=start,
        weights=dict.fromkeys(params, start),
        biases=dict.fromkeys(params, options.bias_learning_rate or start),
    )
    return OptimizerState(
        rates=jax.tree.map(lambda rate: jnp.asarray(rate, jnp.float32), rates),
        velocity=jax.tree.map(jnp.zeros_like, params),
    )


def _update(options: ConfigDict, grads, state: OptimizerState, params):
    """Return what is added to the parameters, and the new state."""
    inside, decoupled = options.rate_form == "inside", options.decay_form == "decoupled"
    lr, decay = _learning_rate_tree(state.rates, params), _weight_decay_tree(options, params)
    if not decoupled:
        grads = jax.tree.map(lambda g, d, w: g + d * w if d else g, grads, decay, params)
    velocity, _ = optax.trace(options.momentum).update(
        _downhill(lr, grads) if inside else grads, optax.TraceState(state.velocity)
    )
    velocity = _where_learning(lr, velocity, state.velocity)
    steps = velocity if inside else _downhill(lr, velocity)
    if decoupled:
        steps = jax.tree.map(
            lambda step, d, w, lr: step - lr * (d * w) if d else step, steps, decay, params, lr
        )
    steps = _where_learning(lr, steps, jax.tree.map(jnp.zeros_like, params))
    return steps, state._replace(velocity=velocity)


def _learning_rate_tree(rates: LearningRates, params):
    """Return the learning rate of each parameter."""

    def of(path, _):
        return (rates.weights if path[-1].key == "kernel" else rates.biases)[path[0].key]

    return jax.tree_util.tree_map_with_path(of, params)


def _weight_decay_tree(options: ConfigDict, params):
    """Return the weight decay of each parameter: a kernel's (layer.cu:565), 0 for all others.

    With decay_biases all parameters have it, as in PyTorch.
    """
    of_a_layer = dict(options.layer_weight_decay)

    def of(path, _):
        if path[-1].key == "kernel" or options.decay_biases:
            return of_a_layer.get(path[0].key, options.weight_decay)
        return 0.0

    return jax.tree_util.tree_map_with_path(of, params)


def _downhill(lr, x):
    return jax.tree.map(lambda lr, x: -lr * x, lr, x)


def _where_learning(lr, new, old):
    return jax.tree.map(lambda lr, new, old: jnp.where(lr > 0, new, old), lr, new, old)
