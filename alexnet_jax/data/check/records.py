"""Read every record of a prepared copy once."""

import dataclasses
import hashlib
import re

import numpy as np

from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.data.store.statistics import Accumulator
from alexnet_jax.errors import DataError
from alexnet_jax.system.progress import ImageProgress
from alexnet_jax.system.threads import ordered_map

_BATCH = 32  # images that a thread reads at once: 6 MB of 256 pixels


@dataclasses.dataclass
class Records:
    """What the records of all splits hold.

    Attributes:
      damaged: for each record that cannot be read or decoded, which one and why.
      mislabelled: train images whose name says another class than their label.
      labels: label of each image of the other splits, by name.
      duplicates: (split, name, name in train) of images that have the same pixels in train.
      sums: of the pixels of train (statistics.py).
    """

    sums: Accumulator
    damaged: list[str] = dataclasses.field(default_factory=list)
    mislabelled: list[str] = dataclasses.field(default_factory=list)
    labels: dict[str, int] = dataclasses.field(default_factory=dict)
    duplicates: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Batch:
    split: str
    names: list[str]
    labels: np.ndarray  # (b,) int32
    hashes: list[bytes]  # of the decoded pixels
    damaged: list[str]
    sums: Accumulator | None  # of train


def read_records(dataset: PreparedDataset, workers: int) -> Records:
    """Read and decode every image in threads. Needs 200 bytes for each image outside of train."""
    records = Records(Accumulator(dataset.size))
    by_hash: dict[bytes, tuple[str, str]] = {}
    # The small splits come first, so only their hashes are kept.
    splits = sorted(dataset.splits, key=lambda split: split == "train")
    counts = {split: dataset.num_examples(split) for split in splits}
    starts = ((split, start) for split in splits for start in range(0, counts[split], _BATCH))
    batches = ordered_map(lambda at: _read(dataset, *at), starts, workers, 2 * workers)
    with ImageProgress(sum(counts.values()), dataset.name, verb="checking") as progress:
        for batch in batches:
            progress.advance(len(batch.names) + len(batch.damaged))
            records.damaged += batch.damaged
            if batch.sums is None:
                records.labels |= zip(batch.names, map(int, batch.labels), strict=True)
                images = [(batch.split, name) for name in batch.names]
                by_hash |= zip(batch.hashes, images, strict=True)
                continue
            records.sums.merge(batch.sums)
            for name, label, pixels in zip(batch.names, batch.labels, batch.hashes, strict=True):
                if pixels in by_hash:
                    records.duplicates.append((*by_hash[pixels], name))
                class_name = dataset.class_names[label]
                if not _agree(name, class_name):
                    records.mislabelled.append(f"{name} is labelled {class_name}")
    return records


def _agree(name: str, class_name: str) -> bool:
    """Return whether a train image is named <class>/..., or n01440764_10026.JPEG as in TFDS."""
    folder, slash, _ = name.replace("\\", "/").partition("/")
    if slash:
        return folder == class_name
    wnid = re.match(r"n\d{8}", name)
    return wnid is None or wnid.group() == class_name


def _read(dataset: PreparedDataset, split: str, start: int) -> _Batch:
    """Read some images. If that fails, read them one by one, to find which are damaged."""
    indices = list(range(start, min(start + _BATCH, dataset.num_examples(split))))
    damaged = {}
    try:
        images, labels = dataset.read(split, indices)
    except DataError:
        for index in indices:
            try:
                dataset.read(split, [index])
            except DataError as error:
                reason = str(error).removeprefix(f"{dataset.directory}: ").partition("; delete")[0]
                damaged[index] = f"{split}[{index}]: {reason}"
        indices = [index for index in indices if index not in damaged]
        images, labels = dataset.read(split, indices)
    names = dataset.file_names(split, indices)
    hashes = [hashlib.sha256(image).digest()[:16] for image in images]
    sums = Accumulator(dataset.size) if split == "train" else None
    if sums is not None:
        sums.add(images)
    return _Batch(split, names, labels, hashes, list(damaged.values()), sums)
