"""Goes through every record of a prepared dataset once: is it whole, is it what it should be?"""

import concurrent.futures
import dataclasses
import hashlib
import itertools
import re
from collections.abc import Iterator

import numpy as np

from alexnet_jax.data.check.release_facts import Facts
from alexnet_jax.data.store.layout import SUMS_FILE
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.data.store.statistics import Accumulator
from alexnet_jax.errors import DataError
from alexnet_jax.system.progress import PreparationProgress

_BATCH = 32  # images that a thread reads at once: 6 MB


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ok None: told, and neither right nor wrong."""

    what: str
    expected: str
    found: str
    ok: bool | None


@dataclasses.dataclass
class Records:
    """What going through the records of all splits gave.

    Attributes:
      damaged: what is wrong with each record that cannot be read or decoded.
      mislabelled: train images whose name tells another class than their label.
      labels: of the images of the other splits, by name.
      duplicates: (split, name, name in train) of images that train has pixel by pixel.
      sums: of the pixels of train.
    """

    damaged: list[str] = dataclasses.field(default_factory=list)
    mislabelled: list[str] = dataclasses.field(default_factory=list)
    labels: dict[str, int] = dataclasses.field(default_factory=dict)
    duplicates: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    sums: Accumulator = dataclasses.field(default_factory=Accumulator)


@dataclasses.dataclass(frozen=True)
class _Batch:
    names: list[str]
    labels: np.ndarray  # (b,) int32
    hashes: list[bytes]  # of the decoded pixels
    damaged: list[str]
    sums: Accumulator | None


def read_records(dataset: PreparedDataset, workers: int) -> Records:
    """Read and decode every image in threads; memory: 200 bytes an image outside train."""
    found = Records()
    known: dict[bytes, tuple[str, str]] = {}
    # The small splits first, so that only their hashes are kept.
    splits = [s for s in dataset.splits if s != "train"] + ["train"]
    total = sum(dataset.num_examples(split) for split in splits)
    with (
        concurrent.futures.ThreadPoolExecutor(workers, "check") as pool,
        PreparationProgress(total, dataset.name, verb="checking") as progress,
    ):
        for split in splits:
            for batch in _batches(dataset, split, pool, workers):
                progress.advance(len(batch.names) + len(batch.damaged))
                found.damaged += batch.damaged
                if batch.sums is None:
                    found.labels |= zip(batch.names, map(int, batch.labels), strict=True)
                    places = [(split, name) for name in batch.names]
                    known |= zip(batch.hashes, places, strict=True)
                else:
                    found.sums.merge(batch.sums)
                    _take_train(found, batch, known, dataset.class_names)
    return found


def _take_train(
    found: Records,
    batch: _Batch,
    known: dict[bytes, tuple[str, str]],
    class_names: tuple[str, ...],
) -> None:
    """Look in a batch of train for images of other splits, and for names of other classes."""
    for name, label, pixels in zip(batch.names, batch.labels, batch.hashes, strict=True):
        if pixels in known:
            found.duplicates.append((*known[pixels], name))
        if not _names_class(name, class_names[label]):
            found.mislabelled.append(f"{name} is labelled {class_names[label]}")


def _names_class(name: str, class_name: str) -> bool:
    """Whether a train image's name agrees: <class>/..., or n01440764_10026.JPEG as in TFDS."""
    folder, slash, _ = name.replace("\\", "/").partition("/")
    if slash:
        return folder == class_name
    wnid = re.match(r"n\d{8}", name)
    return wnid is None or wnid.group() == class_name


def _batches(
    dataset: PreparedDataset,
    split: str,
    pool: concurrent.futures.ThreadPoolExecutor,
    workers: int,
) -> Iterator[_Batch]:
    """Iterate over a split, batches in order, a few under way at a time."""
    starts = iter(range(0, dataset.num_examples(split), _BATCH))
    waiting = [pool.submit(_read, dataset, split, s) for s in itertools.islice(starts, 2 * workers)]
    while waiting:
        yield waiting.pop(0).result()
        for start in itertools.islice(starts, 1):
            waiting.append(pool.submit(_read, dataset, split, start))


