"""What local response normalization costs: alone and in the net, beside batch normalization.

    python -m experiments.bench.lrn_cost --batch=32 [--rounds=7] [--net=False] [--calls=20]

Alone: milliseconds of the forward pass and of the gradient, of both layers and both columns, for
windows of 3 to 15 maps, for batch normalization and for none (reading and writing the activations
once). In the net: milliseconds of a training step of the full net with each. All take turns; a
figure is a median, of timings of --calls calls each that are waited for once. The last line is one
JSON object.
"""

import functools
import json
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from alexnet_jax.net import ops
from alexnet_jax.net.layers import ChannelNorm
from alexnet_jax.system import command_line, sharding
from experiments.bench.our_step import OurStep, calls_of
from experiments.bench.turns import Step, take_turns, timed

_BATCH = flags.DEFINE_integer("batch", 32, "Images a step.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Steps that are timed, of each contender.")
_CALLS = flags.DEFINE_integer(
    "calls", None, "Of a timing; default: 1 on a CPU, else 20.", lower_bound=1
)
_NET = flags.DEFINE_bool("net", True, "Also whole training steps, which take minutes to compile.")
WINDOWS = (3, 5, 7, 9, 11, 13, 15)
SHAPES = ((55, 48), (27, 128))  # places a side and maps of a column, of norm1 and norm2
IN_NET: dict[str, dict[str, Any]] = {
    "none": {"norm": "none"},
    "batch": {"norm": "batch"},
    "lrn_3": {"lrn__n": 3},
    "lrn_5": {},
    "lrn_15": {"lrn__n": 15},
}


def contenders(batch: int, calls: int) -> dict[str, Step]:
    """Return the steps that run each, with so many calls."""
    xs = [
        30 * jax.random.normal(jax.random.key(size), (batch, size, size, maps), jnp.float32)
        for size, maps in SHAPES
        for _column in range(2)
    ]
    norms: dict[str, Callable] = {
        f"lrn_{n}": functools.partial(ops.local_response_norm, n=n) for n in WINDOWS
    }
    norms["batch"] = lambda x: ChannelNorm("batch", 1, x.shape[-1])(
        [x], train=True, data_axis=None
    )[0]
    norms["none"] = lambda x: x * 2
    mesh = jax.make_mesh((1, 1), (sharding.DATA, sharding.GROUP), devices=jax.devices()[:1])
    jit = functools.partial(jax.jit, compiler_options=sharding.compiler_options(mesh))
    found = {}
    for name, norm in norms.items():

        def forward(xs, norm=norm):
            return [norm(x) for x in xs]

        def gradient(xs, norm=norm):
            return jax.vjp(functools.partial(forward, norm=norm), xs)[1](xs)

        for kind, compiled in (("forward", jit(forward)), ("gradient", jit(gradient))):
            run = functools.partial(compiled, xs)
            found[f"{name} {kind}"] = timed(run, jax.block_until_ready, calls)
    return found


def milliseconds(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each."""
    return {name: round(1e3 * statistics.median(times), 3) for name, times in seconds.items()}


def main(_) -> None:
    """Run what the flags describe."""
    batch, rounds, calls = _BATCH.value, _ROUNDS.value, calls_of(_CALLS.value)
    alone = milliseconds(take_turns(contenders(batch, calls), rounds))
    both = {n: alone[f"lrn_{n} forward"] + alone[f"lrn_{n} gradient"] for n in WINDOWS}
    result = {
        "batch": batch,
        "calls": calls,
        "device": f"{jax.devices()[0].platform}:{jax.devices()[0].device_kind}",
        "jax": jax.__version__,
        "alone_ms": alone,
        "n_15_over_n_3": round(both[15] / both[3], 3),
    }
    if _NET.value:
        nets = {name: OurStep(batch, "float32", **model) for name, model in IN_NET.items()}
        steps = {
            name: timed(arch.train, jax.block_until_ready, calls) for name, arch in nets.items()
        }
        step = milliseconds(take_turns(steps, rounds))
        result["step_ms"] = step
        result["share_of_step"] = round(1 - step["none"] / step["lrn_5"], 4)
    print(json.dumps(result))


if __name__ == "__main__":
    command_line.run(main)
