"""Training on CIFAR-10, with all pictures on the device."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from alexnet_jax.step import metrics
from alexnet_jax.system import sharding
from alexnet_jax.system.sharding import FAST_COMPILE
from experiments.cifar.dataset import Split
from experiments.cifar.nets import Params, Row, initial, logits

BATCH = 128  # convnet.py: --mini
MOMENTUM = 0.9
BIAS_RATE = 2.0  # epsB over epsW in all example layers
EVALUATED = 500  # pictures at a time


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is trained; hashable, since it is compiled in."""

    net: tuple[Row, ...]
    activation: str = "relu"


@functools.partial(jax.tree_util.register_dataclass)
@dataclasses.dataclass(frozen=True)
class State:
    """The state of a run between two steps."""

    params: Params
    opt_state: Any


@functools.partial(jax.tree_util.register_dataclass)
@dataclasses.dataclass(frozen=True)
class Data:
    """A split on the device, and the mean to subtract from its pictures."""

    images: Array  # (N, 32, 32, 3) uint8
    labels: Array  # (N,) int32
    mean: Array  # (32, 32, 3) float32


def on_device(split: Split, mean: np.ndarray) -> Data:
    """Return a split on the device."""
    return Data(*map(jnp.asarray, (split.images, split.labels, mean)))


def start(recipe: Recipe, seed: int) -> State:
    """Return the state before the first step."""
    params = _initial(recipe.net, jax.random.key(seed))
    return State(params, _optimizer(recipe, jnp.zeros(())).init(params))


_initial = jax.jit(initial, static_argnums=0, compiler_options=FAST_COMPILE)


def order(seed: int, epoch: int, images: int) -> np.ndarray:
    """Return the pictures of each step of an epoch, (steps, batch) int32.

    Whole batches only: what is left over is other pictures in each epoch.
    """
    steps = images // BATCH
    places = np.random.default_rng((seed, epoch)).permutation(images)[: steps * BATCH]
    return places.reshape(steps, BATCH).astype(np.int32)


def train(
    recipe: Recipe, state: State, data: Data, places: np.ndarray, rate: float
) -> tuple[State, dict[str, float]]:
    """Do a step for each row of `places` (steps, batch), at one rate; `state` is donated.

    Returns:
      The state, and {"loss", "top1_error", "top5_error"} of the pictures as they were trained on.
    """
    ratio = jnp.float32(rate)
    if jax.default_backend() != "cpu":
        state, each = _compiled(_many_steps, donate_argnums=1)(
            recipe, state, data, jnp.asarray(places), ratio
        )
        return state, metrics.means(jax.tree.map(jnp.sum, each))
    # Inside a compiled loop a convolution takes XLA's CPU backend six times as long, and more.
    step, total = _compiled(_one_step, donate_argnums=1), metrics.zeros()
    for row in places:
        state, sums = step(recipe, state, data, jnp.asarray(row), ratio)
        total = metrics.add(total, sums)
    return state, metrics.means(total)


def _one_step(recipe: Recipe, state: State, data: Data, places: Array, rate: Array):
    def loss(params: Params):
        sums = _sums(recipe, params, data, places)
        return sums["loss"] / places.shape[0], sums

    grads, sums = jax.grad(loss, has_aux=True)(state.params)
    moves, opt_state = _optimizer(recipe, rate).update(grads, state.opt_state, state.params)
    return State(optax.apply_updates(state.params, moves), opt_state), sums


def _many_steps(recipe: Recipe, state: State, data: Data, places: Array, rate: Array):
    return lax.scan(lambda state, row: _one_step(recipe, state, data, row, rate), state, places)


def _sums(recipe: Recipe, params: Params, data: Data, places: Array) -> metrics.Sums:
    images = data.images[places].astype(jnp.float32)
    images = images - jnp.broadcast_to(data.mean, images.shape)
    log_probs = jax.nn.log_softmax(logits(recipe.net, recipe.activation, params, images))
    return metrics.sums(log_probs, data.labels[places], jnp.ones_like(log_probs[:, 0]))


@functools.cache
def _compiled(function: Callable, **jit: Any) -> Callable:
    """Return a function of a recipe, compiled as the full net's are: on a CPU 1.5 times as fast."""
    one = jax.make_mesh((1,), (sharding.DATA,), devices=jax.devices()[:1])
    options = sharding.compiler_options(one)
    return jax.jit(function, static_argnums=0, compiler_options=options, **jit)


def _optimizer(recipe: Recipe, rate: Array) -> optax.GradientTransformation:
    """Return the released program's update (weights.cu), each kernel with its own decay.

    v <- 0.9 v - rate (g + decay w); w <- w + v. The rate is inside the velocity.
    """
    decays = {row.name: {"kernel": row.decay, "bias": 0.0} for row in recipe.net}
    factors = {row.name: {"kernel": 1.0, "bias": BIAS_RATE} for row in recipe.net}

    def pull(grads, params):
        return jax.tree.map(
            lambda g, w, decay, factor: -(factor * rate) * (g + decay * w),
            *(grads, params, decays, factors),
        )

    return optax.chain(optax.stateless(pull), optax.trace(MOMENTUM))


def evaluate(recipe: Recipe, params: Params, data: Data) -> dict[str, float]:
    """Return {"loss", "top1_error", "top5_error"} over all pictures, each once."""
    places = np.arange(len(data.labels), dtype=np.int32)
    parts = np.array_split(places, max(1, len(places) // EVALUATED))
    sums, total = _compiled(_sums), metrics.zeros()
    for part in parts:
        total = metrics.add(total, sums(recipe, params, data, jnp.asarray(part)))
    return metrics.means(total)
