"""Write the files beside the records of a prepared copy; store/layout.py lists them."""

import json
import pathlib

import tensorflow_datasets as tfds

from alexnet_jax.data.prepare.convert import Shard
from alexnet_jax.data.prepare.unfinished import Note
from alexnet_jax.data.sources.source import Source
from alexnet_jax.data.store import layout
from alexnet_jax.data.store.layout import Layout
from alexnet_jax.data.store.statistics import Accumulator


def describe(
    copy: Layout, folder: pathlib.Path, source: Source, notes: dict[Shard, Note], sums: Accumulator
) -> None:
    """Write into `folder` all files beside the shards.

    Args:
      copy: how the copy is stored.
      folder: where its shards are now.
      source: what they were made from.
      notes: of every shard, in order.
      sums: of the pixels of train, if the source has it.
    """
    if "train" in source.splits:
        sums.finalise().save(folder / layout.STATISTICS_FILE)
    issues: dict[str, dict[str, list[str]]] = {split: {} for split in source.splits}
    for shard, note in notes.items():
        for issue, name in note.issues:
            issues[shard.split].setdefault(issue, []).append(name)
    skipped = [
        {"split": shard.split, "file": file, "reason": reason}
        for shard, note in notes.items()
        for file, reason in note.skipped
    ]
    for name, content in (
        (layout.SKIPPED_FILE, skipped),
        (layout.IMAGE_ISSUES_FILE, issues),
        (layout.CLASSES_FILE, source.classes),
        *([(layout.LEFT_OUT_FILE, source.left_out)] if source.left_out else []),
    ):
        # JSON in ASCII: the name of a file may hold bytes that are not UTF-8.
        (folder / name).write_text(json.dumps(content, indent=1) + "\n")
    lines = [f"{note.sha256}  {shard.file}\n" for shard, note in notes.items()]
    (folder / layout.SUMS_FILE).write_text("".join(lines))
    splits = [_split_info(copy, split, notes) for split in source.splits]
    copy.dataset_info(splits).write_to_directory(folder)


def _split_info(copy: Layout, split: str, notes: dict[Shard, Note]) -> tfds.core.SplitInfo:
    of_split = [note for shard, note in notes.items() if shard.split == split]
    return tfds.core.SplitInfo(
        name=split,
        shard_lengths=[note.records for note in of_split],
        num_bytes=sum(note.bytes for note in of_split),
        filename_template=copy.template(split),
    )
