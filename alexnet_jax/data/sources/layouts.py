"""Which folders of a folder of images are splits, and which are classes.

Folders that hold nothing but one folder are passed through. Splits are named train, val and test,
or by their longer forms. A name that only looks like one of them (seg_train, val_images, test1)
makes the layout doubtful: then it is refused, with the folders as they were understood.
"""

import pathlib
import re

from alexnet_jax.data.sources.listing import LeftOut, class_folders, holds_images
from alexnet_jax.errors import DataError

_TRAIN_FOLDERS = ("train", "training")
_VALIDATION_FOLDERS = (  # the first that is there is used
    "val",
    "valid",
    "validation",
    "test",
    "testing",
)
_SPLIT_FOLDERS = (*_TRAIN_FOLDERS, *_VALIDATION_FOLDERS)
_LIKE_A_SPLIT = re.compile(rf"(^|[^a-z])({'|'.join(_SPLIT_FOLDERS)})(set|$|[^a-z])")
_SHOWN = 6  # folders that an error names


def split_folders(
    root: pathlib.Path, *, train_needed: bool = True, left_out: LeftOut | None = None
) -> tuple[pathlib.Path, pathlib.Path | None]:
    """Return the folders that hold the class folders of train and, if there is one, of validation.

    If train is missing and not needed, the validation folder is returned as both. Upper and lower
    case do not matter: Train, VAL.

    Args:
      root: the source folder (data.dir).
      train_needed: whether there must be a train folder.
      left_out: counts what stands beside the folders that are used.

    Raises:
      DataError: the folder is missing, has no class folders, or has some that look like splits and
        do not fit.
    """
    if not root.is_dir():
        wrong = "no folder" if root.exists() else "not there"
        raise DataError(f"expected a folder of images at data.dir={root}, but it is {wrong}")
    if not class_folders(root):
        raise DataError(f"{root} holds no folders; expected train/<class>/<file> or <class>/<file>")
    root = unwrapped(root, left_out)
    names = class_folders(root)
    like = [name for name in names if _LIKE_A_SPLIT.search(name.lower())]
    if not like or _are_classes(root, names, like):
        _check_no_splits_below(root, names)
        return root, None
    by_name = _exact(root, like, train_needed=train_needed)
    train = next((by_name[name] for name in _TRAIN_FOLDERS if name in by_name), None)
    validation = _validation_folder(by_name, train)
    if left_out is not None:
        class_folders(root, left_out)
        for name in names:
            if root / name not in (train, validation):
                left_out[f"folder beside the splits ({name})"] += 1
    if validation is None:
        return unwrapped(train or root, left_out), None
    validation = unwrapped(validation, left_out)
    return unwrapped(train, left_out) if train else validation, validation


def unwrapped(folder: pathlib.Path, left_out: LeftOut | None = None) -> pathlib.Path:
    """Return the folder below which the splits or classes are: it passes through single folders.

    A folder that is named as a split is not passed through, unless it is in one of that name.
    """
    while True:
        names = class_folders(folder)
        if len(names) != 1 or holds_images(folder):
            return folder
        inner, name = folder / names[0], names[0].lower()
        if name in _SPLIT_FOLDERS and name != folder.name.lower():
            return folder
        if not class_folders(inner) or (holds_images(inner) and not _has_train(inner)):
            return folder
        class_folders(folder, left_out)  # counts what stands beside
        folder = inner


def _has_train(folder: pathlib.Path) -> bool:
    """Whether there is a train folder: then pictures beside it do not make the folder a class."""
    return any(name.lower() in _TRAIN_FOLDERS for name in class_folders(folder))


def is_test(folder: pathlib.Path) -> bool:
    """Whether a folder is named as a test split."""
    return folder.name.lower().startswith("test")


def _are_classes(root: pathlib.Path, names: list[str], like: list[str]) -> bool:
    """Whether folders that look like splits are classes: they are flat, as others beside them."""
    others = [name for name in names if name not in like]
    flat = not any(class_folders(root / name) for name in like)
    return flat and any(holds_images(root / name) for name in others)


def _exact(root: pathlib.Path, like: list[str], *, train_needed: bool) -> dict[str, pathlib.Path]:
    """Return name in lower case -> folder of the splits; refuse names that only look like some."""
    exact = [name for name in like if name.lower() in _SPLIT_FOLDERS]
    by_name = {name.lower(): root / name for name in exact}
    train = any(name in by_name for name in _TRAIN_FOLDERS)
    validation = [name for name in _VALIDATION_FOLDERS if name in by_name]
    others = [name for name in like if name not in exact]
    # A test folder often holds pictures without classes, so one more is no cause for doubt.
    doubtful = [n for n in others if "test" not in n.lower() or class_folders(root / n)]
    if len(by_name) < len(exact):
        raise _doubt(root, "there are two of one name")
    if others and train_needed and not train:
        raise _doubt(root, "there is no train")
    if doubtful and not (validation or "train" in doubtful[0].lower()):
        raise _doubt(root, "there is no val")
    if not train and (train_needed or not by_name):
        found = ", ".join(like)
        raise DataError(f"{root} holds {found} but no train folder; add train/")
    return by_name


def _validation_folder(
    by_name: dict[str, pathlib.Path], train: pathlib.Path | None
) -> pathlib.Path | None:
    for folder in (by_name[name] for name in _VALIDATION_FOLDERS if name in by_name):
        # A test folder often holds files without labels; those cannot serve for validation.
        if train is None or not is_test(folder) or class_folders(folder):
            return folder
    return None


def _check_no_splits_below(root: pathlib.Path, names: list[str]) -> None:
    """Refuse classes that hold splits: ILSVRC/Data/CLS-LOC/train is no picture of a class Data."""
    for folder in (unwrapped(root / name) for name in names):
        if holds_images(folder) and not _has_train(folder):
            continue
        inner = [folder / name for name in class_folders(folder)]
        for below in [folder, *(path for path in inner if not holds_images(path))]:
            if any(name.lower() in _SPLIT_FOLDERS for name in class_folders(below)):
                raise _doubt(root, f"there are splits in {below}; it may be meant")


def _doubt(root: pathlib.Path, why: str) -> DataError:
    names = class_folders(root)
    tree = ", ".join(f"{name}/ ({_content(root / name)})" for name in names[:_SHOWN])
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return DataError(
        f"the folders of {root} look like splits, but {why}: {tree}{more}; name the folders of "
        "<class>/<file> train/ and val/, or set data.dir to a folder of class folders"
    )


def _content(folder: pathlib.Path) -> str:
    names = class_folders(folder)
    if not names:
        return "images, no folders" if holds_images(folder) else "no images, no folders"
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} folder{'s' * (len(names) > 1)}: {shown}"
