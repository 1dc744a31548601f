"""The interface of all sources of images.

A source has class names and splits: `train`, `validation` and perhaps `test`. A split gives any of
its items by index. An item reads its image and makes the square only when a worker asks for it.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

from alexnet_jax.data.decode.images import Square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources.listing import LeftOut
from alexnet_jax.errors import ConfigError, DataError

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
      in_order: whether neighbours are read much faster than items here and there.
    """

    count: int
    item: Callable[[int], Item]
    labels: Sequence[int] = ()
    in_order: bool = False


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


def listing_digest(parts: Iterable[object]) -> str:
    """Return the SHA-256, in hex, of the text of all parts, each with a newline after it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def note_if_a_part(
    what: str, where: pathlib.Path, splits: dict[str, Split], counts: dict[str, int]
) -> tuple[str, ...]:
    """Return a note where a source has other numbers of images than the whole dataset."""
    if any(splits[split].count != count for split, count in counts.items()):
        here = " and ".join(f"{splits[split].count:,} {split}" for split in counts)
        whole = " and ".join(f"{count:,}" for count in counts.values())
        return (f"{where} has {here} images, {what} {whole}",)
    return ()


def held_out(
    names: list[str], labels: Sequence[int], fraction: float, share_of: str, where: str
) -> list[bool]:
    """Return for each name whether it is held out for validation: at least one is, never all.

    The hashes of the names decide. With share_of="all" no file moves when others come or go.

    Args:
      names, labels: of the images.
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
    if len(names) < 2:
        raise DataError(f"{where} holds one image; at least two are needed to hold one out")
    # In [0, 1). The separator is "/" on every system.
    names = [name.replace(os.sep, "/") for name in names]
    digests = [hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in names]
    if share_of == "class":
        return _held_out_of_each(digests, labels, fraction, where)
    values = [int.from_bytes(digest[:8], "big") / 2**64 for digest in digests]
    limit = min(max(fraction, min(values) + 2**-53), max(values))
    return [value < limit for value in values]


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
