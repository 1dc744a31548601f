"""Make a prepared copy of a source, shard by shard.

A shard is a fixed range of items. So the files do not depend on the number of threads or on how
often the preparation was stopped, and finished shards are not made again (unfinished.py).
"""

import collections
import contextlib
import itertools
import math
import pathlib
from collections.abc import Iterator

from alexnet_jax.data.prepare.convert import Chunk, Shard, convert
from alexnet_jax.data.prepare.describe import describe
from alexnet_jax.data.prepare.disk import check_space
from alexnet_jax.data.prepare.unfinished import Note, Partial
from alexnet_jax.data.sources.source import Source
from alexnet_jax.data.store.layout import VERSION, Layout
from alexnet_jax.data.store.statistics import Accumulator
from alexnet_jax.errors import DataError
from alexnet_jax.system.lines import say
from alexnet_jax.system.progress import ImageProgress
from alexnet_jax.system.threads import ordered_map

_SHARD_ITEMS = 256  # at least: about 9 MB of JPEG, a second of work
_MAX_SHARDS = 256  # of a split: a reader keeps all files open, and 1024 is a usual limit


def partial_directory(directory: pathlib.Path) -> pathlib.Path:
    """Return where an unfinished preparation of `directory` is kept."""
    return directory.with_name(f"incomplete.{directory.name}")


class Preparation:
    """One preparation, begun or continued. Only one at a time may use a directory."""

    def __init__(
        self, copy: Layout, source: Source, *, workers: int, max_bad_fraction: float
    ) -> None:
        """Find the shards that are finished already.

        Args:
          copy: how the copy is stored, and where.
          source: the images.
          workers: threads, at least 1.
          max_bad_fraction: share of each split that may be unreadable; it is skipped and listed.

        Raises:
          OSError: the directory cannot be written.
        """
        self._copy, self._source, self._workers = copy, source, workers
        self._max_bad_fraction = max_bad_fraction
        self._total = sum(split.count for split in source.splits.values())
        self._shards = [s for name in source.splits for s in self._plan(name)]
        plan = {
            "version": VERSION,
            "storage": copy.storage,
            "listing": source.digest,
            "files": [len(self._shards), self._shards[-1].file],
        }
        self._partial = Partial(partial_directory(copy.directory), plan)
        self._sums = Accumulator(copy.resize.size)
        self._notes: dict[Shard, Note] = {}
        for shard in self._shards:
            note = self._partial.note(shard)
            if note is not None:
                self._notes[shard] = self._summed(note)

    def run(self) -> None:
        """Make the shards that are missing, and give the copy its final name.

        Raises:
          DataError: too many images cannot be read, or there is no room. Finished shards stay,
            except those in which an image was skipped: the user may repair it before the next try.
          OSError: a file cannot be written; ENOSPC if the disk is full.
        """
        self._announce()
        try:
            self._convert()
            for split in self._source.splits:
                self._check_skipped(split, whole=True)
        except DataError:
            for shard, note in self._notes.items():
                if note.skipped:
                    self._partial.forget(shard)
            raise
        notes = {shard: self._notes[shard] for shard in self._shards}
        describe(self._copy, self._partial.data, self._source, notes, self._sums)
        self._partial.publish(self._copy.directory)

    def _plan(self, split: str) -> Iterator[Shard]:
        """Iterate over the shards of a split."""
        count = self._source.splits[split].count
        size = max(_SHARD_ITEMS, math.ceil(count / _MAX_SHARDS))
        number, template = math.ceil(count / size), self._copy.template(split)
        for i in range(number):
            file = template.relative_filepath(shard_index=i, num_shards=number)
            yield Shard(split, i * size, min((i + 1) * size, count), file)

    def _summed(self, note: Note) -> Note:
        """Add the sums of a finished shard to those of train, and free them: 24 bytes a pixel."""
        if note.sums is not None:
            self._sums.merge(note.sums)
        note.sums = None
        return note

    def _done(self) -> int:
        return sum(shard.stop - shard.start for shard in self._notes)

    def _announce(self) -> None:
        """Print how much there is to do; check the space on disk."""
        copy, total, done = self._copy, self._total, self._done()
        needed, free = check_space(total - done, copy.storage, copy.resize.size, copy.directory)
        say(
            f"preparing {copy.full_name}: {total} images, {done} of them done, with "
            f"{self._workers} threads; at most {needed / 1e9:.2f} GB more in "
            f"{copy.directory.parent} ({free / 1e9:.2f} GB free)"
        )

    def _convert(self) -> None:
        """Make the shards that are missing, in order."""
        missing = [shard for shard in self._shards if shard not in self._notes]
        builder = self._copy.full_name.partition("/")[0]
        made = convert(
            missing,
            self._source.splits,
            workers=self._workers,
            storage=self._copy.storage,
            resize=self._copy.resize,
        )
        with (
            ImageProgress(self._total, builder, self._done()) as progress,
            contextlib.closing(made) as chunks,
        ):
            # A shard is synced and hashed in a thread while the next one is converted.
            collections.deque(ordered_map(self._finish, self._written(chunks, progress), 1, 1), 0)

    def _written(
        self, chunks: Iterator[Chunk], progress: ImageProgress
    ) -> Iterator[tuple[Shard, Note]]:
        """Write shards one after the other, and yield each one, to be finished."""
        for shard, of_shard in itertools.groupby(chunks, key=lambda chunk: chunk.shard):
            note = self._partial.write(shard, self._watched(shard, of_shard, progress))
            self._notes[shard] = note
            yield shard, note

    def _finish(self, written: tuple[Shard, Note]) -> None:
        shard, note = written
        self._partial.finish(shard, note)
        self._summed(note)

    def _watched(
        self, shard: Shard, chunks: Iterator[Chunk], progress: ImageProgress
    ) -> Iterator[Chunk]:
        """Pass chunks on, and stop as soon as too many images cannot be read."""
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
