"""Convert items of a source to records: threads decode them, make squares, encode and sum them.

Threads suffice, since nearly all of the work (Pillow, libjpeg, NumPy, SHA-256) releases Python's
lock. Memory does not grow with the dataset: only a few chunks are made in advance.
"""

import collections
import dataclasses
from collections.abc import Generator, Iterable, Iterator

import numpy as np

from alexnet_jax.data.decode.images import BadImageError, decode_jpeg, encode_jpeg
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources.source import Split
from alexnet_jax.data.store.layout import encode
from alexnet_jax.data.store.statistics import Accumulator
from alexnet_jax.system.threads import ordered_map

CHUNK = 32  # items in one call of a worker: of 256 pixels 6 MB, about 80 ms of work
_CHUNKS_PER_WORKER = 3  # being made or waiting


@dataclasses.dataclass(frozen=True)
class Shard:
    """Items start .. stop - 1 of a split, which always become one file."""

    split: str
    start: int
    stop: int
    file: str


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What a worker made of some items of a shard.

    Attributes:
      records: the items as they are stored.
      bad: the items that cannot be read.
      issues: (one of IMAGE_ISSUES, name of the item).
      sums: of the stored pixels; None for splits other than train.
    """

    shard: Shard
    records: list[bytes]
    bad: list[BadImageError]
    issues: list[tuple[str, str]]
    sums: Accumulator | None


def convert(
    shards: Iterable[Shard], splits: dict[str, Split], *, workers: int, storage: str, resize: Resize
) -> Generator[Chunk]:
    """Convert the items of shards, and iterate over the chunks in order.

    Args:
      shards: what to convert, taken only as far as needed.
      splits: of the source, by name.
      workers: how many threads.
      storage: "jpeg" or "raw".
      resize: how the squares are made, and their size.
    """

    def convert_chunk(work: tuple[Shard, range]) -> Chunk:
        shard, indices = work
        sums = Accumulator(resize.size) if shard.split == "train" else None
        chunk = Chunk(shard, [], [], [], sums)
        pixels = _converted(chunk, splits[shard.split], indices, storage, resize)
        if chunk.sums is not None:
            chunk.sums.add(pixels)
        else:
            collections.deque(pixels, maxlen=0)
        return chunk

    work = (
        (shard, range(start, min(start + CHUNK, shard.stop)))
        for shard in shards
        for start in range(shard.start, shard.stop, CHUNK)
    )
    return ordered_map(convert_chunk, work, workers, _CHUNKS_PER_WORKER * workers)


def _converted(
    chunk: Chunk, split: Split, indices: range, storage: str, resize: Resize
) -> Iterator[np.ndarray]:
    """Fill a chunk, and yield the stored pixels while they are in the processor's cache."""
    for index in indices:
        try:
            item = split.item(index)
            square, issues = item.load(resize)
        except BadImageError as error:
            chunk.bad.append(error)
            continue
        chunk.issues.extend((issue, item.name) for issue in issues)
        image = encode_jpeg(square) if storage == "jpeg" else square
        chunk.records.append(encode(item.name, item.label, image))
        if isinstance(image, bytes) and chunk.sums is not None:
            decode_jpeg(image, square)  # in place: the square is not needed any more
        yield square
