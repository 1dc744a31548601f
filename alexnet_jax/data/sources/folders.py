"""A source of images in class folders."""

import functools
import pathlib
import stat

from alexnet_jax.data.decode.images import BadImageError, Square, read_square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources.layouts import is_test, split_folders
from alexnet_jax.data.sources.listing import LeftOut, class_folders, images
from alexnet_jax.data.sources.source import Item, Source, Split, hold_out, listing_digest
from alexnet_jax.errors import DataError


def folder_source(
    root: pathlib.Path, validation_fraction: float, share_of: str = "class", only: str | None = None
) -> Source:
    """Return the source of <class>/<file>, or of train/<class>/<file> and a validation folder.

    Args:
      root: the source folder (data.dir).
      validation_fraction: share of train, in (0, 1), that is held out if there is no validation
        folder. Hashes of <class>/<file> decide which files. 1 holds out all of train; this is
        possible only if train is not needed.
      share_of: config.data.held_out.
      only: "validation" if train is not needed, not even its folder. Then the classes are those of
        the validation folder.

    Raises:
      DataError: the folder is empty, there are no classes, a class has no images, validation has a
        class that train lacks, or the fraction is not in (0, 1).
    """
    left_out, notes = LeftOut(), []
    train_folder, validation_folder = split_folders(
        root, train_needed=only is None, left_out=left_out
    )
    if only is not None and validation_fraction == 1:
        validation_folder = validation_folder or train_folder
    class_names = tuple(class_folders(train_folder, left_out))
    _check_names(train_folder, class_names)
    needed = class_names if only is None or validation_folder is None else ()
    files = [
        (name, label)
        for label, c in enumerate(needed)
        for name in images(train_folder, c, left_out=left_out)
    ]
    train = files_split(train_folder, files)
    if validation_folder is None:
        splits = hold_out(train, validation_fraction, share_of, str(train_folder))
    else:
        if is_test(validation_folder) and validation_folder != train_folder:
            notes.append(
                f"{validation_folder} serves for validation: the plateau and the best checkpoint "
                "depend on it; a val folder would be preferred"
            )
        validation = _validation(validation_folder, train_folder, class_names, left_out)
        splits = {"train": train, "validation": files_split(validation_folder, validation)}
    digest = listing_digest(class_names, splits)
    return Source(class_names, splits, digest, left_out=left_out, notes=tuple(notes))


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
    folder: pathlib.Path,
    train_folder: pathlib.Path,
    class_names: tuple[str, ...],
    left_out: LeftOut,
) -> list[tuple[str, int]]:
    """Return (name below folder, label) of the images of a validation folder."""
    here = class_folders(folder, left_out if folder != train_folder else None)
    unknown = sorted(set(here) - set(class_names))
    if unknown:
        raise DataError(
            f"{folder} has {len(unknown)} class folders that {train_folder} has not, "
            f"the first {unknown[0]!r}; both splits must name their classes alike"
        )
    files = [
        (name, label)
        for label, c in enumerate(class_names)
        if (folder / c).is_dir()
        for name in images(folder, c, may_be_empty=True, left_out=left_out)
    ]
    if not files:
        raise DataError(f"{folder} holds no images in class folders; sort its images into some")
    return files


def files_split(
    folder: pathlib.Path, files: list[tuple[str, int]], names: list[str] | None = None
) -> Split:
    """Return the split of (path below folder, label); `names` are the names of its items."""

    def load(name: str, resize: Resize) -> Square:
        path = folder / name
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
        return Item(name, label, functools.partial(load, path))

    return Split(len(files), item, [label for _, label in files])
