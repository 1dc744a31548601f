"""Do this machine's devices give the same numbers together as one of them alone?

Some pairs of GPUs copy zeros to each other, or drop a part, without an error: a net then trains on
them and learns little. So data are sent from each device to each other one and read back, and a
small net is run on one device, on two and on four.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from alexnet_jax.net import resolving
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.on_mesh import make_forward, mesh_axes
from alexnet_jax.step.state import initial_net
from alexnet_jax.system import sharding
from alexnet_jax.system.random_streams import root_key, stream

MOST = 4  # devices that are looked at
MESHES = ({"data": 2, "group": 1}, {"data": 1, "group": 2}, {"data": 2, "group": 2})
BATCH, CLASSES, SIZE, WIDTH = 8, 10, 56, 0.25
TIMES = 5  # transfers for a rate
# Relative difference of correct devices, at most: TF32, GPUs' default, rounds to one part in 1,000.
# Zeros in place of data change all values.
CLOSE = 0.02


@dataclasses.dataclass(frozen=True)
class Finding:
    """One comparison.

    Attributes:
      what: in words.
      right: whether it is as it should be.
      how: the difference or the rate, in words.
    """

    what: str
    right: bool
    how: str


def examine(
    devices: Sequence[jax.Device], megabytes: int = 64, move: Callable = jax.device_put
) -> Iterator[Finding]:
    """Yield what is found on up to MOST devices; nothing where there is only one.

    Args:
      devices: of one process.
      megabytes: of a transfer.
      move: sends an array to a device.
    """
    devices = devices[:MOST]
    if len(devices) < 2:
        return
    numbers = np.random.default_rng(0).integers(0, 2**32, megabytes * 2**18, dtype=np.uint32)
    for source, target in itertools.permutations(devices, 2):
        yield _transfer(numbers, source, target, move)
    arch = _net()
    alone: dict[str, Any] = {}
    for shape in ({"data": 1, "group": 1}, *MESHES):
        count = shape["data"] * shape["group"]
        if count > len(devices):
            continue
        mesh = sharding.make_mesh(ConfigDict(shape), arch.columns, BATCH, devices[:count])
        found = _first_step(arch, mesh)
        alone = alone or found
        for what, value in found.items() if count > 1 else ():
            difference = _difference(alone[what], value)
            yield Finding(
                f"{what} on {count} devices (data={shape['data']}, group={shape['group']})",
                difference < CLOSE,
                f"differ from those on one by {difference:.1g} of the largest",
            )


def _transfer(
    numbers: np.ndarray, source: jax.Device, target: jax.Device, move: Callable
) -> Finding:
    here = jax.block_until_ready(jax.device_put(numbers, source))
    came = np.asarray(jax.block_until_ready(move(here, target)))
    begin = time.perf_counter()
    for _ in range(TIMES):
        jax.block_until_ready(move(here, target))
    rate = TIMES * numbers.nbytes / (time.perf_counter() - begin) / 1e9
    wrong = float(np.mean(came != numbers))
    how = f"{rate:.1f} GB/s"
    if wrong:
        how = f"{wrong:.2g} of its words are wrong{', all are zeros' if not came.any() else ''}"
    return Finding(f"transfer {source} to {target}", wrong == 0, how)


def _net() -> Architecture:
    model = resolving.overrides("small")
    model.width, model.classes, model.image_size = WIDTH, CLASSES, SIZE
    model.init.std.update(dict.fromkeys(("conv3", "conv4", "conv5", "fc6", "fc7"), 0.06))
    return resolving.resolve(model)


def _first_step(arch: Architecture, mesh: Mesh) -> dict[str, Any]:
    """Return the logits and the gradients of one batch, as host arrays; no dropout."""
    rng = np.random.default_rng(1)
    images = rng.normal(0, 60, (BATCH, SIZE, SIZE, 3)).astype(np.float32)
    labels = rng.integers(0, CLASSES, BATCH).astype(np.int32)

    def local(net, batch):
        return net(batch, **mesh_axes(mesh))[0]

    forward = make_forward(arch, mesh, local, P(sharding.data_axis(mesh)))

    def loss(params, images, labels):
        logits = forward(params, {}, images)
        each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.mean(each), logits

    draw = jax.jit(lambda: initial_net(arch, stream(root_key(0), "init")).params)
    params = jax.device_get(draw())
    params = jax.device_put(params, sharding.placed(mesh, sharding.param_specs(params)))
    step = jax.jit(jax.grad(loss, has_aux=True), compiler_options=sharding.FAST_COMPILE)
    gradients, logits = step(params, *sharding.put_batch(mesh, (images, labels)))
    return {"logits": np.asarray(logits), "gradients": jax.device_get(gradients)}


def _difference(one: Any, other: Any) -> float:
    """Return the largest difference of two trees, over the largest value of the leaf."""
    parts = [
        float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(a))), 1e-30))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    ]
    return float("inf") if not np.isfinite(parts).all() else max(parts)
