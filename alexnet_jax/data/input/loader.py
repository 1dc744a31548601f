"""Batches of a prepared dataset, in an order that is a pure function of (seed, epoch).

One Grain element is one whole batch: Grain's cost for an element is paid once a batch, and where
the disk is slow one request reads all its records. Any step can be the first at no cost, since a
batch's images follow from its number alone.
"""

import functools
import math
from collections.abc import Callable, Iterator

import grain
import numpy as np

from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import DataError
from alexnet_jax.system.cores import cores

Batch = dict[str, np.ndarray]

_MAX_WORKERS = 16  # each holds a batch: 25 MB at 128 images


@functools.lru_cache(maxsize=2)  # a batch may span epochs; 5 MB each for 1.28 million images
def order(seed: int, epoch: int, n: int) -> np.ndarray:
    """Return the order of n images in an epoch: a permutation of 0..n-1, (n,) int32, read-only."""
    key = np.array([seed, epoch], np.int64).astype(np.uint64)
    permutation = np.random.Generator(np.random.Philox(key=key)).permutation(n).astype(np.int32)
    permutation.flags.writeable = False
    return permutation


def train_indices(seed: int, n: int, positions: np.ndarray) -> np.ndarray:
    """Return which images stand at positions of the training stream.

    The stream is epoch after epoch without a gap: position p is order(seed, p // n, n)[p % n].

    Args:
      seed: of the order.
      n: images in the split.
      positions: (b,) int64, ascending.

    Returns:
      (b,) int64 in [0, n).
    """
    epochs, places = np.divmod(positions, n)
    indices = np.empty(len(positions), np.int64)
    for epoch in range(int(epochs[0]), int(epochs[-1]) + 1) if len(positions) else ():
        here = epochs == epoch
        indices[here] = order(seed, epoch, n)[places[here]]
    return indices


def threads(workers: int) -> int:
    """Return how many threads read where data.workers is this: 0: one for each core, at most 16."""
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

    Batch b is positions b * batch_size onwards of the stream (train_indices), so every image comes
    once an epoch, and a batch may hold the end of one epoch and the start of the next.

    Args:
      dataset: what to read; its split "train".
      batch_size: images in a batch over all processes.
      seed: of the order.
      start_step: first batch; nothing before it is read.
      steps: how many batches.
      rows: which rows of the whole batch this process wants; None: all.
      workers: threads; 0: one for each core, at most 16.

    Yields:
      image (b, 256, 256, 3) uint8 RGB, label (b,) int32. Close the iterator to end its threads
      before it is exhausted.

    Raises:
      DataError: the split is empty or unreadable.
      ValueError: a size that makes no sense.
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
    """Iterate over a split once, in stored order, each image exactly once.

    Every batch is whole: the last one is filled with black images of label 0 and mask 0.

    Args:
      dataset: what to read.
      split: "train" or "validation".
      batch_size: images in a batch over all processes.
      rows: which rows of the whole batch this process wants; None: all.
      workers: threads; 0: one for each core, at most 16.

    Yields:
      image (b, 256, 256, 3) uint8 RGB, label (b,) int32, mask (b,) float32: 1 an image, 0 filling.

    Raises:
      DataError: no such split, or it is empty or unreadable.
      ValueError: a size that makes no sense.
    """
    if batch_size < 1 or workers < 0:
        raise ValueError(f"expected batch_size >= 1, workers >= 0, not {batch_size}, {workers}")
    n = _count(dataset, split)
    chosen = np.arange(batch_size)[rows if rows is not None else slice(None)]

    def read(step: int) -> Batch:
        positions = step * batch_size + chosen
        real = positions < n
        images, labels = dataset.read(split, positions[real])
        missing = len(positions) - len(images)  # the filling is always last: positions ascend
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

    def attempt(step: int) -> Batch | DataError:
        try:
            return read(step)
        except DataError as error:  # raised below: Grain would add lines of its own to the message
            return error

    number = threads(workers)
    # Each thread has one batch under way; one more waits finished.
    options = grain.ReadOptions(num_threads=number, prefetch_buffer_size=number + 1)
    iterator = iter(grain.MapDataset.range(start, stop).map(attempt).to_iter_dataset(options))
    try:
        for batch in iterator:
            if isinstance(batch, DataError):
                raise batch
            yield batch
    finally:
        iterator.close()
