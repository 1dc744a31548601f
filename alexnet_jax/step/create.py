"""The state of a run before its first step."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from alexnet_jax.net.architecture import Architecture
from alexnet_jax.step import metrics
from alexnet_jax.step.optimizer import make_optimizer
from alexnet_jax.step.schedule import make_plateau
from alexnet_jax.step.state import TrainState, initial_net, shardings_of, specs_of, with_shardings
from alexnet_jax.system.random_streams import root_key, stream
from alexnet_jax.system.sharding import FAST_COMPILE


def initial_state(config: ConfigDict, arch: Architecture) -> TrainState:
    """Return the state before the first step; to be traced by `create_state`."""
    key = root_key(config.seed)
    net = initial_net(arch, stream(key, "init"))
    return TrainState(
        step=net.step,
        params=net.params,
        batch_stats=net.batch_stats,
        opt_state=make_optimizer(config.optimizer).init(net.params),
        plateau=make_plateau(config.schedule).init(jnp.zeros(())),
        key=key,
        window=metrics.zeros(),
        validated=jnp.full((), -1, jnp.int32),
        bad_step=jnp.full((), -1, jnp.int32),
    )


def abstract_state(config: ConfigDict, arch: Architecture, mesh: Mesh) -> TrainState:
    """Return a state's shapes, dtypes and shardings: columns over "group"."""
    shapes = jax.eval_shape(lambda: initial_state(config, arch))
    specs = specs_of(shapes)
    opt_state = specs.opt_state._replace(velocity=specs.params)
    return with_shardings(shapes, mesh, dataclasses.replace(specs, opt_state=opt_state))


def create_state(config: ConfigDict, arch: Architecture, mesh: Mesh) -> TrainState:
    """Draw the initial state on the devices of the mesh; it has the same bits on any mesh."""
    draw = jax.jit(
        lambda: initial_state(config, arch),
        out_shardings=shardings_of(abstract_state(config, arch, mesh)),
        compiler_options=FAST_COMPILE,
    )
    return draw()
