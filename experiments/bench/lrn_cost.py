"""What local response normalization costs: alone and in the net, beside batch normalization.

    python -m experiments.bench.lrn_cost --batch=32 [--dtype=bfloat16] [--net=False] [--calls=20]

Alone: milliseconds of the forward pass and of the gradient, of both layers and both columns, for
windows of 3 to 15 channels, for batch normalization and for none (which reads and writes the
activations once), and for the pooling that follows. `over_floor` compares them with the least that
memory allows, by the time of none: the forward pass reads its input and writes its output, the
gradient reads the input and the output's gradient and writes one. In the net: milliseconds of a
training step of the full net with each. They are measured in turns; a figure is the median of
timings, each of --calls calls with one wait at the end. On a CPU the process keeps freed memory
(support/environment.py). The last line is one JSON object.
"""

import functools
import json
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from alexnet_jax.net import pooling, response_norm
from alexnet_jax.net.architecture import Pool
from alexnet_jax.net.layers import Call
from alexnet_jax.net.norms import BatchNorm
from alexnet_jax.net.variants import ARCHITECTURES
from alexnet_jax.system import command_line, sharding
from experiments.bench import turns
from experiments.bench.our_step import OurStep, calls_of
from experiments.bench.turns import Step, take_turns, timed
from experiments.support.environment import restart_with_kept_memory

WINDOWS = (3, 5, 7, 9, 11, 13, 15)
SHAPES = ((55, 48), (27, 128))  # (height = width, channels of a column) of norm1, norm2
IN_NET: dict[str, dict[str, Any]] = {
    "none": {"norm": "none"},
    "batch": {"norm": "batch"},
    "lrn_3": {"lrn__n": 3},
    "lrn_5": {},
    "lrn_15": {"lrn__n": 15},
}


def contenders(batch: int, dtype: str, calls: int) -> dict[str, Step]:
    """Return the steps that time each norm, with `calls` calls."""
    xs = [
        30
        * jax.random.normal(jax.random.key(size), (batch, size, size, channels), jnp.dtype(dtype))
        for size, channels in SHAPES
        for _column in range(2)
    ]
    norms: dict[str, Callable] = {
        f"lrn_{n}": functools.partial(response_norm.local_response_norm, n=n) for n in WINDOWS
    }
    one_column = ARCHITECTURES["half"]
    training = Call(True, None, jnp.arange(batch), None, range(1), lambda xs: xs[0])
    norms["batch"] = lambda x: BatchNorm(one_column, x.shape[-1])([x], training)[0]
    norms["none"] = lambda x: x * 2
    norms["pool"] = functools.partial(pooling.max_pool, pool=Pool())
    mesh = jax.make_mesh((1, 1), (sharding.DATA, sharding.GROUP), devices=jax.devices()[:1])
    jit = functools.partial(jax.jit, compiler_options=sharding.compiler_options(mesh))
    steps = {}
    for name, norm in norms.items():

        def forward(xs, norm=norm):
            return [norm(x) for x in xs]

        def gradient(xs, norm=norm):
            ys, back = jax.vjp(functools.partial(forward, norm=norm), xs)
            return back([x[:, : y.shape[1], : y.shape[2]] for x, y in zip(xs, ys, strict=True)])

        for kind, compiled in (("forward", jit(forward)), ("gradient", jit(gradient))):
            run = functools.partial(compiled, xs)
            steps[f"{name} {kind}"] = timed(run, jax.block_until_ready, calls)
    return steps


def milliseconds(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each."""
    return {name: round(1e3 * statistics.median(times), 3) for name, times in seconds.items()}


def over_floor(alone: dict[str, float]) -> dict[str, float]:
    """Return the time of LRN and pooling, in units of what reading and writing alone would take."""
    maps = sum(size**2 * channels for size, channels in SHAPES)
    pooled = sum(pooling.pooled(size, Pool()) ** 2 * channels for size, channels in SHAPES)
    share, once = pooled / maps, alone["none forward"] / 2  # to read, or to write, the maps
    passes = {"lrn_5 forward": 2.0, "lrn_5 gradient": 3.0}
    passes |= {"pool forward": 1 + share, "pool gradient": 2 + share}
    return {name: round(alone[name] / (once * number), 3) for name, number in passes.items()}


def define_flags() -> None:
    """Define the command line."""
    turns.define_flags()
    turns.define_turns()
    flags.DEFINE_bool("net", True, "Also whole training steps, which take minutes to compile.")


def main(_) -> None:
    """Run what the flags describe."""
    restart_with_kept_memory()
    batch, dtype, rounds = flags.FLAGS.batch, flags.FLAGS.dtype, flags.FLAGS.rounds
    calls = calls_of(flags.FLAGS.calls)
    alone = milliseconds(take_turns(contenders(batch, dtype, calls), rounds))
    both = {n: alone[f"lrn_{n} forward"] + alone[f"lrn_{n} gradient"] for n in WINDOWS}
    result = {
        "batch": batch,
        "dtype": dtype,
        "calls": calls,
        "device": f"{jax.devices()[0].platform}:{jax.devices()[0].device_kind}",
        "jax": jax.__version__,
        "alone_ms": alone,
        "n_15_over_n_3": round(both[15] / both[3], 3),
        "over_floor": over_floor(alone),
    }
    if flags.FLAGS.net:
        nets = {name: OurStep(batch, dtype, **model) for name, model in IN_NET.items()}
        steps = {name: timed(net.train, jax.block_until_ready, calls) for name, net in nets.items()}
        step = milliseconds(take_turns(steps, rounds))
        result["step_ms"] = step
        result["share_of_step"] = round(1 - step["none"] / step["lrn_5"], 4)
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
