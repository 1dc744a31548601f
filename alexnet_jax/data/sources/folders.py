"""A source of images in class folders."""

import functools
import os
import pathlib
import stat
import sys

from alexnet_jax.data.decode.images import BadImageError, Square, read_square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources.source import Item, Source, Split, held_out, listing_digest
from alexnet_jax.errors import DataError

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)
_TRAIN_FOLDERS = ("train", "training")
_VALIDATION_FOLDERS = (  # the first that is there is used
    "val",
    "valid",
    "validation",
    "test",
    "testing",
)


def is_image_name(name: str) -> bool:
    """Return whether a file of this name counts as an image: by its ending, and not hidden."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def split_folders(
    root: pathlib.Path, *, train_needed: bool = True
) -> tuple[pathlib.Path, pathlib.Path | None]:
    """Return the folders that hold the class folders of train and, if there is one, of validation.

    If train is missing and not needed, the validation folder is returned as both. Upper and lower
    case do not matter: Train, VAL.

    Raises:
      DataError: the folder is missing, or has no class folders.
    """
    if not root.is_dir():
        wrong = "no folder" if root.exists() else "not there"
        raise DataError(f"expected a folder of images at data.dir={root}, but it is {wrong}")
    names = class_folders(root)
    if not names:
        raise DataError(f"{root} holds no folders; expected train/<class>/<file> or <class>/<file>")
    by_name = {name.lower(): root / name for name in names}  # of Train and train the latter
    # Beside other classes a folder "training" is a class; "train" never is.
    if "train" not in by_name and not by_name.keys() <= {*_TRAIN_FOLDERS, *_VALIDATION_FOLDERS}:
        return root, None
    train = next((by_name[name] for name in _TRAIN_FOLDERS if name in by_name), None)
    if train is None and train_needed:
        raise DataError(f"{root} holds {', '.join(names)} but no train folder; add train/")
    for folder in (by_name[name] for name in _VALIDATION_FOLDERS if name in by_name):
        # A test folder often holds files without labels; those cannot serve for validation.
        if train is None or not _is_test(folder) or class_folders(folder):
            return train or folder, folder
    return train or root, None


def _is_test(folder: pathlib.Path) -> bool:
    return folder.name.lower().startswith("test")


def folder_source(
    root: pathlib.Path, validation_fraction: float, only: str | None = None
) -> Source:
    """Return the source of <class>/<file>, or of train/<class>/<file> and a validation folder.

    Args:
      root: the source folder (data.dir).
      validation_fraction: share of train, in (0, 1), that is held out if there is no validation
        folder. A hash of <class>/<file> decides which files, so adding files moves no others. 1
        holds out all of train; this is possible only if train is not needed.
      only: "validation" if train is not needed, not even its folder. Then the classes are those of
        the validation folder.

    Raises:
      DataError: the folder is empty, there are no classes, a class has no images, validation has a
        class that train lacks, or the fraction is not in (0, 1).
    """
    train_folder, validation_folder = split_folders(root, train_needed=only is None)
    if only is not None and validation_fraction == 1:
        validation_folder = validation_folder or train_folder
    class_names = tuple(class_folders(train_folder))
    _check_names(train_folder, class_names)
    needed = class_names if only is None or validation_folder is None else ()
    train = [(name, label) for label, c in enumerate(needed) for name in images(train_folder, c)]
    if validation_folder is None:
        held = held_out([name for name, _ in train], validation_fraction, str(train_folder))
        validation = [file for file, out in zip(train, held, strict=True) if out]
        train = [file for file, out in zip(train, held, strict=True) if not out]
    else:
        if _is_test(validation_folder) and validation_folder != train_folder:
            print(
                f"{validation_folder} serves for validation: the plateau and the best checkpoint "
                "depend on it; a val folder would be preferred",
                file=sys.stderr,
                flush=True,
            )
        validation = _validation(validation_folder, train_folder, class_names)
    return Source(
        class_names,
        {
            "train": files_split(train_folder, train),
            "validation": files_split(validation_folder or train_folder, validation),
        },
        listing_digest([*class_names, *train, "validation", *validation]),
    )


def _check_names(folder: pathlib.Path, class_names: tuple[str, ...]) -> None:
    """Refuse names that TFDS would change: it stores a label as a line of UTF-8, and strips it."""
    if not class_names:
        raise DataError(f"{folder} holds no class folders; expected <class>/<file> in it")
    for name in class_names:
        if not _is_utf8(name) or name != name.strip() or len(name.splitlines()) > 1:
            raise DataError(
                f"the class folder {name!r} in {folder} cannot be a label: expected UTF-8 in one "
                "line, without spaces around it; rename it"
            )


def _is_utf8(name: str) -> bool:
    """Return whether a name is UTF-8: Python turns other bytes into lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    files = [
        (name, label)
        for label, c in enumerate(class_names)
        if (folder / c).is_dir()
        for name in images(folder, c, may_be_empty=True)
    ]
    if not files:
        raise DataError(f"{folder} holds no images in class folders; sort its images into some")
    return files


def files_split(
    folder: pathlib.Path, files: list[tuple[str, int]], names: list[str] | None = None
) -> Split:
    """Return the split of (path below folder, label); `names` are the names of its items."""

    def load(path: pathlib.Path, resize: Resize) -> Square:
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait forever
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
    """Return the names of the folders in a folder, sorted, hidden ones left out.

    Raises:
      DataError: the folder cannot be listed, or a link in it leads nowhere.
    """
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
        for entry in shown:
            if entry.is_symlink() and not os.path.exists(entry.path):
                target = os.readlink(entry.path)
                raise DataError(
                    f"{entry.path} leads to {target}, which is not there; fix or remove it"
                )
        return sorted(entry.name for entry in shown if entry.is_dir())
    except OSError as error:
        raise _unlisted(error) from error


def _unlisted(error: OSError) -> DataError:
    """Return the error of a folder that cannot be listed: images might be missing."""
    return DataError(f"{error.filename} cannot be read ({error.strerror}); fix that")


def _stop_at(error: OSError) -> None:
    raise _unlisted(error)


def images(folder: pathlib.Path, class_name: str, may_be_empty: bool = False) -> list[str]:
    """Return the image files below folder/class_name, at any depth, as names below folder, sorted.

    Raises:
      DataError: there are no images, or a folder cannot be listed.
    """
    names = []
    entered: set[tuple[int, int]] = set()  # a link may lead back to a folder above it
    walk = os.walk(folder / class_name, followlinks=True, onerror=_stop_at)
    for path, folders, files in walk:
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        below = os.path.relpath(path, folder)
        names += [os.path.join(below, file) for file in files if is_image_name(file)]
    if not names and not may_be_empty:
        raise DataError(
            f"the class folder {folder / class_name} holds no image (looked for files ending in "
            f"{', '.join(IMAGE_SUFFIXES[:5])}, ...); fill it or remove it"
        )
    return sorted(names)
