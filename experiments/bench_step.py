"""Images per second of the training step and of inference, beside PyTorch where it is installed.

    python experiments/bench_step.py --batch=32 [--dtype=bfloat16] [--rounds=7]

The contenders take turns, so that a machine whose speed drifts is the same for all; a rate is of
the median step, a ratio the median of the rounds' ratios. Ours is the step that training uses, with
its crops, mirrors and colour; PyTorch gets finished float images. PyTorch has processes of its own
(torch_step.py), so that what our commands tell malloc is not told to it. Before the turns
start_up.py says what our own step takes to start, in memory and for a checkpoint. The last line is
one JSON object.
"""

import importlib.util
import json
import os
import pathlib
import statistics
import sys
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from our_step import OurStep
from turns import Process, take_turns, timed

from alexnet_jax import command_line, spec
from alexnet_jax.model import AlexNet

_BATCH = flags.DEFINE_integer("batch", 32, "Images a step.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the activations.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Steps that are timed, of each contender.")
_COMPILE = flags.DEFINE_bool("compile", True, "Also torch.compile.")
TO_FIRST_STEP = ("seconds_to_first_step", "compile_and_first_step_seconds")
MATMUL = 4096  # of the product that measures the machine's rate, on an accelerator; CPU: half


def started(batch: int, dtype: str) -> dict:
    """Return what start_up.py says of a process that compiles, and of one that need not."""
    program = [sys.executable, str(pathlib.Path(__file__).with_name("start_up.py"))]
    program += [f"--batch={batch}", f"--dtype={dtype}"]
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (once(program, cache) for _ in range(2))
    return {**cold, "compiled_before": {name: warm[name] for name in TO_FIRST_STEP}}


def once(program: list[str], cache: str) -> dict:
    """Return what a program says that keeps what it compiles in the folder `cache`."""
    process = Process(program, {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache})
    process.close()
    return process.hello


def torchs(batch: int, dtype: str) -> dict[str, Process]:
    """Return PyTorch's contenders, {} where it is not installed."""
    if not importlib.util.find_spec("torch"):
        print("PyTorch is not installed: our own figures only", file=sys.stderr)
        return {}
    program = [sys.executable, str(pathlib.Path(__file__).with_name("torch_step.py"))]
    program += [f"--batch={batch}", f"--dtype={dtype}"]
    found = {"torch_eager": Process(program)}
    if _COMPILE.value:
        found["torch_compiled"] = Process([*program, "--compiled"])
    return found


def matmul(dtype: str):
    """Return (run, operations) of one large square product."""
    size = MATMUL if jax.default_backend() != "cpu" else MATMUL // 2
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    product = jax.jit(jnp.matmul)
    return lambda: product(a, a).block_until_ready(), 2 * size**3


def operations() -> tuple[int, int]:
    """Return the operations an image costs, forward and in training; 2 a multiply-add."""
    net = spec.resolve(spec.overrides("paper"))
    names = tuple(layer.name for layer in net.layers)

    def products(images):
        model = AlexNet(net, key=jax.random.key(0))
        return model(images, activations=names)[1], {
            n: getattr(model, n).kernel[...] for n in names
        }

    images = jax.ShapeDtypeStruct((1, net.image_size, net.image_size, 3), jnp.float32)
    outputs, kernels = jax.eval_shape(products, images)
    cost = {n: 2 * kernels[n].size * int(np.prod(outputs[n].shape[2:-1])) for n in names}
    forward = sum(cost.values())
    return forward, 3 * forward - cost["conv1"]  # an image has no gradient


def report(seconds: dict, batch: int, cost: int, rate: float) -> dict:
    """Return the figures of one kind of step; None where PyTorch is not there."""
    own = seconds["ours"]
    figures: dict = {"batch": batch, "images_per_second": batch / statistics.median(own)}
    for name in ("torch_eager", "torch_compiled"):
        theirs = seconds.get(name)
        figures[name] = batch / statistics.median(theirs) if theirs else None
        ratios = [b / a for a, b in zip(own, theirs, strict=True)] if theirs else []
        figures[f"ratio_to_{name}"] = statistics.median(ratios) if theirs else None
    figures["fraction_of_matmul_rate"] = figures["images_per_second"] * cost / rate
    return figures


def main(_) -> None:
    """Run the benchmark that the flags describe."""
    batch, dtype = _BATCH.value, _DTYPE.value
    start = started(batch, dtype)  # first: on a GPU a process takes most of the memory
    ours = OurStep(batch, dtype)
    product, work = matmul(dtype)
    rivals = torchs(batch, dtype)

    def turns(kind: str, own) -> dict[str, list[float]]:
        theirs = {name: rival.step(kind) for name, rival in rivals.items()}
        contenders = {"ours": timed(own), **theirs, "matmul": timed(product)}
        return take_turns(contenders, _ROUNDS.value)

    train_seconds, infer_seconds = turns("train", ours.train), turns("infer", ours.infer)
    for rival in rivals.values():
        rival.close()
    rate = work / statistics.median(train_seconds["matmul"] + infer_seconds["matmul"])
    forward, training = operations()
    result = {
        "train": report(train_seconds, batch, training, rate),
        "inference": report(infer_seconds, batch, forward, rate),
        "matmul_gflops": rate / 1e9,
        "start": start,
        "device": f"{jax.devices()[0].platform}:{jax.devices()[0].device_kind}",
        "dtype": dtype,
        "versions": {
            "jax": jax.__version__,
            "torch": rivals["torch_eager"].hello["torch"] if rivals else None,
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    command_line.run(main)
