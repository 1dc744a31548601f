"""Images per second of the training step and of inference, beside PyTorch where it is installed.

    python experiments/bench_step.py --batch=32 [--dtype=bfloat16] [--rounds=7]

The contenders take turns, step by step, so that a machine whose speed drifts is the same for all;
a rate is of the median step, a ratio the median of the rounds' ratios. Ours is the step that
training uses, with its crops, mirrors and colour; PyTorch gets finished float images. PyTorch has
processes of its own (torch_step.py), so that what our commands tell malloc is not told to it. Of
our own step also: the seconds until it has run once (since the process began, and of those the
compiling and running), and the memory that was in use at most by then. The last line is one JSON
object.
"""

import importlib.util
import json
import os
import pathlib
import resource
import statistics
import sys
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from turns import Process, take_turns, timed

from alexnet_jax import command_line, sharding, spec
from alexnet_jax.data import augment
from alexnet_jax.evaluation import make_predict
from alexnet_jax.model import AlexNet
from alexnet_jax.train_step import create_state, make_train_step
from configs import ilsvrc2012

_BATCH = flags.DEFINE_integer("batch", 32, "Images a step.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the activations.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Steps that are timed, of each contender.")
_COMPILE = flags.DEFINE_bool("compile", True, "Also torch.compile.")
MATMUL = 4096  # of the product that measures the machine's rate, on an accelerator; CPU: half


def ours(batch: int, dtype: str, **model):
    """Return (train, infer): functions that take one step and wait for it.

    Args:
      batch: images a step.
      dtype: of the activations.
      model: fields of config.model; lrn__n stands for lrn.n.
    """
    config = ilsvrc2012.get_config()
    config.batch_size, config.model.compute_dtype = batch, dtype
    config.model.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in model.items()}
    )
    config.mesh.data = config.mesh.group = 1
    net = spec.resolve(config.model)
    mesh = sharding.make_mesh(config.mesh, net.columns, batch)
    rng = np.random.default_rng(0)
    whole = types.SimpleNamespace(
        mean_image=np.full((256, 256, 3), 118, np.float32),
        eigenvalues=np.array([14830.0, 1376.0, 389.0]),
        eigenvectors=np.eye(3),
    )
    consts = augment.constants(whole, config.data)
    data = {
        "image": rng.integers(0, 256, (batch, 256, 256, 3), np.uint8),
        "label": rng.integers(0, net.classes, batch, np.int32),
    }
    data = sharding.put_batch(mesh, data)
    step = make_train_step(config, net, mesh)
    predict = make_predict(net, mesh, 1)
    held = [create_state(config, net, mesh)]

    def train():
        held[0], loss = step(held[0], data, consts)
        jax.block_until_ready((held[0], loss))

    def infer():
        state = held[0]
        predict(state.params, state.batch_stats, data["image"], consts).block_until_ready()

    return train, infer


def started(train) -> dict:
    """Take the first step; return what it took until then. Linux only."""
    begin = time.perf_counter()
    train()
    compiling = time.perf_counter() - begin
    ticks = int(pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    since = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    stats = jax.devices()[0].memory_stats()
    peak = stats["peak_bytes_in_use"] if stats else 1024 * _peak_kilobytes()
    return {
        "seconds_to_first_step": round(since, 2),
        "compile_and_first_step_seconds": round(compiling, 2),
        "peak_bytes": peak,
    }


def _peak_kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


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
    train, infer = ours(batch, dtype)
    start = started(train)
    product, work = matmul(dtype)
    rivals = torchs(batch, dtype)

    def turns(kind: str, own) -> dict[str, list[float]]:
        theirs = {name: rival.step(kind) for name, rival in rivals.items()}
        contenders = {"ours": timed(own), **theirs, "matmul": timed(product)}
        return take_turns(contenders, _ROUNDS.value)

    train_seconds, infer_seconds = turns("train", train), turns("infer", infer)
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
