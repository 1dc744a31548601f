"""What bench/data.py compares: each function returns a call that measures images/s of one turn."""

import collections
import concurrent.futures
import contextlib
import itertools
import pathlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.decode.images import decode_jpeg
from alexnet_jax.data.input.loader import threads, train_batches
from alexnet_jax.data.input.pixel_stats import make_pixel_stats
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.net import resolving
from alexnet_jax.step.create import create_state
from alexnet_jax.step.train_step import make_train_step
from alexnet_jax.system import sharding
from alexnet_jax.system.cores import cores
from alexnet_jax.training_loop import IN_FLIGHT

Measure = Callable[[], float]  # images/s of one turn


class LeftOut(Exception):
    """A contender that this machine cannot run."""


def over_batches(
    batches: Iterator, count: Callable[[Any], int], skipped: int, seconds: float
) -> float:
    """Return the rate of an endless stream over some seconds, after `skipped` batches."""
    for _ in range(skipped):
        next(batches)
    done, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        done += count(next(batches))
    return done / (time.perf_counter() - begin)


def sample(dataset: PreparedDataset) -> list[bytes]:
    """Return at most 2,000 images as they are stored: 70 MB of JPEG."""
    return dataset.stored("train", range(min(2000, dataset.num_examples("train"))))


def decoding(dataset: PreparedDataset, number: int, seconds: float) -> Measure:
    """Measure the decoding of stored bytes alone, by `number` threads."""
    stored = sample(dataset)
    pool = concurrent.futures.ThreadPoolExecutor(number)

    def work(first: int) -> int:
        pixels = np.empty((dataset.size, dataset.size, 3), np.uint8)
        endless = itertools.cycle(stored[first:] + stored[:first])
        end, done = time.perf_counter() + seconds, 0
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
        done = sum(pool.map(work, range(0, len(stored), -(-len(stored) // number))))
        return done / (time.perf_counter() - begin)

    return measure


def loading(dataset: PreparedDataset, config: ConfigDict, seconds: float) -> Measure:
    """Measure the loader's batches, which are dropped at once."""
    skipped = 2 * threads(config.data.workers) + 1

    def measure() -> float:
        with contextlib.closing(stream(dataset, config)) as batches:
            return over_batches(batches, lambda batch: len(batch["label"]), skipped, seconds)

    return measure


def stream(dataset: PreparedDataset, config: ConfigDict) -> Generator:
    """Yield the batches that training gets, without end."""
    yield from train_batches(
        dataset,
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=0,
        steps=10**9,
        workers=config.data.workers,
    )


def torch_loading(folder: pathlib.Path, decoder: str, batch_size: int, seconds: float) -> Measure:
    """Measure PyTorch's DataLoader over the files of a folder, after its processes have begun.

    The measurement raises LeftOut if one of these processes dies.
    """
    from experiments.bench.torch_loader import loader

    def measure() -> float:
        batches: Any = iter(loader(folder, decoder, batch_size, cores()))
        try:
            return over_batches(batches, lambda batch: len(batch[0]), 2 * cores() + 1, seconds)
        except RuntimeError as error:  # /dev/shm may be too small: 64 MB in Docker
            raise LeftOut(str(error).strip().splitlines()[-1]) from error
        finally:
            batches._shutdown_workers()  # so that the next turn has the cores to itself

    return measure


class Training:
    """The parts of the training loop: put_batch, the compiled step, IN_FLIGHT steps ahead."""

    def __init__(self, config: ConfigDict, dataset: PreparedDataset) -> None:
        arch = resolving.resolve(config.model, len(dataset.class_names))
        self.mesh = sharding.make_mesh(config.mesh, arch.columns, config.batch_size)
        pixel_stats = make_pixel_stats(dataset.statistics, config.data)
        self.pixel_stats = sharding.put_everywhere(self.mesh, pixel_stats)
        self.step = make_train_step(config, arch, self.mesh)
        self.state = create_state(config, arch, self.mesh)
        self.batch_size = config.batch_size
        self.wait = 0.0  # seconds for data in the last turn

    def run(self, batches: Iterable, steps: int) -> float:
        """Take some steps; return images/s until the end of the last step."""
        in_flight: collections.deque[jax.Array] = collections.deque()
        self.wait, begin = 0.0, time.perf_counter()
        source = iter(batches)
        for _ in range(steps):
            asked = time.perf_counter()
            batch = sharding.put_batch(self.mesh, next(source))
            self.wait += time.perf_counter() - asked
            self.state, loss = self.step(self.state, batch, self.pixel_stats)
            in_flight.append(loss)
            if len(in_flight) > IN_FLIGHT:
                in_flight.popleft().block_until_ready()
        jax.block_until_ready(self.state)
        return steps * self.batch_size / (time.perf_counter() - begin)

    def transfer(self, batch: dict[str, np.ndarray], seconds: float) -> float:
        """Return images/s of copies of one batch to the devices."""
        done, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            jax.block_until_ready(sharding.put_batch(self.mesh, batch))
            done += self.batch_size
        return done / (time.perf_counter() - begin)
