"""GFLOP/s of each convolution of the paper's net, forward and both gradients, beside a product's.

    python -m experiments.bench.convolutions --batch=32 [--rounds=7]

Each is compiled alone, for both columns, as in the training step. A convolution that reaches the
rate of a large product of matrices has nothing left to gain. They take turns (turns.py); a rate
comes from the median timing. The last line is one JSON object.
"""

import json
import statistics
from collections.abc import Callable

import jax
import jax.numpy as jnp
from absl import flags
from jax import Array
from ml_collections import ConfigDict

from alexnet_jax.net import listing, resolving
from alexnet_jax.net.architecture import Layer
from alexnet_jax.net.convolution import conv2d
from alexnet_jax.system import command_line, sharding
from experiments.bench import turns
from experiments.bench.step import matmul
from experiments.support.environment import machine, restart_with_kept_memory


def passes(layer: Layer, xs: list[Array], kernels: list[Array]) -> dict[str, Callable]:
    """Return name -> a compiled function without arguments, of all columns of a layer."""

    def conv(x: Array, kernel: Array) -> Array:
        return conv2d(x, kernel, stride=layer.stride, padding=layer.padding, ceil=layer.ceil)

    def forward(xs, kernels):
        return [conv(x, kernel) for x, kernel in zip(xs, kernels, strict=True)]

    def kernel_gradient(xs, kernels, gs):
        return jax.vjp(lambda kernels: forward(xs, kernels), kernels)[1](gs)

    def input_gradient(xs, kernels, gs):
        return jax.vjp(lambda xs: forward(xs, kernels), xs)[1](gs)

    options = sharding.compiler_options(
        sharding.make_mesh(ConfigDict({"data": 1, "group": 1}), 2, 0)
    )
    compiled = [
        jax.jit(f, compiler_options=options) for f in (forward, kernel_gradient, input_gradient)
    ]
    gs = [jnp.ones_like(y) for y in compiled[0](xs, kernels)]
    return {
        "forward": lambda: compiled[0](xs, kernels),
        "kernel_gradient": lambda: compiled[1](xs, kernels, gs),
        "input_gradient": lambda: compiled[2](xs, kernels, gs),
    }


def contenders(batch: int) -> tuple[dict[str, Callable], dict[str, int]]:
    """Return "conv1.forward" and so on -> its function, and layer -> its operations."""
    arch = resolving.architecture("paper")
    shape: tuple[int, ...] = (arch.image_size, arch.image_size, 3)
    runs, operations = {}, {}
    for row in listing.rows(arch):
        if row.layer.kernel:
            read = shape[-1] * (arch.columns if arch.crosses(row.layer) else 1)
            key = jax.random.key(0)
            xs = [jax.random.normal(key, (batch, *shape[:2], read))] * arch.columns
            side, outputs = row.layer.kernel, row.product[-1]
            kernels = [jax.random.normal(key, (side, side, read, outputs))] * arch.columns
            operations[row.layer.name] = batch * row.flops
            for name, run in passes(row.layer, xs, kernels).items():
                if (row.layer.name, name) != ("conv1", "input_gradient"):  # an image has none
                    runs[f"{row.layer.name}.{name}"] = run
        shape = row.output
    return runs, operations


def main(_) -> None:
    """Measure what the flags describe."""
    restart_with_kept_memory()
    runs, operations = contenders(flags.FLAGS.batch)
    product, work = matmul("float32")
    steps = {
        n: turns.timed(run, jax.block_until_ready)
        for n, run in {**runs, "product": product}.items()
    }
    seconds = {
        n: statistics.median(s) for n, s in turns.take_turns(steps, flags.FLAGS.rounds).items()
    }
    rate = work / seconds.pop("product")
    layers: dict[str, dict] = {name: {} for name in operations}
    for name, took in seconds.items():
        layer, _, which = name.partition(".")
        achieved = operations[layer] / took
        layers[layer][which] = {
            "ms": 1e3 * took,
            "gflops": achieved / 1e9,
            "share_of_product_rate": achieved / rate,
        }
    head = {"batch": flags.FLAGS.batch, "product_gflops": rate / 1e9, **machine()}
    print(json.dumps({**head, "jax": jax.__version__, "layers": layers}))


if __name__ == "__main__":
    turns.define_flags()
    turns.define_turns()
    command_line.run(main)
