"""Where images come from: folders of class folders, drawn shapes, TFDS's own imagenet2012.

A source is class names and two splits, `train` and `validation`; a split is a count and an
iterator of items; an item loads one square when a worker asks for it.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from alexnet_jax.data import shapes
from alexnet_jax.data.images import BadImageError, to_square
from alexnet_jax.errors import DataError

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)
_VALIDATION_FOLDERS = ("val", "validation", "test")  # the first that is there is used


@dataclasses.dataclass(frozen=True)
class Item:
    """One image to prepare: its name, its label, and a call that returns (256, 256, 3) uint8."""

    name: str
    label: int
    load: Callable[[], np.ndarray]  # raises BadImageError


@dataclasses.dataclass(frozen=True)
class Split:
    """How many items there are, and a call that iterates over them in a fixed order."""

    count: int
    items: Callable[[], Iterator[Item]]


@dataclasses.dataclass(frozen=True)
class Source:
    """Class names, in the order of their labels, and the splits `train` and `validation`."""

    class_names: tuple[str, ...]
    splits: dict[str, Split]


def shapes_source() -> Source:
    """The drawn shapes (shapes.py), of shapes.SPLIT_SIZES images."""

    def draw(split: str, index: int) -> np.ndarray:
        return shapes.render(split, index)[0]

    def items(split: str, count: int) -> Iterator[Item]:
        for index in range(count):
            label = index % len(shapes.CLASS_NAMES)
            yield Item(f"{split}_{index:06d}", label, functools.partial(draw, split, index))

    splits = {s: Split(n, functools.partial(items, s, n)) for s, n in shapes.SPLIT_SIZES.items()}
    return Source(shapes.CLASS_NAMES, splits)


def split_folders(root: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path | None]:
    """Return the folders of a source that hold the classes: of train, and of validation if any.

    Raises:
      DataError: no such folder, or one without class folders.
    """
    if not root.is_dir():
        raise DataError(f"expected a folder of images at data.dir={root}, but it is not there")
    train = root / "train"
    if not train.is_dir():
        names = _folders(root)
        if not names:
            raise DataError(
                f"{root} holds no folders; expected train/<class>/<file> or <class>/<file>"
            )
        if set(names) <= set(_VALIDATION_FOLDERS):
            raise DataError(f"{root} holds {', '.join(names)} but no train folder; add train/")
        return root, None
    for name in _VALIDATION_FOLDERS:
        folder = root / name
        # A test folder often holds files without labels; then it is no validation split.
        if folder.is_dir() and (name != "test" or _folders(folder)):
            return train, folder
    return train, None


def folder_source(root: pathlib.Path, validation_fraction: float) -> Source:
    """Source of <class>/<file> or train/<class>/<file> with an optional validation folder.

    Args:
      root: the source folder (data.dir).
      validation_fraction: share of train, in (0, 1), held out where no validation folder is. Which
        files is decided by a hash of <class>/<file>, so that adding files moves no others.

    Raises:
      DataError: an empty folder, no classes, a class without images, a class of validation that
        train does not have, or an impossible fraction.
    """
    train_folder, validation_folder = split_folders(root)
    class_names = tuple(_folders(train_folder))
    if not class_names:
        raise DataError(f"{train_folder} holds no class folders; expected <class>/<file> in it")
    train = [
        (name, label) for label, c in enumerate(class_names) for name in _images(train_folder, c)
    ]
    if validation_folder is None:
        return _hold_out(train_folder, class_names, train, validation_fraction)
    unknown = sorted(set(_folders(validation_folder)) - set(class_names))
    if unknown:
        raise DataError(
            f"{validation_folder} has {len(unknown)} class folders that {train_folder} has not, "
            f"the first {unknown[0]!r}; both splits must name their classes alike"
        )
    validation = [
        (name, label)
        for label, c in enumerate(class_names)
        if (validation_folder / c).is_dir()
        for name in _images(validation_folder, c, may_be_empty=True)
    ]
    if not validation:
        raise DataError(
            f"{validation_folder} holds no images in class folders; sort them into some"
        )
    return Source(
        class_names,
        {"train": _files(train_folder, train), "validation": _files(validation_folder, validation)},
    )


def _hold_out(
    folder: pathlib.Path,
    class_names: tuple[str, ...],
    files: list[tuple[str, int]],
    fraction: float,
) -> Source:
    """Divide the files of one folder into train and validation, at least one in each."""
    if not 0 < fraction < 1:
        raise DataError(f"expected data.validation_fraction between 0 and 1, not {fraction}")
    if len(files) < 2:
        raise DataError(f"{folder} holds one image; at least two are needed to hold one out")
    # In [0, 1), for each file on its own; "/" whatever the system's separator.
    place = [_hash(name.replace(os.sep, "/")) / 2**64 for name, _ in files]
    limit = min(max(fraction, min(place) + 2**-53), max(place))
    held = [(p < limit, f) for p, f in zip(place, files, strict=True)]
    return Source(
        class_names,
        {
            "train": _files(folder, [f for out, f in held if not out]),
            "validation": _files(folder, [f for out, f in held if out]),
        },
    )


def _hash(text: str) -> int:
    """Return 64 bits that depend on nothing but the text."""
    return int.from_bytes(
        hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big"
    )


def _files(folder: pathlib.Path, files: list[tuple[str, int]]) -> Split:
    """Return the split of these (name below folder, label)."""

    def load(name: str) -> np.ndarray:
        path = folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadImageError(str(path), f"cannot be opened ({error.strerror})") from error
        return to_square(data, str(path))

    def items() -> Iterator[Item]:
        for name, label in files:
            yield Item(name, label, functools.partial(load, name))

    return Split(len(files), items)


def _folders(folder: pathlib.Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())


def _images(folder: pathlib.Path, class_name: str, may_be_empty: bool = False) -> list[str]:
    """Return the image files below folder/class_name, at any depth, as names below folder, sorted.

    Raises:
      DataError: there are none.
    """
    names = []
    for place, folders, files in os.walk(folder / class_name, followlinks=True):
        folders[:] = [f for f in folders if not f.startswith(".")]
        below = os.path.relpath(place, folder)
        for file in files:
            if file.lower().endswith(IMAGE_SUFFIXES) and not file.startswith("."):
                names.append(os.path.join(below, file))
    if not names and not may_be_empty:
        raise DataError(
            f"the class folder {folder / class_name} holds no image (looked for files ending in "
            f"{', '.join(IMAGE_SUFFIXES[:5])}, ...); fill it or remove it"
        )
    return sorted(names)
