"""The training step as a program for given devices, and what its columns must exchange."""

import itertools
import types
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.input import augment
from alexnet_jax.net import architecture, resolving
from alexnet_jax.net.alexnet import AlexNet, crosses
from alexnet_jax.step.train_step import abstract_state, make_train_step
from alexnet_jax.system import sharding


def lowered_step(
    config: ConfigDict, devices: Sequence[jax.Device] | None = None
) -> tuple[architecture.Spec, jax.stages.Lowered]:
    """Return the net and its training step, lowered for config.mesh of these devices, or of all."""
    net = resolving.resolve(config.model)
    mesh = sharding.make_mesh(config.mesh, net.columns, config.batch_size, devices)
    where = sharding.batch_sharding(mesh)
    batch = {
        "image": jax.ShapeDtypeStruct((config.batch_size, 256, 256, 3), jnp.uint8, sharding=where),
        "label": jax.ShapeDtypeStruct((config.batch_size,), jnp.int32, sharding=where),
    }
    nothing = types.SimpleNamespace(
        mean_image=np.zeros((256, 256, 3)), eigenvalues=np.zeros(3), eigenvectors=np.eye(3)
    )
    consts = augment.constants(nothing, config.data)
    step = make_train_step(config, net, mesh)
    return net, step.lower(abstract_state(config, net, mesh), batch, consts)


def minimum(net: architecture.Spec, group: int) -> dict[str, tuple[int, int]]:
    """Return layer -> bytes an image that a device must receive, forward and backward.

    Where a layer reads the other column, the activations that it reads, and backward the gradients
    of its own ones; at fc8 the other column's part of each class, and backward nothing, since the
    gradient of a sum is the same for both.
    """
    if group == 1:
        return {}
    names = [net.output(layer) for layer in net.layers]
    _, outputs = jax.eval_shape(
        lambda images: AlexNet(net, key=jax.random.key(0))(images, activations=names),
        jax.ShapeDtypeStruct((1, net.image_size, net.image_size, 3), jnp.float32),
    )
    needs = {}
    for before, layer in itertools.pairwise(net.layers):
        if crosses(net, layer) and not layer.identity:
            x = outputs[net.output(before)]
            needs[layer.name] = (x.size // net.columns * x.dtype.itemsize,) * 2
    return {**needs, "fc8": (net.classes * outputs["fc8"].dtype.itemsize, 0)}
