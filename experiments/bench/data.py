"""The ceiling report: how fast data could come, does come and is used, and what limits training.

    python -m experiments.bench.data --config=configs/ilsvrc2012.py \
        --config.data.dir=/path/to/imagenet

Prepares the images where they are not yet. In one run, in turns, the median of the rounds:

    decode       the library alone: as many threads as the loader has (data.workers; by default one
                 a core, at most 16) decode what is in memory already
    loader       whole batches on the host, as training gets them
    transfer     a batch to the devices
    step         the training step on a batch that is on the devices already
    training     the same step fed by the loader, through the pieces of the training loop
    torch_*      PyTorch's DataLoader, a process a core, on the same JPEG bytes as files: decoded by
                 PIL, or by the library that the loader has; where torch is installed. It is left
                 out (null) where its processes end: /dev/shm must hold two batches for each

The limiter is what training cannot be faster than: the slowest of loader, transfer and step. malloc
is as it comes, as beside an accelerator; on a CPU alone the commands keep memory (host_memory.py).
Last line: one JSON object, images/s.
"""

import itertools
import json
import pathlib
import statistics
import sys
import tempfile

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict, config_flags

from alexnet_jax.data.decode.images import SIZE
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

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe, a file of configs/.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each measurement.")
_SECONDS = flags.DEFINE_float("seconds", 2.0, "Of each measurement of data in a round.")
_STEPS = flags.DEFINE_integer("steps", 4, "Training steps, of each kind in a round; 0: none.")
_TORCH = flags.DEFINE_bool("torch", True, "Also PyTorch's DataLoader, where it is installed.")

ENOUGH = 0.85  # share of the decode rate from which on the loader itself costs little


def take_turns(contenders: dict[str, Measure]) -> dict[str, list[float]]:
    """Return the rates of each contender that runs, in turns so that drift is the same for all."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(_ROUNDS.value):
        for name in list(rates):
            try:
                rates[name].append(contenders[name]())
            except LeftOut as reason:
                print(f"{name} is left out: {reason}", file=sys.stderr)
                del rates[name]
        told = ", ".join(f"{name} {values[-1]:.0f}" for name, values in rates.items())
        print(f"round {number + 1} of {_ROUNDS.value}: {told}", file=sys.stderr, flush=True)
    return rates


def ratio(rates: dict[str, list[float]], one: str, other: str) -> float | None:
    """Return the median of the rounds' ratios, None where one of the two was not measured."""
    if one not in rates or other not in rates:
        return None
    return round(statistics.median(np.divide(rates[one], rates[other]).tolist()), 3)


def limiter(found: dict[str, float]) -> str:
    """Name what training cannot be faster than, and what would help."""
    slowest = min((n for n in ("loader", "transfer", "step") if n in found), key=lambda n: found[n])
    if slowest == "loader":
        whole = found["loader"] >= ENOUGH * found["decode"]
        more = "more cores (above 16: and data.workers), or data.storage=raw"
        return f"decode: {more}" if whole else "loader: reading, copying"
    if slowest == "transfer":
        return "transfer: from host to device"
    return "step: the devices compute"


def contenders_of(
    config: ConfigDict, dataset: PreparedDataset, folder: pathlib.Path
) -> tuple[dict[str, Measure], Training | None]:
    """Return what is measured, in the order of the turns, and the training if there is one."""
    seconds = _SECONDS.value
    contenders = {
        "decode": decoding(dataset, threads(config.data.workers), seconds),
        "loader": loading(dataset, config, seconds),
    }
    if _TORCH.value and dataset.is_jpeg and torch_version():
        for number, data in enumerate(sample(dataset)):
            (folder / f"{number:06d}.jpg").write_bytes(data)
        for decoder in ("pil", "simplejpeg"):
            contenders[f"torch_{decoder}"] = torch_loading(
                folder, decoder, config.batch_size, seconds
            )
    if not _STEPS.value:
        return contenders, None
    training = Training(config, dataset)
    batches = stream(dataset, config)
    batch = next(batches)
    here = sharding.put_batch(training.mesh, batch)
    training.run(itertools.repeat(here), 2)  # compiled
    training.run(batches, 1)

    def resident() -> float:
        return training.run(itertools.repeat(here), _STEPS.value)

    def fed() -> float:
        return training.run(batches, _STEPS.value)

    def transfer() -> float:
        return training.transfer(batch, seconds)

    contenders |= {"transfer": transfer, "step": resident, "training": fed}
    return contenders, training


def torch_version() -> str | None:
    """Return PyTorch's version, None where it is not installed."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: our own figures only", file=sys.stderr)
        return None
    return torch.__version__


def main(_) -> None:
    """Measure in turns and print the report."""
    config = _CONFIG.value
    sharding.split_cpu(config.mesh)
    dataset = prepare(config.data)
    with tempfile.TemporaryDirectory() as temporary:
        contenders, training = contenders_of(config, dataset, pathlib.Path(temporary))
        rates = take_turns(contenders)
    found = {name: statistics.median(values) for name, values in rates.items()}
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
            name: round(found[name], 1) if name in found else None for name in contenders
        },
        "loader_to_decode": ratio(rates, "loader", "decode"),
        "loader_to_torch_pil": ratio(rates, "loader", "torch_pil"),
        "loader_to_torch_simplejpeg": ratio(rates, "loader", "torch_simplejpeg"),
        "training_to_step": ratio(rates, "training", "step"),
        "limiter": limiter(found),
    }
    if training is not None:
        result["transfer_gb_per_second"] = round(found["transfer"] * SIZE * SIZE * 3 / 1e9, 2)
        result["transfer_is"] = "a copy in memory" if device.platform == "cpu" else "to the device"
        result["data_wait_ms"] = round(1e3 * training.wait / _STEPS.value, 2)
    result["rounds"] = {name: [round(r, 1) for r in values] for name, values in rates.items()}
    result["versions"] = {"jax": jax.__version__, "torch": torch_version()}
    print(json.dumps(result))


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command_line.run(main)
