"""Items of a source to stored examples: decoded, squared, encoded and summed up in threads.

Results come in the order of the items whatever the number of threads, and only a few chunks are
under way at a time, so memory does not grow with the dataset.
"""

import collections
import concurrent.futures
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from alexnet_jax.data.images import BadImageError, decode_jpeg, encode_jpeg
from alexnet_jax.data.sources import Item
from alexnet_jax.data.statistics import Accumulator

CHUNK = 16  # items to one call of a worker: 3 MB of pixels, some 40 ms of work
_CHUNKS_PER_WORKER = 3  # under way or finished and waiting


@dataclasses.dataclass(frozen=True)
class Converted:
    """An item as it will be stored: `image` is JPEG bytes, or (256, 256, 3) uint8 for raw."""

    name: str
    label: int
    image: bytes | np.ndarray


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What a worker made of one chunk of items; `sums` are over the pixels as stored."""

    converted: list[Converted]
    bad: list[BadImageError]
    sums: Accumulator | None


def convert(
    items: Iterable[Item],
    pool: concurrent.futures.ThreadPoolExecutor,
    *,
    workers: int,
    storage: str,
    with_sums: bool,
) -> Iterator[Chunk]:
    """Convert items in the pool and iterate over the chunks in order.

    Args:
      items: what to convert; iterated over in the calling thread, only as far as needed.
      pool: threads; `workers` is how many there are.
      storage: "jpeg" or "raw".
      with_sums: whether to sum the pixels up for the statistics.
    """
    work = functools.partial(_convert_chunk, storage=storage, with_sums=with_sums)
    remaining = iter(items)
    chunks = iter(lambda: list(itertools.islice(remaining, CHUNK)), [])
    waiting: collections.deque[concurrent.futures.Future[Chunk]] = collections.deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) >= _CHUNKS_PER_WORKER * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _convert_chunk(items: list[Item], *, storage: str, with_sums: bool) -> Chunk:
    sums = Accumulator() if with_sums else None
    converted: list[Converted] = []
    bad: list[BadImageError] = []
    for item in items:
        try:
            square = item.load()
        except BadImageError as error:
            bad.append(error)
            continue
        image: bytes | np.ndarray = square
        if storage == "jpeg":
            image = encode_jpeg(square)
        if sums is not None:
            sums.add(decode_jpeg(image) if isinstance(image, bytes) else image)
        converted.append(Converted(item.name, item.label, image))
    return Chunk(converted, bad, sums)
