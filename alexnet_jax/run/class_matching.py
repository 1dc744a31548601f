"""Which output of a net is which class of other images, and a file of a net's class names."""

import re
from collections.abc import Sequence
from typing import Any

from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.errors import DataError
from alexnet_jax.system.paths import user_path

FLAG = "A file with the names of the net's classes, a line each, in the order of its outputs."
_ACCEPT = "--classes=FILE of their names in the order of its outputs, a line each"
_SHOWN = 3  # classes that a line names


def outputs_of(
    ours: Sequence[str] | None, theirs: Sequence[str], classes: int, net: object, where: object
) -> tuple[int, ...]:
    """Return the net's output for each class of some images.

    Names decide; 007 and 7 are the same name. If the net's names are unknown or ILSVRC's, classes
    that are numbers are the outputs in the order of the numbers. If they are unknown, classes that
    are wnids are the outputs in sorted order.

    Args:
      ours: names of the net's classes, in the order of its outputs; None: unknown.
      theirs: names of the images' classes, in the order of their labels.
      classes: number of the net's outputs.
      net, where: name the net and the images in an error.

    Raises:
      DataError: the images have other classes, or nothing tells which class is which output.
    """
    if ours is not None and (outputs := _by_name(ours, theirs) or _by_name(*_values(ours, theirs))):
        return outputs
    if len(theirs) == classes:
        numbers = _values(theirs)[0]
        if set(numbers) == set(range(1, 1001)):
            raise DataError(
                f"the classes of {where}, 1 to 1000, may be the ids of ILSVRC's development kit, "
                f"which are in another order than the outputs of the net of {net}: name them by "
                f"wnid, or 0 to 999 in the order of the wnids, or give {_ACCEPT}"
            )
        if numbers and (ours is None or set(ours) == set(ilsvrc2012_words.words())):
            return tuple(sorted(numbers).index(number) for number in numbers)
        if ours is None and all(re.fullmatch(r"n\d{8}", name) for name in theirs):
            return tuple(sorted(theirs).index(name) for name in theirs)
    raise DataError(_refusal(ours, theirs, classes, net, where))


def _by_name(ours: Sequence[Any], theirs: Sequence[Any]) -> tuple[int, ...]:
    """Return the outputs of equal names; () where the net does not know one of them."""
    outputs = {name: output for output, name in enumerate(ours)}
    return tuple(outputs[name] for name in theirs) if set(theirs) <= set(outputs) else ()


def _values(*sets: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the values of names that are all different numbers; () for a set that is not."""
    found = []
    for names in sets:
        numbers = [int(name) for name in names if re.fullmatch("[0-9]{1,9}", name)]
        found.append(tuple(numbers) if len(set(numbers)) == len(names) else ())
    return found


def _refusal(
    ours: Sequence[str] | None, theirs: Sequence[str], classes: int, net: object, where: object
) -> str:
    if ours is not None:
        unknown = [name for name in theirs if name not in ours]
        return (
            f"{where} has {len(theirs):,} classes, of which the net of {net} does not know "
            f"{len(unknown):,}, the first {unknown[0]!r} (its {classes:,} are {some(ours)}): give "
            "images of its classes"
        )
    if len(theirs) != classes:
        return (
            f"{where} has {len(theirs):,} classes, the net of {net} {classes:,}, whose names are "
            f"not known: give images of the same classes, or {_ACCEPT}"
        )
    return (
        f"the names of the classes of {net} are not known, so the folders of {where} would be its "
        f"outputs in alphabetical order ({some(theirs, numbered=True)}): if that is right, list "
        f"them (ls FOLDERS > FILE) and give {_ACCEPT}"
    )


def in_words(ours: Sequence[str] | None, theirs: Sequence[str], outputs: Sequence[int]) -> str:
    """Return in words how the classes of some images were matched, or "" where they are the net's.

    Args:
      ours, theirs: what `outputs_of` took.
      outputs: what it gave.
    """
    if ours is not None and set(theirs) <= set(ours):
        return "" if tuple(ours) == tuple(theirs) else f"{len(theirs):,} classes by their names"
    if ours is not None and _values(ours)[0]:
        return f"{len(theirs):,} classes by the numbers that are their names"
    order = "wnids" if theirs[0].startswith("n") else "numbers"
    first, last = theirs[outputs.index(0)], theirs[outputs.index(len(outputs) - 1)]
    return f"{len(theirs):,} classes in the order of their {order}, {first} to {last}"


def read(path: str, classes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and the words of a net's classes from a file; its lines: name[, tab, words].

    Raises:
      DataError: it cannot be read, has another number of names, or one of them twice.
    """
    try:
        lines = user_path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise DataError(f"--classes={path} cannot be read: {error}") from error
    rows = [text.strip().partition("\t") for text in lines if text.strip()]
    names = [name.strip() for name, _, _ in rows]
    if len(names) != classes:
        raise DataError(
            f"--classes={path} has {len(names):,} names, the net {classes:,} classes: give a line "
            "for each, in the order of its outputs"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"--classes={path} has {twice!r} more than once: give each class its name")
    words = (text or ilsvrc2012_words.words_of(name) for name, _, text in rows)
    return tuple(names), tuple(words)


def some(names: Sequence[str], *, numbered: bool = False) -> str:
    """Return the first names as a text, with their numbers if asked."""
    texts = [f"{k} {name!r}" if numbered else repr(name) for k, name in enumerate(names[:_SHOWN])]
    return ", ".join(texts) + (", ..." if len(names) > _SHOWN else "")
