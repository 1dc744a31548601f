"""The loss and the compiled training step."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from alexnet_jax.data.input import augment
from alexnet_jax.data.input.feed import gather
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.on_mesh import make_forward, mesh_axes
from alexnet_jax.net.parameters import stats_of
from alexnet_jax.step import metrics
from alexnet_jax.step.create import abstract_state
from alexnet_jax.step.optimizer import make_optimizer
from alexnet_jax.step.state import TrainState, shardings_of
from alexnet_jax.system.random_streams import stream
from alexnet_jax.system.sharding import (
    DATA,
    batch_sharding,
    compiler_options,
    data_axis,
    everywhere,
)


def make_train_step(config: ConfigDict, arch: Architecture, mesh: Mesh):
    """Return the compiled step: (state, batch, pixel_stats) -> (state, loss); state is donated.

    batch: image (B, size, size, 3) uint8 and label (B,) int32, over "data".
    pixel_stats: what `make_pixel_stats` gave.
    loss: () float32, the mean over the whole batch, nats.
    """
    batch = batch_sharding(mesh)
    return _compiled(
        _make_update(config, arch, mesh), config, arch, mesh, {"image": batch, "label": batch}
    )


def make_train_steps(config: ConfigDict, arch: Architecture, mesh: Mesh):
    """Return a compiled loop over several steps, for images that live on the devices.

    Instead of a batch it takes what `feed.Resident.take` returns. Its loss is the last step's.
    """
    update = _make_update(config, arch, mesh)

    def train_steps(state: TrainState, resident, pixel_stats) -> tuple[TrainState, Array]:
        def one(k, before):
            batch = gather(mesh, resident["split"], resident["indices"][k])
            return update(before[0], batch, pixel_stats)

        return lax.fori_loop(0, resident["count"], one, (state, jnp.zeros(())))

    return _compiled(train_steps, config, arch, mesh, everywhere(mesh))


def _compiled(function: Callable, config: ConfigDict, arch: Architecture, mesh: Mesh, images):
    shardings = shardings_of(abstract_state(config, arch, mesh))
    return jax.jit(
        function,
        donate_argnums=0,
        in_shardings=(shardings, images, None),
        out_shardings=(shardings, None),
        compiler_options=compiler_options(mesh),
    )


def _make_update(config: ConfigDict, arch: Architecture, mesh: Mesh):
    """Return the step before it is compiled."""
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
            window=jax.tree.map(jnp.add, state.window, sums),
            bad_step=jnp.where(fine, state.bad_step, state.step),
        )
        return state, value

    return train_step


def make_loss(data: ConfigDict, arch: Architecture, mesh: Mesh):
    """Return loss(params, stats, batch, pixel_stats, key) -> (mean loss, (sums, new stats))."""
    over_data = data_axis(mesh)

    def local(net, batch, pixel_stats, key):
        images, labels = batch["image"], batch["label"]
        examples = jnp.arange(images.shape[0], dtype=jnp.int32)  # of the global batch
        if over_data:
            examples += lax.axis_index(over_data) * images.shape[0]
        views = augment.training_views(
            images, pixel_stats, data, arch.image_size, stream(key, "augment"), examples
        )
        logits, _ = net(
            views,
            train=True,
            dropout_key=stream(key, "dropout"),
            examples=examples,
            **mesh_axes(mesh),
        )
        log_probs = jax.nn.log_softmax(logits)
        sums = metrics.sums(log_probs, labels, jnp.ones_like(log_probs[:, 0]))
        if over_data:
            sums = lax.psum(sums, over_data)
        stats = stats_of(net)
        # Divided by a constant, so that the gradients need not wait for a sum over devices.
        return sums["loss"] / (images.shape[0] * mesh.shape[DATA]), (sums, stats)

    return make_forward(arch, mesh, local, lambda stats: (P(), (P(), stats)))
