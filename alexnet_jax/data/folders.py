"""Images in folders of class folders as a source."""

import functools
import os
import pathlib
import stat

from alexnet_jax.data.images import BadImageError, Square, read_square
from alexnet_jax.data.resize import Resize
from alexnet_jax.data.sources import Item, Source, Split, held_out, listing_digest
from alexnet_jax.errors import DataError

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)
_VALIDATION_FOLDERS = ("val", "validation", "test")  # the first that is there is used


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image: by its ending, and not hidden."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def split_folders(
    root: pathlib.Path, *, train_needed: bool = True
) -> tuple[pathlib.Path, pathlib.Path | None]:
    """Return the folders of a source that hold the classes: of train, and of validation if any.

    Where train is not needed and not there, that of validation stands for both.

    Raises:
      DataError: no such folder, or one without class folders.
    """
    if not root.is_dir():
        raise DataError(f"expected a folder of images at data.dir={root}, but it is not there")
    train = root / "train"
    if not train.is_dir():
        names = class_folders(root)
        if not names:
            raise DataError(
                f"{root} holds no folders; expected train/<class>/<file> or <class>/<file>"
            )
        if set(names) <= set(_VALIDATION_FOLDERS):
            if not train_needed:
                folder = next(root / name for name in _VALIDATION_FOLDERS if name in names)
                return folder, folder
            raise DataError(f"{root} holds {', '.join(names)} but no train folder; add train/")
        return root, None
    for name in _VALIDATION_FOLDERS:
        folder = root / name
        # A test folder often holds files without labels; then it is no validation split.
        if folder.is_dir() and (name != "test" or class_folders(folder)):
            return train, folder
    return train, None


def folder_source(
    root: pathlib.Path, validation_fraction: float, only: str | None = None
) -> Source:
    """Source of <class>/<file> or train/<class>/<file> with an optional validation folder.

    Args:
      root: the source folder (data.dir).
      validation_fraction: share of train, in (0, 1), held out where no validation folder is. Which
        files is decided by a hash of <class>/<file>, so that adding files moves no others.
      only: "validation" if train is not needed, not even its folder; then the classes are those of
        the validation folder.

    Raises:
      DataError: an empty folder, no classes, a class without images, a class of validation that
        train does not have, or an impossible fraction.
    """
    train_folder, validation_folder = split_folders(root, train_needed=only is None)
    class_names = tuple(class_folders(train_folder))
    if not class_names:
        raise DataError(f"{train_folder} holds no class folders; expected <class>/<file> in it")
    needed = class_names if only is None or validation_folder is None else ()
    train = [(name, label) for label, c in enumerate(needed) for name in images(train_folder, c)]
    if validation_folder is None:
        held = held_out([name for name, _ in train], validation_fraction, str(train_folder))
        validation = [file for file, out in zip(train, held, strict=True) if out]
        train = [file for file, out in zip(train, held, strict=True) if not out]
    else:
        validation = _validation(validation_folder, train_folder, class_names)
    return Source(
        class_names,
        {
            "train": files_split(train_folder, train),
            "validation": files_split(validation_folder or train_folder, validation),
        },
        listing_digest([*class_names, *train, "validation", *validation]),
    )


def _validation(
    folder: pathlib.Path, train_folder: pathlib.Path, class_names: tuple[str, ...]
) -> list[tuple[str, int]]:
    """Return (name below folder, label) of the images of a validation folder."""
    unknown = sorted(set(class_folders(folder)) - set(class_names))
    if unknown:
        raise DataError(
            f"{folder} has {len(unknown)} class folders that {train_folder} has not, "
            f"the first {unknown[0]!r}; both splits must name their classes alike"
        )
    found = [
        (name, label)
        for label, c in enumerate(class_names)
        if (folder / c).is_dir()
        for name in images(folder, c, may_be_empty=True)
    ]
    if not found:
        raise DataError(f"{folder} holds no images in class folders; sort them into some")
    return found


def files_split(
    folder: pathlib.Path, files: list[tuple[str, int]], names: list[str] | None = None
) -> Split:
    """Return the split of these (path below folder, label), called `names` if given."""

    def load(path: pathlib.Path, resize: Resize) -> Square:
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
                raise BadImageError(str(path), "is no regular file")
            data = path.read_bytes()
        except OSError as error:
            raise BadImageError(str(path), f"cannot be opened ({error.strerror})") from error
        return read_square(data, str(path), resize)

    def item(index: int) -> Item:
        path, label = files[index]
        name = path if names is None else names[index]
        return Item(name, label, functools.partial(load, folder / path))

    return Split(len(files), item)


def class_folders(folder: pathlib.Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())


def images(folder: pathlib.Path, class_name: str, may_be_empty: bool = False) -> list[str]:
    """Return the image files below folder/class_name, at any depth, as names below folder, sorted.

    Raises:
      DataError: there are none.
    """
    names = []
    entered: set[tuple[int, int]] = set()  # a link may lead back to a folder above it
    for place, folders, files in os.walk(folder / class_name, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        below = os.path.relpath(place, folder)
        names += [os.path.join(below, file) for file in files if is_image_name(file)]
    if not names and not may_be_empty:
        raise DataError(
            f"the class folder {folder / class_name} holds no image (looked for files ending in "
            f"{', '.join(IMAGE_SUFFIXES[:5])}, ...); fill it or remove it"
        )
    return sorted(names)
