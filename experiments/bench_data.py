"""The ceiling report: how fast data could come, does come and is used, and what limits training.

    python experiments/bench_data.py --config=configs/ilsvrc2012.py \
        --config.data.dir=/path/to/imagenet

Prepares the images where they are not yet. In one run, in turns, the median of the rounds:

    decode       the library alone: a thread a core decodes what is in memory already
    loader       whole batches on the host, as training gets them
    transfer     a batch to the devices
    step         the training step on a batch that is on the devices already
    training     the same step fed by the loader, through the pieces of the training loop
    torch_*      PyTorch's DataLoader, a process a core, on the same JPEG bytes as files: decoded by
                 PIL, or by the library that the loader has; where torch is installed

The limiter is what training cannot be faster than: the slowest of loader, transfer and step.
Last line: one JSON object, images/s.
"""

import collections
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from absl import app, flags
from ml_collections import ConfigDict, config_flags

from alexnet_jax import sharding, spec
from alexnet_jax.data import augment
from alexnet_jax.data.images import SIZE, decode_jpeg
from alexnet_jax.data.loader import train_batches
from alexnet_jax.data.prepare import prepare
from alexnet_jax.data.prepared import PreparedDataset
from alexnet_jax.train import IN_FLIGHT
from alexnet_jax.train_step import create_state, make_train_step

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe, a file of configs/.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each measurement.")
_SECONDS = flags.DEFINE_float("seconds", 2.0, "Of each measurement of data in a round.")
_STEPS = flags.DEFINE_integer("steps", 4, "Training steps, of each kind in a round; 0: none.")

Measure = Callable[[], float]  # images/s of one turn
ENOUGH = 0.85  # share of the decode rate from which on the loader itself costs little


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0))


def over_batches(batches: Iterator, count: Callable[[Any], int], skipped: int) -> float:
    """Return the rate of an endless stream over some seconds, once what was read ahead is used."""
    for _ in range(skipped):
        next(batches)
    done, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < _SECONDS.value:
        done += count(next(batches))
    return done / (time.perf_counter() - begin)


def decoding(dataset: PreparedDataset) -> Measure:
    """The stored bytes to pixels, nothing else, by a thread a core."""
    count = min(2048, dataset.num_examples("train"))
    stored = dataset.stored("train", range(count))
    pool = concurrent.futures.ThreadPoolExecutor(cores())

    def work(first: int) -> int:
        pixels = np.empty((SIZE, SIZE, 3), np.uint8)
        endless = itertools.cycle(stored[first:] + stored[:first])
        end, done = time.perf_counter() + _SECONDS.value, 0
        while time.perf_counter() < end:
            data = next(endless)
            if dataset.is_jpeg:
                decode_jpeg(data, pixels)
            else:
                pixels[:] = np.frombuffer(data, np.uint8).reshape(pixels.shape)
            done += 1
        return done

    def measure() -> float:
        begin = time.perf_counter()
        done = sum(pool.map(work, range(0, count, -(-count // cores()))))
        return done / (time.perf_counter() - begin)

    return measure


def loading(dataset: PreparedDataset, config: ConfigDict) -> Measure:
    """Batches of the loader, used up at once."""
    threads = config.data.workers or cores()

    def measure() -> float:
        with contextlib.closing(stream(dataset, config)) as batches:
            return over_batches(batches, lambda batch: len(batch["label"]), 2 * threads + 1)

    return measure


def stream(dataset: PreparedDataset, config: ConfigDict) -> Generator:
    """The loader as training has it, without end."""
    yield from train_batches(
        dataset,
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=0,
        steps=10**9,
        workers=config.data.workers,
    )


def torch_loading(folder: pathlib.Path, decoder: str, batch_size: int) -> Measure:
    """PyTorch's DataLoader over the files of a folder; its processes begin before it is timed."""
    from torch_loader import batches

    def measure() -> float:
        made = batches(folder, decoder, batch_size, cores())
        rate = over_batches(made, lambda batch: len(batch[0]), 2 * cores() + 1)
        made._shutdown_workers()  # so that the next turn has the cores to itself
        return rate

    return measure


class Training:
    """The training loop's pieces: put_batch, the compiled step, and no more steps ahead than it."""

    def __init__(self, config: ConfigDict, dataset: PreparedDataset) -> None:
        net = spec.resolve(config.model, len(dataset.class_names))
        self.mesh = sharding.make_mesh(config.mesh, net.columns, config.batch_size)
        consts = augment.constants(dataset.statistics, config.data)
        self.consts = sharding.put_everywhere(self.mesh, consts)
        self.step = make_train_step(config, net, self.mesh)
        self.state = create_state(config, net, self.mesh)
        self.batch_size = config.batch_size
        self.wait = 0.0  # seconds for data in the last turn

    def run(self, batches: Iterable, steps: int) -> float:
        """Make some steps and return images/s, the last step's end included."""
        flying: collections.deque[jax.Array] = collections.deque()
        self.wait, begin = 0.0, time.perf_counter()
        source = iter(batches)
        for _ in range(steps):
            asked = time.perf_counter()
            batch = sharding.put_batch(self.mesh, next(source))
            self.wait += time.perf_counter() - asked
            self.state, loss = self.step(self.state, batch, self.consts)
            flying.append(loss)
            if len(flying) > IN_FLIGHT:
                flying.popleft().block_until_ready()
        jax.block_until_ready(self.state)
        return steps * self.batch_size / (time.perf_counter() - begin)

    def transfer(self, batch: dict[str, np.ndarray]) -> float:
        """Return images/s of copies of one batch to the devices."""
        done, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < _SECONDS.value / 4:
            jax.block_until_ready(sharding.put_batch(self.mesh, batch))
            done += self.batch_size
        return done / (time.perf_counter() - begin)


def take_turns(contenders: dict[str, Measure]) -> dict[str, list[float]]:
    """Return the rates of each contender; a machine whose speed drifts is the same for all."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(_ROUNDS.value):
        for name, measure in contenders.items():
            rates[name].append(measure())
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
        return "decode: more cores, or data.storage=raw" if whole else "loader: reading, copying"
    if slowest == "transfer":
        return "transfer: from host to device"
    return "step: the devices compute"


def files_of(dataset: PreparedDataset, folder: pathlib.Path) -> None:
    """Write the stored JPEG bytes of train as files, at most 2,000 of them."""
    count = min(2000, dataset.num_examples("train"))
    for number, data in enumerate(dataset.stored("train", range(count))):
        (folder / f"{number:06d}.jpg").write_bytes(data)


def contenders_of(
    config: ConfigDict, dataset: PreparedDataset, folder: pathlib.Path
) -> tuple[dict[str, Measure], Training | None]:
    """Return what is measured, in the order of the turns, and the training if there is one."""
    contenders = {"decode": decoding(dataset), "loader": loading(dataset, config)}
    if dataset.is_jpeg and torch_version():
        files_of(dataset, folder)
        for decoder in ("pil", "simplejpeg"):
            contenders[f"torch_{decoder}"] = torch_loading(folder, decoder, config.batch_size)
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

    contenders |= {"transfer": lambda: training.transfer(batch), "step": resident, "training": fed}
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
        "bytes_per_image": round(statistics.mean(map(len, dataset.stored("train", range(500))))),
        "batch": config.batch_size,
        "cores": cores(),
        "device": f"{len(jax.devices())} {device.platform}:{device.device_kind}",
        "images_per_second": {name: round(rate, 1) for name, rate in found.items()},
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
    app.run(main)
