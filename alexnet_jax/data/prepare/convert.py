"""Items of a source to records: decoded, squared, encoded and summed up in threads.

Results come in the order of the items whatever the number of threads, and only a few chunks are
under way at a time, so memory does not grow with the dataset. Threads, since nearly all of the
work (Pillow, libjpeg, NumPy, SHA-256) lets go of Python's lock.
"""

import collections
import concurrent.futures
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from alexnet_jax.data.decode.images import BadImageError, decode_jpeg, encode_jpeg
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources.source import Split
from alexnet_jax.data.store.statistics import Accumulator

CHUNK = 32  # items to one call of a worker: 6 MB of pixels, some 80 ms of work
_CHUNKS_PER_WORKER = 3  # under way or finished and waiting

# (name, label, JPEG bytes or (256, 256, 3) uint8) -> record
Encode = Callable[[str, int, bytes | np.ndarray], bytes]


@dataclasses.dataclass(frozen=True)
class Shard:
    """Items start .. stop - 1 of a split, which become one file whatever else happens."""

    split: str
    start: int
    stop: int
    file: str


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What a worker made of some items of a shard.

    Attributes:
      records: the items as stored.
      bad: the items that cannot be read.
      odd: (kind of odd.ODD, name of the item).
      sums: over the pixels as stored; None where nobody asked for them.
    """

    shard: Shard
    records: list[bytes]
    bad: list[BadImageError]
    odd: list[tuple[str, str]]
    sums: Accumulator | None


def convert(
    shards: Iterable[Shard],
    splits: dict[str, Split],
    pool: concurrent.futures.ThreadPoolExecutor,
    *,
    workers: int,
    storage: str,
    resize: Resize,
    encode: Encode,
) -> Iterator[Chunk]:
    """Convert the items of shards in the pool and iterate over the chunks in order.

    Args:
      shards: what to convert; gone through only as far as needed.
      splits: of the source, by name.
      pool: threads; `workers` is how many there are.
      storage: "jpeg" or "raw".
      resize: how the squares are made.
      encode: makes a record; called in the threads.
    """
    waiting: collections.deque[concurrent.futures.Future[Chunk]] = collections.deque()
    try:
        for shard in shards:
            for start in range(shard.start, shard.stop, CHUNK):
                indices = range(start, min(start + CHUNK, shard.stop))
                split = splits[shard.split]
                waiting.append(
                    pool.submit(_convert_chunk, shard, split, indices, storage, resize, encode)
                )
                if len(waiting) >= _CHUNKS_PER_WORKER * workers:
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def by_shard(chunks: Iterator[Chunk]) -> Iterator[tuple[Shard, Iterator[Chunk]]]:
    """Group chunks by their shard; each group is to be used up before the next."""
    return itertools.groupby(chunks, key=lambda chunk: chunk.shard)


def _convert_chunk(
    shard: Shard, split: Split, indices: range, storage: str, resize: Resize, encode: Encode
) -> Chunk:
    chunk = Chunk(shard, [], [], [], Accumulator() if shard.split == "train" else None)
    pixels = _converted(chunk, split, indices, storage, resize, encode)
    if chunk.sums is not None:
        chunk.sums.add_all(pixels)
    else:
        collections.deque(pixels, maxlen=0)
    return chunk


def _converted(
    chunk: Chunk, split: Split, indices: range, storage: str, resize: Resize, encode: Encode
) -> Iterator[np.ndarray]:
    """Fill in a chunk, and iterate over the pixels as stored while they are in the cache."""
    for index in indices:
        try:
            item = split.item(index)
            square, odd = item.load(resize)
        except BadImageError as error:
            chunk.bad.append(error)
            continue
        chunk.odd.extend((kind, item.name) for kind in odd)
        image = encode_jpeg(square) if storage == "jpeg" else square
        chunk.records.append(encode(item.name, item.label, image))
        if isinstance(image, bytes) and chunk.sums is not None:
            decode_jpeg(image, square)  # in place: the square is not needed any more
        yield square
