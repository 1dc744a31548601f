"""Measure how fast data can be decoded, loaded and used, and what limits training.

    python -m experiments.bench.data --config=configs/ilsvrc2012.py \
        --config.data.dir=/path/to/imagenet

Prepares the images if they are not prepared yet. Measures in turns, and gives the median of:

    decode       the library alone: as many threads as the loader has (data.workers; by default one
                 for each core, at most 16) decode images that are in memory
    loader       whole batches on the host, as training gets them
    transfer     a batch to the devices
    step         the training step on a batch that is on the devices
    training     the same step fed by the loader, through the parts of the training loop
    torch_*      PyTorch's DataLoader, if it is installed, with a process for each core, on the same
                 JPEG bytes as files: decoded by PIL, or by the loader's library. It is left out
                 (null) if its processes die: /dev/shm must hold two batches for each

The limiter is the slowest of loader, transfer and step: training cannot be faster. malloc works as
by default. The last line is one JSON object, in images/s.
"""

import importlib.metadata
import itertools
import json
import pathlib
import statistics
import sys
import tempfile

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from alexnet_jax.data.input.loader import threads
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.system import command_line, sharding
from alexnet_jax.system.cores import cores
from experiments.bench.data_contenders import (
    LeftOut,
    Measure,
    Training,
    decoding,
    loading,
    sample,
    stream,
    torch_loading,
)

ENOUGH = 0.85  # of the decode rate: above this share the loader itself costs little


def rates_in_turns(contenders: dict[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Return the rates of each contender that runs, in turns so that drift is the same for all."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(rates):
            try:
                rates[name].append(contenders[name]())
            except LeftOut as reason:
                print(f"{name} is left out: {reason}", file=sys.stderr)
                del rates[name]
        latest = ", ".join(f"{name} {values[-1]:.0f}" for name, values in rates.items())
        print(f"round {number + 1} of {rounds}: {latest}", file=sys.stderr, flush=True)
    return rates


def ratio(rates: dict[str, list[float]], one: str, other: str) -> float | None:
    """Return the median of the rounds' ratios, None where one of the two was not measured."""
    if one not in rates or other not in rates:
        return None
    return round(statistics.median(np.divide(rates[one], rates[other]).tolist()), 3)


def limiter(medians: dict[str, float]) -> str:
    """Return what limits training, and what would help."""
    stages = [name for name in ("loader", "transfer", "step") if name in medians]
    slowest = min(stages, key=medians.__getitem__)
    if slowest == "loader":
        if medians["loader"] < ENOUGH * medians["decode"]:
            return "loader: reading, copying"
        return "decode: more cores (above 16: and data.workers), or data.storage=raw"
    if slowest == "transfer":
        return "transfer: from host to device"
    return "step: the devices compute"


def contenders_of(
    config: ConfigDict, dataset: PreparedDataset, folder: pathlib.Path
) -> tuple[dict[str, Measure], Training | None]:
    """Return the contenders in the order of their turns, and the training (None: no steps)."""
    seconds, steps = flags.FLAGS.seconds, flags.FLAGS.steps
    contenders = {
        "decode": decoding(dataset, threads(config.data.workers), seconds),
        "loader": loading(dataset, config, seconds),
    }
    if flags.FLAGS.torch and dataset.is_jpeg and torch_version():
        for number, data in enumerate(sample(dataset)):
            (folder / f"{number:06d}.jpg").write_bytes(data)
        for decoder in ("pil", "simplejpeg"):
            contenders[f"torch_{decoder}"] = torch_loading(
                folder, decoder, config.batch_size, seconds
            )
    if not steps:
        return contenders, None
    training = Training(config, dataset)
    batches = stream(dataset, config)
    batch = next(batches)
    resident_batch = sharding.put_batch(training.mesh, batch)
    training.run(itertools.repeat(resident_batch), 2)  # compiles the step
    training.run(batches, 1)

    def resident() -> float:
        return training.run(itertools.repeat(resident_batch), steps)

    def fed() -> float:
        return training.run(batches, steps)

    def transfer() -> float:
        return training.transfer(batch, seconds)

    contenders |= {"transfer": transfer, "step": resident, "training": fed}
    return contenders, training


def torch_version() -> str | None:
    """Return PyTorch's version, None where it is not installed; not loaded, beside JAX's CUDA."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        print("PyTorch is not installed: only our own figures", file=sys.stderr)
        return None


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag()
    flags.DEFINE_integer("rounds", 5, "Turns of each measurement.")
    flags.DEFINE_float("seconds", 2.0, "Of each measurement of data in a round.")
    flags.DEFINE_integer("steps", 4, "Training steps of each kind in a round; 0: none.")
    flags.DEFINE_bool("torch", True, "Also PyTorch's DataLoader, where it is installed.")


def main(_) -> None:
    """Measure in turns and print the report."""
    config = flags.FLAGS.config
    sharding.split_cpu(config.mesh)
    dataset = prepare(config.data)
    with tempfile.TemporaryDirectory() as temporary:
        contenders, training = contenders_of(config, dataset, pathlib.Path(temporary))
        rates = rates_in_turns(contenders, flags.FLAGS.rounds)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    device = jax.devices()[0]
    result = {
        "storage": config.data.storage,
        "images": dataset.num_examples("train"),
        "bytes_per_image": round(statistics.mean(map(len, sample(dataset)))),
        "batch": config.batch_size,
        "cores": cores(),
        "threads": threads(config.data.workers),
        "device": f"{len(jax.devices())} {device.platform}:{device.device_kind}",
        "images_per_second": {
            name: round(medians[name], 1) if name in medians else None for name in contenders
        },
        "loader_to_decode": ratio(rates, "loader", "decode"),
        "loader_to_torch_pil": ratio(rates, "loader", "torch_pil"),
        "loader_to_torch_simplejpeg": ratio(rates, "loader", "torch_simplejpeg"),
        "training_to_step": ratio(rates, "training", "step"),
        "limiter": limiter(medians),
    }
    if training is not None:
        result["transfer_gb_per_second"] = round(medians["transfer"] * 3 * dataset.size**2 / 1e9, 2)
        result["transfer_is"] = "a copy in memory" if device.platform == "cpu" else "to the device"
        result["data_wait_ms"] = round(1e3 * training.wait / flags.FLAGS.steps, 2)
    result["rounds"] = {name: [round(r, 1) for r in values] for name, values in rates.items()}
    result["versions"] = {"jax": jax.__version__, "torch": torch_version()}
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
