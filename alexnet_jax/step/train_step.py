"""The state of a run, the loss, and the compiled training step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array, lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from alexnet_jax.data.input import augment
from alexnet_jax.net.alexnet import AlexNet
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.step import metrics
from alexnet_jax.step.optimizer import OptimizerState, make_optimizer
from alexnet_jax.step.schedule import make_plateau
from alexnet_jax.system.random_streams import stream
from alexnet_jax.system.sharding import (
    DATA,
    batch_sharding,
    compiler_options,
    data_axis,
    group_axis,
    local_specs,
    param_specs,
    placed,
)

# For XLA, of what runs once: compiled in half the time, to the same bits.
FAST_COMPILE = {"xla_backend_optimization_level": 1}


@functools.partial(jax.tree_util.register_dataclass)
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a run is, and all that a checkpoint keeps.

    The order of images, the crops and the masks are functions of key and step, so the step is the
    position in the data too.
    """

    step: Array  # updates done, int32
    params: dict  # layer -> {kernel, bias}, columns first, float32
    batch_stats: dict  # of batch normalization; else empty
    opt_state: OptimizerState  # velocity, learning rates
    plateau: optax.OptState  # of the validation error
    key: Array  # root of all random streams, typed
    window: metrics.Sums  # training sums since the last line of the log
    validated: Array  # step of the last validation, int32; -1: none
    bad_step: Array  # first step whose loss was not finite, int32; -1: none


def graphdef_of(arch: Architecture) -> nnx.GraphDef:
    """Return the module's structure: with parameters, `nnx.merge` makes it a net again."""
    net = jax.eval_shape(lambda: AlexNet(arch, key=jax.random.key(0)))
    return nnx.graphdef(net)


def initial_state(config: ConfigDict, arch: Architecture) -> TrainState:
    """Return the state before the first step; to be traced by `create_state`."""
    key = jax.random.key(config.seed)
    net = AlexNet(arch, key=stream(key, "init"))
    params = nnx.to_pure_dict(nnx.state(net, nnx.Param))
    stats = nnx.to_pure_dict(nnx.state(net, nnx.BatchStat))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=stats,
        opt_state=make_optimizer(config.optimizer).init(params),
        plateau=make_plateau(config.schedule).init(jnp.zeros(())),
        key=key,
        window=metrics.zeros(),
        validated=jnp.full((), -1, jnp.int32),
        bad_step=jnp.full((), -1, jnp.int32),
    )


def state_shardings(config: ConfigDict, arch: Architecture, mesh: Mesh):
    """Return (abstract state, its shardings): columns over "group", the rest everywhere."""
    state = jax.eval_shape(lambda: initial_state(config, arch))
    specs = param_specs(state.params)
    everywhere = jax.tree.map(lambda _: P(), state)
    state_specs = dataclasses.replace(
        everywhere,
        params=specs,
        batch_stats=param_specs(state.batch_stats),
        opt_state=everywhere.opt_state._replace(velocity=specs),
    )
    return state, placed(mesh, state_specs)


def abstract_state(config: ConfigDict, arch: Architecture, mesh: Mesh) -> TrainState:
    """Return a state's shapes, dtypes and places."""
    shapes, shardings = state_shardings(config, arch, mesh)
    return jax.tree.map(
        lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), shapes, shardings
    )


def create_state(config: ConfigDict, arch: Architecture, mesh: Mesh) -> TrainState:
    """Draw the initial state where it lives; the same bits on any mesh."""
    _, shardings = state_shardings(config, arch, mesh)
    draw = jax.jit(
        lambda: initial_state(config, arch), out_shardings=shardings, compiler_options=FAST_COMPILE
    )
    return draw()


def make_train_step(config: ConfigDict, arch: Architecture, mesh: Mesh):
    """Return the compiled step: (state, batch, pixel_stats) -> (state, loss); state is given up.

    batch: image (B, 256, 256, 3) uint8 and label (B,) int32, over "data".
    pixel_stats: what `make_pixel_stats` gave.
    """
    _, shardings = state_shardings(config, arch, mesh)
    tx = make_optimizer(config.optimizer)
    loss = make_loss(config.data, arch, mesh)

    def train_step(state: TrainState, batch, pixel_stats) -> tuple[TrainState, Array]:
        key = stream(state.key, "step", state.step)
        value_and_grad = jax.value_and_grad(loss, has_aux=True)
        (value, (sums, stats)), grads = value_and_grad(
            state.params, state.batch_stats, batch, pixel_stats, key
        )
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        fine = jnp.logical_or(jnp.isfinite(value), state.bad_step >= 0)
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=stats,
            opt_state=opt_state,
            window=metrics.add(state.window, sums),
            bad_step=jnp.where(fine, state.bad_step, state.step),
        )
        return state, value

    batch = batch_sharding(mesh)
    return jax.jit(
        train_step,
        donate_argnums=0,
        in_shardings=(shardings, {"image": batch, "label": batch}, None),
        out_shardings=(shardings, None),
        compiler_options=compiler_options(mesh),
    )


def make_loss(data: ConfigDict, arch: Architecture, mesh: Mesh):
    """Return loss(params, stats, batch, pixel_stats, key) -> (mean loss, (sums, new stats)).

    One function over the columns that a device holds, under shard_map: its transpose is the
    backward pass, with one sum of gradients over "data".
    """
    graph = graphdef_of(arch)
    over_data, over_group = data_axis(mesh), group_axis(mesh)

    def local(params, stats, batch, pixel_stats, key):
        images, labels = batch["image"], batch["label"]
        examples = jnp.arange(images.shape[0], dtype=jnp.int32)
        if over_data:
            examples += lax.axis_index(over_data) * images.shape[0]
            # Marked here, a gradient is summed over "data" once it is the parameter's; left to
            # where it is used, a bias's would be summed before that, image by image.
            params = lax.pcast(params, over_data, to="varying")
        views = augment.training_views(
            images, pixel_stats, data, arch.image_size, stream(key, "augment"), examples
        )
        net = nnx.merge(graph, params, stats)
        logits, _ = net(
            views,
            train=True,
            dropout_key=stream(key, "dropout"),
            examples=examples,
            group_axis=over_group,
            data_axis=over_data,
        )
        log_probs = jax.nn.log_softmax(logits)
        sums = metrics.sums(log_probs, labels, jnp.ones_like(log_probs[:, 0]))
        if over_data:
            sums = lax.psum(sums, over_data)
        stats = nnx.to_pure_dict(nnx.state(net, nnx.BatchStat))
        # Divided by a number that is known: the gradients need not wait for a sum over devices.
        return sums["loss"] / (images.shape[0] * mesh.shape[DATA]), (sums, stats)

    def loss(params, stats, batch, pixel_stats, key):
        specs, stat_specs = local_specs(mesh, params), local_specs(mesh, stats)
        return jax.shard_map(
            local,
            mesh=mesh,
            in_specs=(specs, stat_specs, P(over_data), P(), P()),
            out_specs=(P(), (P(), stat_specs)),
        )(params, stats, batch, pixel_stats, key)

    return loss