def _read(dataset: PreparedDataset, split: str, start: int) -> _Batch:
    """Read some images; where that fails, one by one, to say which is damaged."""
    indices = list(range(start, min(start + _BATCH, dataset.num_examples(split))))
    damaged = []
    try:
        images, labels = dataset.read(split, indices)
        names = dataset.file_names(split, indices)
    except DataError:
        whole, indices = indices, []
        for index in whole:
            try:
                dataset.read(split, [index])
                indices.append(index)
            except DataError as error:
                reason = str(error).removeprefix(f"{dataset.directory}: ").partition("; delete")[0]
                damaged.append(f"{split}[{index}]: {reason}")
        images, labels = dataset.read(split, indices)
        names = dataset.file_names(split, indices)
    sums = Accumulator() if split == "train" else None
    hashes = [hashlib.sha256(image).digest()[:16] for image in images]
    if sums is not None:
        sums.add_all(images)
    return _Batch(names, labels, hashes, damaged, sums)


def check_files(dataset: PreparedDataset) -> list[Finding]:
    """Compare the record files with SHA256SUMS.

    Raises:
      DataError: that file is missing or not one.
    """
    try:
        lines = (dataset.directory / SUMS_FILE).read_text().splitlines()
        expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise DataError(f"{dataset.directory / SUMS_FILE} cannot be read ({error})") from error
    there = {path.name for path in dataset.directory.glob("*.array_record*")}
    wrong = sorted(there ^ set(expected))
    for name in sorted(there & set(expected)):
        with (dataset.directory / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected[name]:
                wrong.append(name)
    found = f"{len(there)}, of them wrong: {', '.join(wrong) or 'none'}"
    return [Finding("files with their SHA-256", str(len(expected)), found, not wrong)]


def check_counts(dataset: PreparedDataset, facts: Facts | None) -> list[Finding]:
    """Compare the numbers of classes and images with the release's; skipped images count too."""
    classes = len(dataset.class_names)
    findings = [_count("classes", facts.classes if facts else None, classes)]
    for split in dataset.splits:
        skipped = sum(s["split"] == split for s in dataset.skipped)
        expected = facts.images.get(split) if facts else None
        findings.append(_count(f"{split} images", expected, dataset.num_examples(split) + skipped))
        if skipped:
            findings.append(Finding(f"{split} images left out, unreadable", "", str(skipped), None))
    for split in set(facts.images if facts else ()) - set(dataset.splits):
        findings.append(Finding(f"{split} images", str(facts and facts.images[split]), "0", False))
    return findings


def _count(what: str, expected: int | None, found: int) -> Finding:
    if expected is None:
        return Finding(what, "", str(found), None)
    return Finding(what, str(expected), str(found), expected == found)


def check_labels(dataset: PreparedDataset, records: Records, facts: Facts | None) -> list[Finding]:
    """Look at the order of the labels, and at classes and images whose label is known."""
    names = list(dataset.class_names)
    findings = [_listed("train images named of another class", records.mislabelled)]
    if "wnid" in (dataset.classes[0] if dataset.classes else {}):
        in_order = names == sorted(set(names)) == [c["wnid"] for c in dataset.classes]
        findings.append(Finding("labels", "sorted wnids", "as expected", True))
        if not in_order:
            findings[-1] = Finding("labels", "sorted wnids", f"{names[:3]} ...", False)
    if facts is None:
        return findings
    for wnid, label in facts.labels.items():
        found = names.index(wnid) if wnid in names else "missing"
        findings.append(Finding(f"label of {wnid}", str(label), str(found), label == found))
    ids = {c["wnid"]: c["ilsvrc_id"] for c in dataset.classes if "ilsvrc_id" in c}
    for wnid, number in facts.ilsvrc_ids.items() if ids else ():
        found = ids.get(wnid, "missing")
        findings.append(Finding(f"ILSVRC id of {wnid}", str(number), str(found), number == found))
    for name, label in facts.images_labels.items():
        found = records.labels.get(name, "missing")
        findings.append(Finding(f"label of {name}", str(label), str(found), label == found))
    return findings


def check_records(dataset: PreparedDataset, records: Records) -> list[Finding]:
    """Say what going through the records gave, and compare the statistics with those stored."""
    stored, made = dataset.statistics, records.sums.finalise() if records.sums.images else None
    same = stored is not None and made is not None and stored.same(made)
    pairs = [f"{split} {name} = train {other}" for split, name, other in records.duplicates]
    duplicates = _listed("images of other splits that train has too", pairs)
    return [
        _listed("damaged records", records.damaged),
        Finding(
            "mean and covariance", "those of the records", "the same" if same else "others", same
        ),
        dataclasses.replace(duplicates, ok=None, expected=""),
    ]


def _listed(what: str, items: list[str]) -> Finding:
    """Return the finding that there should be none of these."""
    first = f": {'; '.join(items[:3])}{' ...' if len(items) > 3 else ''}" if items else ""
    return Finding(what, "0", f"{len(items)}{first}", not items)
