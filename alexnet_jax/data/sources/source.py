"""Where images come from: what a source is, and the drawn shapes.

A source is class names and splits, `train`, `validation` and perhaps `test`; a split gives any of
its items by number; an item loads one square when a worker asks for it.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterable

from alexnet_jax.data.decode.images import Square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources import shapes
from alexnet_jax.errors import ConfigError, DataError


@dataclasses.dataclass(frozen=True)
class Item:
    """One image to prepare: its name, its label, and a call that makes its square."""

    name: str
    label: int
    load: Callable[[Resize], Square]  # raises BadImageError


@dataclasses.dataclass(frozen=True)
class Split:
    """How many items there are, and a call that returns item i; from any thread, in any order.

    The call raises BadImageError for an item of which not even the name can be read.
    """

    count: int
    item: Callable[[int], Item]


@dataclasses.dataclass(frozen=True)
class Source:
    """Images to prepare.

    Attributes:
      class_names: in the order of their labels.
      splits: `train`, `validation`, and `test` where there is one with labels.
      digest: of all names and labels; another listing has another.
      classes: what else is known of each class, in the order of the labels: wnid, words, ilsvrc_id.
    """

    class_names: tuple[str, ...]
    splits: dict[str, Split]
    digest: str
    classes: tuple[dict[str, str | int], ...] = ()


def listing_digest(parts: Iterable[object]) -> str:
    """Return a SHA-256 in hex of the text of all parts, each ended by a newline."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def held_out(names: list[str], fraction: float, where: str) -> list[bool]:
    """Return for each name whether it is held out for validation: at least one, never all.

    A name's own hash decides, so that others that come or go move it not.

    Raises:
      ConfigError: a fraction that is not between 0 and 1.
      DataError: fewer than two names.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"data.validation_fraction is above 0 and below 1; got {fraction}")
    if len(names) < 2:
        raise DataError(f"{where} holds one image; at least two are needed to hold one out")
    # In [0, 1), for each file on its own; "/" whatever the system's separator.
    place = [_hash(name.replace(os.sep, "/")) / 2**64 for name in names]
    limit = min(max(fraction, min(place) + 2**-53), max(place))
    return [p < limit for p in place]


def _hash(text: str) -> int:
    """Return 64 bits that depend on nothing but the text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")


def shapes_source() -> Source:
    """The drawn shapes (shapes.py), of shapes.SPLIT_SIZES images."""

    def draw(split: str, index: int, resize: Resize) -> Square:
        del resize  # it is drawn at its size
        return Square(shapes.render(split, index)[0])

    def item(split: str, index: int) -> Item:
        label = index % len(shapes.CLASS_NAMES)
        return Item(f"{split}_{index:06d}", label, functools.partial(draw, split, index))

    splits = {s: Split(n, functools.partial(item, s)) for s, n in shapes.SPLIT_SIZES.items()}
    return Source(shapes.CLASS_NAMES, splits, listing_digest(shapes.SPLIT_SIZES.items()))
