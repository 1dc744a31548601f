"""The state of a run between two steps. Prediction needs only its first part, `NetState`."""

import dataclasses
from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from alexnet_jax.net.alexnet import AlexNet
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.parameters import params_of, stats_of
from alexnet_jax.system.random_streams import root_key
from alexnet_jax.system.sharding import param_specs, placed

if TYPE_CHECKING:  # prediction loads no optimizer
    from optax import OptState

    from alexnet_jax.step.metrics import Sums
    from alexnet_jax.step.optimizer import OptimizerState


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NetState:
    """The arrays of a net; in a `TrainState`, which has more, they are the first leaves."""

    step: Array  # updates done, int32
    params: dict  # layer -> {kernel, bias}, columns first, float32
    batch_stats: dict  # running statistics of batch normalization; empty for other norms


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState(NetState):
    """Everything that changes while a run trains; a checkpoint holds all of it.

    The order of images, the crops and the masks are functions of key and step, so the step is the
    position in the data too.
    """

    opt_state: "OptimizerState"  # learning rates, velocity
    plateau: "OptState"  # of optax's reduce_on_plateau, which follows the validation error
    key: Array  # root of all random streams, typed
    window: "Sums"  # training sums since the last line of the log
    validated: Array  # step of the last validation, int32; -1: none
    bad_step: Array  # first step whose loss was not finite, int32; -1: none


State = TypeVar("State", bound=NetState)


def initial_net(arch: Architecture, key: Array) -> NetState:
    """Return a net before its first step; `key` is the stream of its initial values."""
    net = AlexNet(arch, key=key)
    return NetState(
        step=jnp.zeros((), jnp.int32),
        params=params_of(net),
        batch_stats=stats_of(net),
    )


def abstract_net(arch: Architecture, mesh: Mesh) -> NetState:
    """Return a net's shapes, dtypes and shardings: columns over "group"."""
    shapes = jax.eval_shape(lambda: initial_net(arch, root_key(0)))
    return with_shardings(shapes, mesh, specs_of(shapes))


def specs_of(state: State) -> State:
    """Return PartitionSpecs for a state: columns over "group", the rest everywhere."""
    return dataclasses.replace(
        jax.tree.map(lambda _: P(), state),
        params=param_specs(state.params),
        batch_stats=param_specs(state.batch_stats),
    )


def with_shardings(shapes: State, mesh: Mesh, specs: State) -> State:
    """Return shapes, dtypes and shardings, as `jax.ShapeDtypeStruct`."""
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        *(shapes, placed(mesh, specs)),
    )


def shardings_of(state: State) -> State:
    """Return the sharding of each array."""
    return jax.tree.map(lambda x: x.sharding, state)
