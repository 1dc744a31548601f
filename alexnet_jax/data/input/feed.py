"""Where the batches of training come from: the prepared copy, or the memory of the devices.

Both give the same images in the same order (loader.train_indices), so a run may change between
them when it goes on.
"""

import functools
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from alexnet_jax.data.input.loader import Batch, train_indices
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import ConfigError
from alexnet_jax.system import distributed, progress
from alexnet_jax.system.sharding import DATA, batch_sharding, put_batch, put_everywhere

_CPU_BYTES = 10**9  # of all copies of a split, one for each virtual device
_PIXELS = 2**22  # of the views in one call
_MOST_STEPS = 32


def split_bytes(images: int, size: int) -> int:
    """Return the bytes in memory of so many images of size x size pixels, and of their labels."""
    return images * (3 * size**2 + 4)


def is_resident(asked: str, size: int, mesh: Mesh) -> bool:
    """Whether the training images live on the devices; of several processes, the first decides.

    Args:
      asked: data.resident. auto: where they take less than a quarter of a device's memory, or less
        than 1 GB on a CPU.
      size: of the split "train", in bytes.
      mesh: its devices each hold the whole split.

    Raises:
      ConfigError: they are asked for, and larger than the memory.
    """
    if asked == "off":
        return False
    devices = mesh.local_devices
    memory = (devices[0].memory_stats() or {}).get("bytes_limit")
    limit = memory / 4 if memory else _CPU_BYTES / len(devices)
    if asked == "auto":
        return distributed.first_says(size < limit)  # devices of two kinds would disagree
    if not memory:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / len(devices)
    if size > memory:
        raise ConfigError(
            f"data.resident=on: the training images are {size / 1e9:,.1f} GB, and a device has "
            f"{memory / 1e9:,.1f} GB; auto reads them as they are needed"
        )
    return True


def steps_in_a_call(mesh: Mesh, batch_size: int, image_size: int) -> int:
    """Return how many steps with resident images a call does at most.

    An accelerator does a step of a small net on small pictures in less time than the host needs to
    start it. Inside a compiled loop XLA's convolutions on a CPU take six times as long.
    """
    if mesh.devices.flat[0].platform == "cpu":
        return 1
    return min(_MOST_STEPS, max(1, _PIXELS // (batch_size * image_size**2)))


def read_all(
    dataset: PreparedDataset, batches: Iterable[Batch], say: Callable[[str], object]
) -> tuple[np.ndarray, np.ndarray]:
    """Return all training images, (n, size, size, 3) uint8, and labels, (n,) int32.

    Args:
      dataset: the run's.
      batches: what `eval_batches` gave for its split "train".
      say: is told how long it takes, if that is more than two seconds.
    """
    n, done, said, begin = dataset.num_examples("train"), 0, False, time.monotonic()
    images = np.empty((n, dataset.size, dataset.size, 3), np.uint8)
    labels = np.empty(n, np.int32)
    for batch in batches:
        here = slice(done, min(n, done + len(batch["label"])))
        done = here.stop
        images[here] = batch["image"][: done - here.start]
        labels[here] = batch["label"][: done - here.start]
        spent = time.monotonic() - begin
        left = spent * (n - done) / done
        if not said and spent > 1 and left > 1:
            said = True
            say(f"reading the training images into memory: {progress.duration(left)} left")
    return images, labels


class Loaded:
    """Batches that are read when they are needed.

    Attributes:
      most: steps that `take` may be asked for.
      reads: whether `take` waits for the host to read them.
    """

    most, reads = 1, True

    def __init__(self, mesh: Mesh, batches: Iterable[Batch]) -> None:
        """`batches` is what `train_batches` gave for the rows of this process."""
        self._mesh, self._batches = mesh, iter(batches)

    def take(self, step: int, steps: int) -> dict[str, jax.Array]:
        """Return the next batch, on the devices."""
        return put_batch(self._mesh, next(self._batches))


class Resident:
    """Batches from a split that is on the devices.

    Args:
      mesh: each of its devices holds a copy.
      images: (n, size, size, 3) uint8.
      labels: (n,) int32.
      batch_size: images of a step.
      seed: of the order.
      most: steps that `take` may be asked for.
    """

    reads = False  # on a CPU `take` may wait, but only for the step before it

    def __init__(
        self,
        mesh: Mesh,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        most: int,
    ) -> None:
        self.most = most
        self._mesh, self._batch_size, self._seed = mesh, batch_size, seed
        self._split = put_everywhere(mesh, {"image": images, "label": labels})

    def take(self, step: int, steps: int) -> dict[str, Any]:
        """Return what the steps from `step` on need.

        Returns:
          If `most` is 1, the batch: what `make_train_step`'s step takes. Else what
          `make_train_steps` takes: split; indices (most, B) int32, of which the first `steps` rows
          are used; and count.
        """
        positions = np.arange(self.most * self._batch_size) + step * self._batch_size
        indices = train_indices(self._seed, len(self._split["label"]), positions).astype(np.int32)
        if self.most == 1:
            return _gathered(self._mesh)(self._split, put_everywhere(self._mesh, indices))
        host = {"indices": indices.reshape(self.most, -1), "count": np.int32(steps)}
        return {"split": self._split, **put_everywhere(self._mesh, host)}


def gather(mesh: Mesh, split: dict[str, jax.Array], indices: jax.Array) -> dict[str, jax.Array]:
    """Return images of a split that every device holds, (B,) indices, as a batch over "data"."""

    def rows(split, indices):
        return {name: x.at[indices].get(mode="promise_in_bounds") for name, x in split.items()}

    of_each = jax.shard_map(rows, mesh=mesh, in_specs=(P(), P(DATA)), out_specs=P(DATA))
    return of_each(split, indices)


@functools.cache
def _gathered(mesh: Mesh):
    return jax.jit(functools.partial(gather, mesh), out_shardings=batch_sharding(mesh))
