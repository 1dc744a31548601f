"""An unfinished preparation on disk, which a later one can continue.

Beside the final directory, `incomplete.<version>/` holds

    plan.json  what decides the shards: the listing's digest, the storage, the number of items
    data/      finished shards under their final names
    notes/     for each of them its length, SHA-256, skipped images, image issues, and sums
    writing/   the shard that is being written

A shard is written, synced to disk and renamed into data/, and then its note is written in the same
way. So a shard that has a note is complete, whenever the process was killed. At the end data/
becomes the final directory.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from array_record.python import array_record_module

from alexnet_jax.data.prepare.convert import Chunk, Shard
from alexnet_jax.data.store.statistics import Accumulator
from alexnet_jax.system.atomic_file import sync, sync_tree
from alexnet_jax.system.json_text import parse_json
from alexnet_jax.system.lines import say


@dataclasses.dataclass
class Note:
    """The facts about a finished shard.

    Attributes:
      records: number of records.
      bytes: of all records.
      sha256: of the file, hex.
      skipped: (file, reason) of the items that could not be read.
      issues: (one of IMAGE_ISSUES, name of the item).
      sums: of its pixels, for the statistics; None for splits other than train, and after use.
    """

    records: int = 0
    bytes: int = 0
    sha256: str = ""
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    issues: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    sums: Accumulator | None = None

    def add(self, chunk: Chunk) -> None:
        """Add a chunk's bad items, issues and sums."""
        self.skipped += [(error.name, error.reason) for error in chunk.bad]
        self.issues += chunk.issues
        if self.sums is None:
            self.sums = chunk.sums
        elif chunk.sums is not None:
            self.sums.merge(chunk.sums)


class Partial:
    """The directory incomplete.<version>. One process at a time may use it (disk.only_one)."""

    def __init__(self, directory: pathlib.Path, plan: dict[str, Any]) -> None:
        """Continue with the directory if it has the same plan, else empty it."""
        self._directory = directory
        self.data = directory / "data"
        self._notes, self._writing = directory / "notes", directory / "writing"
        if directory.exists() and not _holds(directory / "plan.json", plan):
            say(f"{directory}: begun with other files, begins anew")
            shutil.rmtree(directory)
        shutil.rmtree(self._writing, ignore_errors=True)
        for folder in (self.data, self._notes, self._writing):
            folder.mkdir(parents=True, exist_ok=True)
        temporary = self._writing / "plan.json"
        temporary.write_text(json.dumps(plan))
        sync(temporary)
        temporary.replace(directory / "plan.json")

    def note(self, shard: Shard) -> Note | None:
        """Return the note of a shard, None if the shard is not finished."""
        try:
            with open(self._note_path(shard), "rb") as opened, np.load(opened) as file:
                fields = json.loads(str(file["text"]))
                sums = Accumulator.from_arrays(file) if "images" in file else None
            size = fields.pop("size")
            note = Note(**fields, sums=sums)
            whole = (self.data / shard.file).stat().st_size == size
        except Exception:  # missing, damaged, or of another program: the shard is made again
            return None
        return note if whole else None

    def write(self, shard: Shard, chunks: Iterator[Chunk]) -> Note:
        """Write the records of a shard into writing/; `finish` then moves it to data/.

        Raises:
          OSError: the file cannot be written; ENOSPC if the disk is full.
        """
        note, path = Note(), self._writing / shard.file
        # One record in a group, for random reads. zstd would cost time and save little on images.
        writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1,uncompressed")
        try:
            for chunk in chunks:
                note.add(chunk)
                for record in chunk.records:
                    _checked(writer.write, record)
                    note.records += 1
                    note.bytes += len(record)
            _checked(writer.close)
        except BaseException:
            with contextlib.suppress(RuntimeError):  # the first error is raised, not this one
                writer.close()
            path.unlink(missing_ok=True)  # half a shard must not fill the disk
            raise
        return note

    def finish(self, shard: Shard, note: Note) -> None:
        """Make a written shard permanent: sync it, rename it, write its note: 1 s for 200 MB.

        Raises:
          OSError: a file cannot be written.
        """
        path = self._writing / shard.file
        with path.open("rb") as file:
            note.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        path.replace(self.data / shard.file)
        sync(self.data)
        fields = {f.name: getattr(note, f.name) for f in dataclasses.fields(note)}
        sums = fields.pop("sums")
        temporary = self._writing / "note.npz"
        arrays = sums.arrays() if sums is not None else {}
        np.savez(temporary, text=json.dumps({**fields, "size": size}), **arrays)
        sync(temporary)
        temporary.replace(self._note_path(shard))
        sync(self._notes)

    def forget(self, shard: Shard) -> None:
        """Let the next preparation make this shard again."""
        self._note_path(shard).unlink(missing_ok=True)

    def publish(self, directory: pathlib.Path) -> None:
        """Give the finished data its final name, and remove the rest."""
        sync_tree(self.data)
        self.data.rename(directory)
        sync(directory.parent)
        shutil.rmtree(self._directory, ignore_errors=True)  # `prepare` removes it too

    def _note_path(self, shard: Shard) -> pathlib.Path:
        return self._notes / f"{shard.file}.npz"


def _holds(path: pathlib.Path, plan: dict[str, Any]) -> bool:
    try:
        return bool(parse_json(path.read_bytes()) == plan)
    except (OSError, ValueError):
        return False


def _checked(call: Callable[..., None], *arguments: Any) -> None:
    """Call ArrayRecord's writer, which raises RuntimeError for all errors; raise an OSError."""
    try:
        call(*arguments)
    except RuntimeError as error:
        full = (n for n in (errno.ENOSPC, errno.EDQUOT) if os.strerror(n) in str(error))
        number = next(full, errno.EIO)
        raise OSError(number, str(error)) from error
