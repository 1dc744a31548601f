"""Images per second of the training step and of inference, beside PyTorch where it is installed.

    python -m experiments.bench.step --batch=32 [--arch=small] [--dtype=bfloat16] [--rounds=7]

The programs take turns, so that a drift of the machine's speed affects all alike. A rate comes from
the median timing, a ratio is the median of the rounds' ratios. A timing is --calls steps with one
wait at the end: by default 1 on a CPU and 20 on a GPU, where starting and waiting take much of one
step. Ours is the step that training uses, with its crops, flips and colour; PyTorch gets finished
float images.

PyTorch runs in its own processes (torch_step.py); one that dies, for example for lack of memory, is
left out. On a CPU all processes keep freed memory (support/environment.py). First start_up.py
measures how our step starts, its memory, and a checkpoint; --nostart leaves that out. The last line
is one JSON object.
"""

import importlib.util
import json
import os
import statistics
import sys
import tempfile

import jax
import jax.numpy as jnp
from absl import flags

from alexnet_jax.net import listing, resolving
from alexnet_jax.system import command_line
from experiments.bench import turns
from experiments.bench.our_step import RECIPES, OurStep, calls_of
from experiments.bench.turns import Process, take_turns, timed
from experiments.support.environment import machine, restart_with_kept_memory

TO_FIRST_STEP = ("seconds_to_first_step", "compile_and_first_step_seconds")
MATMUL = 16384  # size of the product that measures the machine's rate, on an accelerator
MATMUL_CPU = 2048


def started(arch: str, batch: int, dtype: str) -> dict:
    """Return what start_up.py says of a process that compiles, and of one that need not."""
    program = ["-m", "experiments.bench.start_up", f"--arch={arch}"]
    program += [f"--batch={batch}", f"--dtype={dtype}"]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache}
        cold, warm = (Process(program, environment).close() for _ in range(2))
    return {**cold, "compiled_before": {name: warm[name] for name in TO_FIRST_STEP}}


def torchs(arch: str, batch: int, dtype: str, calls: int, *, compiled: bool) -> dict[str, Process]:
    """Return PyTorch's contenders that start; {} where it is not installed."""
    if not importlib.util.find_spec("torch"):
        print("PyTorch is not installed: only our own figures", file=sys.stderr)
        return {}
    program = ["-m", "experiments.bench.torch_step", f"--arch={arch}"]
    program += [f"--batch={batch}", f"--dtype={dtype}", f"--calls={calls}"]
    program += ["--gpu"] if jax.default_backend() == "gpu" else []
    programs = {"torch_eager": program}
    if compiled:
        programs["torch_compiled"] = [*program, "--compiled"]
    return turns.processes(programs)


def matmul(dtype: str):
    """Return (run, operations) of one large square product."""
    size = MATMUL if jax.default_backend() != "cpu" else MATMUL_CPU
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    product = jax.jit(jnp.matmul)
    return lambda: product(a, a), 2 * size**3


def operations(name: str) -> tuple[int, int]:
    """Return the operations of an image, forward and in training."""
    cost = products(name)
    forward = sum(cost.values())
    return forward, 3 * forward - cost["conv1"]  # an image has no gradient


def products(name: str) -> dict[str, int]:
    """Return layer -> the operations of its product for an image; a multiply-add counts as 2."""
    arch = resolving.resolve(RECIPES[name].get_config().model)
    return {row.layer.name: row.flops for row in listing.rows(arch)}


def report(seconds: dict, batch: int, cost: int, rate: float) -> dict:
    """Return the figures of one kind of step; None where PyTorch is missing or was left out."""
    ours = seconds["ours"]
    figures: dict = {"batch": batch, "images_per_second": batch / statistics.median(ours)}
    for name in ("torch_eager", "torch_compiled"):
        theirs = seconds.get(name)
        figures[name] = batch / statistics.median(theirs) if theirs else None
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)] if theirs else []
        figures[f"ratio_to_{name}"] = statistics.median(ratios) if theirs else None
    figures["fraction_of_matmul_rate"] = figures["images_per_second"] * cost / rate
    return figures


def define_flags() -> None:
    """Define the command line."""
    turns.define_flags()
    turns.define_turns()
    flags.DEFINE_bool("compile", True, "Also torch.compile.")
    flags.DEFINE_bool("start", True, "Also how the step starts.")


def main(_) -> None:
    """Run the benchmark that the flags describe."""
    restart_with_kept_memory()
    # By default JAX takes most of a GPU's memory at the start; PyTorch needs what the step leaves.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    net = flags.FLAGS.arch, flags.FLAGS.batch, flags.FLAGS.dtype
    arch, batch, dtype = net
    start = (
        started(*net) if flags.FLAGS.start else None
    )  # first: while nothing else uses the device
    calls = calls_of(flags.FLAGS.calls)
    ours = OurStep(batch, dtype, arch)
    product, work = matmul(dtype)
    rivals = torchs(*net, calls, compiled=flags.FLAGS.compile)

    def measured(kind: str, run) -> dict[str, list[float]]:
        contenders = {"ours": timed(run, jax.block_until_ready, calls)}
        contenders |= {name: rival.step(kind) for name, rival in rivals.items()}
        contenders["matmul"] = timed(product, jax.block_until_ready)  # long enough by itself
        return take_turns(contenders, flags.FLAGS.rounds)

    train_seconds, infer_seconds = measured("train", ours.train), measured("infer", ours.infer)
    for rival in rivals.values():
        rival.close()
    rate = work / statistics.median(train_seconds["matmul"] + infer_seconds["matmul"])
    forward, training = operations(arch)
    result = {
        "train": report(train_seconds, batch, training, rate),
        "inference": report(infer_seconds, batch, forward, rate),
        "matmul_gflops": rate / 1e9,
        "start": start,
        **machine(),
        "arch": arch,
        "dtype": dtype,
        "calls": calls,
        "versions": {
            "jax": jax.__version__,
            "torch": next((rival.hello["torch"] for rival in rivals.values()), None),
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
