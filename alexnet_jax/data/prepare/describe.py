"""What stands beside the record files of a prepared dataset: see store/layout.py."""

import json
import pathlib

import tensorflow_datasets as tfds

from alexnet_jax.data.prepare.convert import Shard
from alexnet_jax.data.prepare.shards import Note
from alexnet_jax.data.sources.source import Source
from alexnet_jax.data.store.layout import (
    CLASSES_FILE,
    ODD_FILE,
    SKIPPED_FILE,
    STATISTICS_FILE,
    SUMS_FILE,
    SquaresBuilder,
)
from alexnet_jax.data.store.statistics import Accumulator


def describe(
    builder: SquaresBuilder,
    directory: pathlib.Path,
    source: Source,
    notes: dict[Shard, Note],
    sums: Accumulator,
) -> None:
    """Write into `directory` all that stands beside the shards.

    Args:
      builder: whose dataset it is.
      directory: where the shards lie.
      source: what they were made of.
      notes: of every shard, in order.
      sums: over train, where it is there.
    """
    if "train" in source.splits:
        sums.finalise().save(directory / STATISTICS_FILE)
    odd: dict[str, dict[str, list[str]]] = {split: {} for split in source.splits}
    for shard, note in notes.items():
        for kind, name in note.odd:
            odd[shard.split].setdefault(kind, []).append(name)
    skipped = [
        {"split": shard.split, "file": file, "reason": reason}
        for shard, note in notes.items()
        for file, reason in note.skipped
    ]
    for name, content in (
        (SKIPPED_FILE, skipped),
        (ODD_FILE, odd),
        (CLASSES_FILE, source.classes),
    ):
        # ASCII: a file's name may hold bytes that are no UTF-8.
        (directory / name).write_text(json.dumps(content, indent=1) + "\n")
    lines = [f"{note.sha256}  {shard.file}\n" for shard, note in notes.items()]
    (directory / SUMS_FILE).write_text("".join(lines))
    builder.info.set_splits(
        tfds.core.SplitDict([_split_info(builder, split, notes) for split in source.splits])
    )
    builder.info.write_to_directory(directory)


def _split_info(
    builder: SquaresBuilder, split: str, notes: dict[Shard, Note]
) -> tfds.core.SplitInfo:
    of_split = [note for shard, note in notes.items() if shard.split == split]
    return tfds.core.SplitInfo(
        name=split,
        shard_lengths=[note.records for note in of_split],
        num_bytes=sum(note.bytes for note in of_split),
        filename_template=builder.template(split),
    )
