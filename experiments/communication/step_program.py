"""The training step as a program for given devices, and what its columns must exchange."""

import types
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.input.pixel_stats import make_pixel_stats
from alexnet_jax.net import architecture, listing, resolving
from alexnet_jax.step.create import abstract_state
from alexnet_jax.step.train_step import make_train_step
from alexnet_jax.system import sharding


def lowered_step(
    config: ConfigDict, devices: Sequence[jax.Device] | None = None
) -> tuple[architecture.Architecture, jax.stages.Lowered]:
    """Return the net and its training step, lowered for config.mesh on `devices` (None: all)."""
    arch = resolving.resolve(config.model)
    mesh = sharding.make_mesh(config.mesh, arch.columns, config.batch_size, devices)
    where = sharding.batch_sharding(mesh)
    square = (config.data.size, config.data.size, 3)
    batch = {
        "image": jax.ShapeDtypeStruct((config.batch_size, *square), jnp.uint8, sharding=where),
        "label": jax.ShapeDtypeStruct((config.batch_size,), jnp.int32, sharding=where),
    }
    statistics = types.SimpleNamespace(
        mean_image=np.zeros(square), eigenvalues=np.zeros(3), eigenvectors=np.eye(3)
    )
    pixel_stats = make_pixel_stats(statistics, config.data)
    step = make_train_step(config, arch, mesh)
    return arch, step.lower(abstract_state(config, arch, mesh), batch, pixel_stats)


def minimum(arch: architecture.Architecture, group: int) -> dict[str, tuple[int, int]]:
    """Return layer -> bytes that a device must receive for an image, forward and backward.

    A layer that reads the other column needs that column's activations, and backward the gradients
    of its own ones. fc8 needs the other column's part of each class, and backward nothing, since
    the gradient of a sum is the same for both.
    """
    if group == 1:
        return {}
    needs = {}
    for row in listing.rows(arch):
        if row.received:
            backward = 0 if row.layer.reads == "sum" else row.received_bytes
            needs[row.layer.name] = (row.received_bytes, backward)
    return needs
