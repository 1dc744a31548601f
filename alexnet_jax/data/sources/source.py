"""The interface of all sources of images.

A source has class names and splits: `train`, `validation` and perhaps `test`. A split gives any of
its items by index. An item reads its image and makes the square only when a worker asks for it.
"""

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Sequence

from alexnet_jax.data.decode.images import Square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources.listing import LeftOut
from alexnet_jax.errors import ConfigError, DataError

WHOLE = {  # what is downloaded, by data.release or data.builder: its name, its images
    "2012": ("ILSVRC-2012", {"train": 1_281_167, "validation": 50_000}),
    "2010": ("ILSVRC-2010", {"train": 1_261_406, "validation": 50_000, "test": 150_000}),
    "cifar10": ("CIFAR-10", {"train": 50_000, "validation": 10_000}),
    "tiny_imagenet": ("Tiny ImageNet", {"train": 100_000, "validation": 10_000}),
}
_NAMED = 10  # classes that a line names


@dataclasses.dataclass(frozen=True)
class Item:
    """One image to prepare: its name, its label, and a function that makes its square."""

    name: str
    label: int
    load: Callable[[Resize], Square]  # raises BadImageError


@dataclasses.dataclass(frozen=True)
class Split:
    """How many items there are, and a function that returns item i, in any thread and any order.

    The function raises BadImageError if not even the name of the item can be read.

    Attributes:
      labels: of all items, where they are known without reading; else empty.
    """

    count: int
    item: Callable[[int], Item]
    labels: Sequence[int] = ()


@dataclasses.dataclass(frozen=True)
class Source:
    """Images to prepare.

    Attributes:
      class_names: in the order of their labels.
      splits: `train`, `validation`, and `test` if there is one with labels.
      digest: a hash of all names and labels.
      classes: what the source says about each class, in the order of the labels: wnid, words,
        ilsvrc_id.
      left_out: how many files a listing left out, by reason.
      notes: what a reader should know, a line each.
    """

    class_names: tuple[str, ...]
    splits: dict[str, Split]
    digest: str
    classes: tuple[dict[str, str | int], ...] = ()
    left_out: LeftOut = dataclasses.field(default_factory=LeftOut)
    notes: tuple[str, ...] = ()


def digest_of(parts: Iterable[object]) -> str:
    """Return the SHA-256, in hex, of the text of all parts, each with a newline after it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def listing_digest(class_names: Iterable[str], splits: dict[str, Split]) -> str:
    """Return the digest of all classes, and of the split, name and label of all items."""
    items = ((name, split.item(i)) for name, split in splits.items() for i in range(split.count))
    lines = ((split, item.name, item.label) for split, item in items)
    return digest_of(itertools.chain(class_names, lines))


def note_if_a_part(dataset: str, where: str, counts: dict[str, int]) -> str:
    """Return a note where there are other numbers of images than in the whole dataset, else "".

    Args:
      dataset: a key of WHOLE; of any other nothing is known.
      where: names the images in the note.
      counts: split -> images that are there.
    """
    what, images = WHOLE.get(dataset, ("", {}))
    splits = [split for split in images if split in counts]
    if all(counts[split] == images[split] for split in splits):
        return ""
    here = " and ".join(f"{counts[split]:,} {split}" for split in splits)
    whole = " and ".join(f"{images[split]:,}" for split in splits)
    return f"{where} has {here} images, {what} {whole}"


def hold_out(whole: Split, fraction: float, share_of: str, where: str) -> dict[str, Split]:
    """Divide images into train and validation: at least one is held out, never all.

    The hashes of the names decide. With share_of="all" no file moves when others come or go.

    Args:
      whole: the images, whose labels are known.
      fraction: the share that is held out.
      share_of: "class": of each class, those with the lowest hashes, and at least one of each class
        that has two; "all": of all images, those whose hash is below the fraction.
      where: names the images in an error.

    Raises:
      ConfigError: the fraction is not between 0 and 1.
      DataError: there are fewer than two images, or share_of="class" and no class has two.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"data.validation_fraction is above 0 and below 1; got {fraction}")
    if whole.count < 2:
        raise DataError(f"{where} holds one image; at least two are needed to hold one out")
    # The separator is "/" on every system.
    names = (whole.item(i).name.replace(os.sep, "/") for i in range(whole.count))
    digests = [hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in names]
    if share_of == "class":
        out = _held_out_of_each(digests, whole.labels, fraction, where)
    else:
        values = [int.from_bytes(digest[:8], "big") / 2**64 for digest in digests]  # in [0, 1)
        limit = min(max(fraction, min(values) + 2**-53), max(values))
        out = [value < limit for value in values]

    def part(held: bool) -> Split:
        indices = [i for i, o in enumerate(out) if o == held]
        labels = [whole.labels[i] for i in indices]
        return Split(len(indices), lambda index: whole.item(indices[index]), labels)

    return {"train": part(False), "validation": part(True)}


def _held_out_of_each(
    digests: list[bytes], labels: Sequence[int], fraction: float, where: str
) -> list[bool]:
    by_class: dict[int, list[int]] = {}
    for index in sorted(range(len(digests)), key=digests.__getitem__):
        by_class.setdefault(labels[index], []).append(index)
    out = [False] * len(digests)
    for indices in by_class.values():
        count = len(indices)
        for index in indices[: min(count - 1, max(1, round(fraction * count)))]:
            out[index] = True
    if not any(out):
        raise DataError(f"no class of {where} has two images, so none can be held out")
    return out


def without_images(source: Source) -> str:
    """Return a line that names the classes without images of train or of validation, or ""."""
    parts = []
    for split, images in source.splits.items():
        if not len(images.labels):
            continue
        here = set(images.labels)
        names = [name for label, name in enumerate(source.class_names) if label not in here]
        if names:
            more = f" and {len(names) - _NAMED:,} more classes" if len(names) > _NAMED else ""
            parts.append(f"no {split} image of {', '.join(names[:_NAMED])}{more}")
    return "; ".join(parts)
