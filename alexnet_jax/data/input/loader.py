"""Batches of a prepared dataset, in an order that is a pure function of (seed, epoch).

A thread reads a whole batch at a time, so that on a slow disk one request can read all its records.
A batch's number determines its images, so a run can start at any step without extra work.
"""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import DataError
from alexnet_jax.system.cores import cores
from alexnet_jax.system.threads import ordered_map

Batch = dict[str, np.ndarray]

_MAX_WORKERS = 16  # each holds a batch: 25 MB at 128 images of 256 pixels


@functools.lru_cache(maxsize=2)  # a batch may span epochs; 5 MB each for 1.28 million images
def order(seed: int, epoch: int, n: int) -> np.ndarray:
    """Return the order of n images in an epoch: a permutation of 0..n-1, (n,) int32, read-only."""
    key = np.array([seed, epoch], np.int64).astype(np.uint64)
    permutation = np.random.Generator(np.random.Philox(key=key)).permutation(n).astype(np.int32)
    permutation.flags.writeable = False
    return permutation


def train_indices(seed: int, n: int, positions: np.ndarray) -> np.ndarray:
    """Return the indices of the images at some positions of the training stream.

    The stream is one epoch after another without a gap: position p is
    order(seed, p // n, n)[p % n].

    Args:
      seed: of the order.
      n: images in the split.
      positions: (b,) int64, ascending.

    Returns:
      (b,) int64 in [0, n).
    """
    epochs, offsets = np.divmod(positions, n)
    indices = np.empty(len(positions), np.int64)
    for epoch in range(int(epochs[0]), int(epochs[-1]) + 1) if len(positions) else ():
        here = epochs == epoch
        indices[here] = order(seed, epoch, n)[offsets[here]]
    return indices


def threads(workers: int) -> int:
    """Return how many threads data.workers stands for: 0 is one for each core, at most 16."""
    return workers or min(cores(), _MAX_WORKERS)


def train_batches(
    dataset: PreparedDataset,
    *,
    batch_size: int,
    seed: int,
    start_step: int,
    steps: int,
    rows: slice | None = None,
    workers: int = 0,
) -> Iterator[Batch]:
    """Iterate over training batches start_step .. start_step + steps - 1.

    Batch b starts at position b * batch_size of the stream (train_indices). So every image comes
    once in an epoch, and a batch may hold the end of one epoch and the start of the next.

    Args:
      dataset: its split "train" is read.
      batch_size: images in a batch over all processes.
      seed: of the order.
      start_step: the first batch; nothing before it is read.
      steps: how many batches.
      rows: the rows of the whole batch that this process needs; None: all.
      workers: threads; 0: one for each core, at most 16.

    Yields:
      image (b, size, size, 3) uint8 RGB, label (b,) int32. Closing the iterator ends its threads.

    Raises:
      DataError: the split is empty or unreadable.
      ValueError: a number is negative, or batch_size is 0.
    """
    if batch_size < 1 or start_step < 0 or steps < 0 or workers < 0:
        raise ValueError(
            "expected batch_size >= 1 and start_step, steps, workers >= 0, not "
            f"{batch_size}, {start_step}, {steps}, {workers}"
        )
    n = _count(dataset, "train")
    chosen = np.arange(batch_size)[rows if rows is not None else slice(None)]

    def read(step: int) -> Batch:
        indices = train_indices(seed, n, step * batch_size + chosen)
        images, labels = dataset.read("train", indices)
        return {"image": images, "label": labels}

    return _iterate(read, start_step, start_step + steps, workers)


def eval_batches(
    dataset: PreparedDataset,
    split: str,
    *,
    batch_size: int,
    rows: slice | None = None,
    workers: int = 0,
) -> Iterator[Batch]:
    """Iterate over a split once, in the stored order, each image exactly once.

    All batches have the same size: the last one is padded with black images of label 0 and mask 0.

    Args:
      dataset, batch_size, rows, workers: as in `train_batches`.
      split: one of the dataset's splits.

    Yields:
      image (b, size, size, 3) uint8 RGB, label (b,) int32, mask (b,) float32: 1 for an image,
      0 for padding.

    Raises:
      DataError: the split is missing, empty or unreadable.
      ValueError: batch_size < 1 or workers < 0.
    """
    if batch_size < 1 or workers < 0:
        raise ValueError(f"expected batch_size >= 1, workers >= 0, not {batch_size}, {workers}")
    n = _count(dataset, split)
    chosen = np.arange(batch_size)[rows if rows is not None else slice(None)]

    def read(step: int) -> Batch:
        positions = step * batch_size + chosen
        real = positions < n
        images, labels = dataset.read(split, positions[real])
        missing = len(positions) - len(images)  # at the end, since positions ascend
        if missing:
            images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])
            labels = np.concatenate([labels, np.zeros(missing, np.int32)])
        return {"image": images, "label": labels, "mask": real.astype(np.float32)}

    return _iterate(read, 0, math.ceil(n / batch_size), workers)


def _count(dataset: PreparedDataset, split: str) -> int:
    n = dataset.num_examples(split)
    if n == 0:
        raise DataError(f"{dataset.directory}: split {split} has no images; prepare it again")
    return n


def _iterate(read: Callable[[int], Batch], start: int, stop: int, workers: int) -> Iterator[Batch]:
    """Read batches start .. stop - 1 ahead in threads, which end when the iterator is closed."""
    number = threads(workers)
    # Each thread reads one batch, and one more is ready.
    return ordered_map(read, range(start, stop), number, number + 1)
