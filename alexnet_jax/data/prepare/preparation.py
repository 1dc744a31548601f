"""A source to a prepared dataset: shard by shard, so that what is finished need not be done again.

A shard is a fixed range of items, so the files are the same whatever the number of threads and
however often the preparation was stopped (shards.py).
"""

import concurrent.futures
import math
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from alexnet_jax.data.prepare.convert import Chunk, Shard, by_shard, convert
from alexnet_jax.data.prepare.describe import describe
from alexnet_jax.data.prepare.disk import check_space
from alexnet_jax.data.prepare.shards import Note, Partial
from alexnet_jax.data.sources.source import Source
from alexnet_jax.data.store import layout
from alexnet_jax.data.store.statistics import Accumulator
from alexnet_jax.errors import DataError
from alexnet_jax.system.progress import PreparationProgress, duration

_SHARD_ITEMS = 256  # at least: some 9 MB of JPEG, a second of work
_MAX_SHARDS = 256  # of a split: reading keeps all files open, and 1024 is a usual limit


def partial_directory(directory: pathlib.Path) -> pathlib.Path:
    """Return where the preparation of `directory` keeps what is not finished."""
    return directory.with_name(f"incomplete.{directory.name}")


class Preparation:
    """One preparation of a source, new or gone on with. Only one at a time may use a directory."""

    def __init__(
        self, builder: Any, source: Source, *, workers: int, max_bad_fraction: float
    ) -> None:
        """Take stock of what is finished already.

        Args:
          builder: of datasets.BUILDERS; tells layout and directory.
          source: the images.
          workers: threads, at least 1.
          max_bad_fraction: share of each split that may be unreadable, and is skipped and listed.

        Raises:
          OSError: the directory cannot be written.
        """
        self._builder, self._source, self._workers = builder, source, workers
        self._max_bad_fraction = max_bad_fraction
        self._storage: str = builder.builder_config.storage
        self._directory = pathlib.Path(builder.data_dir)
        self._shards = [s for name in source.splits for s in self._plan(name)]
        plan = {
            "version": layout.VERSION,
            "storage": self._storage,
            "listing": source.digest,
            "files": [len(self._shards), self._shards[-1].file],
        }
        self._partial = Partial(partial_directory(self._directory), plan)
        self._sums = Accumulator()
        self._notes: dict[Shard, Note] = {}
        for shard in self._shards:
            note = self._partial.note(shard)
            if note is not None:
                self._notes[shard] = self._summed(note)

    def run(self) -> None:
        """Do what is left, and give the dataset its name.

        Raises:
          DataError: too many images cannot be read, or there is no room. What is finished stays,
            but for the shards in which something was skipped: it may be mended.
          OSError: a file cannot be written, ENOSPC where the disk is full.
        """
        with concurrent.futures.ThreadPoolExecutor(self._workers, "prepare") as pool:
            self._announce(pool)
            try:
                self._convert(pool)
                for split in self._source.splits:
                    self._check_skipped(split, whole=True)
            except DataError:
                for shard, note in self._notes.items():
                    if note.skipped:
                        self._partial.forget(shard)
                raise
        notes = {shard: self._notes[shard] for shard in self._shards}
        describe(self._builder, self._partial.data, self._source, notes, self._sums)
        self._partial.publish(self._directory)

    def _plan(self, split: str) -> Iterator[Shard]:
        """Iterate over the shards of a split."""
        count = self._source.splits[split].count
        size = max(_SHARD_ITEMS, math.ceil(count / _MAX_SHARDS))
        number, template = math.ceil(count / size), self._builder.template(split)
        for i in range(number):
            file = template.sharded_filepath(shard_index=i, num_shards=number).name
            yield Shard(split, i * size, min((i + 1) * size, count), file)

    def _summed(self, note: Note) -> Note:
        """Add a finished shard's sums to the whole, and let go of them: 1.5 MB each."""
        if note.sums is not None:
            self._sums.merge(note.sums)
        note.sums = None
        return note

    def _done(self) -> int:
        return sum(shard.stop - shard.start for shard in self._notes)

    def _announce(self, pool: concurrent.futures.ThreadPoolExecutor) -> None:
        """Say how much there is to do, how long it may take and what it needs; check the room."""
        total, done = sum(s.count for s in self._source.splits.values()), self._done()
        needed, free = check_space(total - done, self._storage, self._directory)
        expected = "a moment"
        count = min(4 * self._workers, (total - done) // 50)
        if count:
            images, split = max((s.count, name) for name, s in self._source.splits.items())
            places = [k * images // count for k in range(count)]
            start = time.monotonic()
            for _ in self._chunks([Shard(split, i, i + 1, "") for i in places], pool):
                pass
            seconds = (time.monotonic() - start) / count * (total - done)
            expected = f"about {duration(seconds)} (as {count} of them took)"
        print(
            f"preparing {self._builder.info.full_name}: {total} images, {done} of them done; "
            f"{expected} with {self._workers} threads; at most {needed / 1e9:.2f} GB more in "
            f"{self._directory.parent} ({free / 1e9:.2f} GB free)",
            file=sys.stderr,
            flush=True,
        )

    def _chunks(
        self, shards: list[Shard], pool: concurrent.futures.ThreadPoolExecutor
    ) -> Iterator[Chunk]:
        return convert(
            shards,
            self._source.splits,
            pool,
            workers=self._workers,
            storage=self._storage,
            resize=self._builder.builder_config.resize,
            encode=layout.encode,
        )

    def _convert(self, pool: concurrent.futures.ThreadPoolExecutor) -> None:
        """Make the shards that are missing, in order."""
        left = [shard for shard in self._shards if shard not in self._notes]
        total = sum(split.count for split in self._source.splits.values())
        # Syncing and hashing a shard goes on beside the conversion of the next one.
        closer = concurrent.futures.ThreadPoolExecutor(1, "finish")
        with PreparationProgress(total, self._builder.name, self._done()) as progress, closer:
            finishing: concurrent.futures.Future[None] | None = None
            for shard, chunks in by_shard(self._chunks(left, pool)):
                note = self._partial.write(shard, self._watched(shard, chunks, progress))
                self._notes[shard] = note
                if finishing is not None:
                    finishing.result()
                finishing = closer.submit(self._finish, shard, note)
            if finishing is not None:
                finishing.result()

    def _finish(self, shard: Shard, note: Note) -> None:
        self._partial.finish(shard, note)
        self._summed(note)

    def _watched(
        self, shard: Shard, chunks: Iterator[Chunk], progress: PreparationProgress
    ) -> Iterator[Chunk]:
        """Hand chunks on, and stop at the first image too many that cannot be read."""
        bad: list[tuple[str, str]] = []
        for chunk in chunks:
            bad += [(error.name, error.reason) for error in chunk.bad]
            if chunk.bad:
                self._check_skipped(shard.split, bad)
            progress.advance(len(chunk.records) + len(chunk.bad))
            yield chunk

    def _check_skipped(
        self, split: str, more: list[tuple[str, str]] | None = None, whole: bool = False
    ) -> None:
        bad = [s for shard, n in self._notes.items() if shard.split == split for s in n.skipped]
        bad += more or []
        count = self._source.splits[split].count
        first = f"{bad[0][0]}: {bad[0][1]}" if bad else ""
        if len(bad) > self._max_bad_fraction * count:
            raise DataError(
                f"{first}; {len(bad)} of {count} images of {split} cannot be read, more than "
                f"data.max_bad_fraction={self._max_bad_fraction} allows: repair or remove the "
                "file, or raise it"
            )
        if whole and len(bad) == count:
            raise DataError(f"not one image of {split} can be read; the first: {first}")
