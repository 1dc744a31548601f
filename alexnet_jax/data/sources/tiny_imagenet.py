"""Tiny ImageNet as it is downloaded: 100,000 training and 10,000 validation images of 64x64 pixels.

The folder holds tiny-imagenet-200.zip, or what is in it, tiny-imagenet-200/; or it is that folder:

    train/<wnid>/images/<wnid>_<number>.JPEG
    val/images/val_<number>.JPEG
    val/val_annotations.txt   a line for each of them: name, wnid, then a box
    words.txt                 wnid, tab, words; of all of ImageNet

Labels are the indices of the sorted wnids. The test images have no labels, and are left out. The
archive and the folder give the same records; some of the images may be missing.
"""

import functools
import os
import pathlib
import re
import threading
import zipfile
from collections.abc import Callable
from typing import NamedTuple

from alexnet_jax.data.decode.images import BadImageError, Square, read_square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.data.sources.listing import LeftOut, files_below, is_image_name, is_shown
from alexnet_jax.data.sources.source import Item, Source, Split, listing_digest
from alexnet_jax.data.sources.synsets import checked_wnids
from alexnet_jax.errors import DataError

_ANNOTATIONS = "val/val_annotations.txt"
_NAME = "tiny-imagenet-200"


class Files(NamedTuple):
    """The files of the archive or of the folder.

    Attributes:
      where: the archive or the folder.
      names: of all files, below tiny-imagenet-200/.
      read: returns the content of one; any thread may call it.
      left_out: counts what is not taken.
    """

    where: pathlib.Path
    names: list[str]
    read: Callable[[str], bytes]
    left_out: LeftOut


def is_tiny_imagenet(root: pathlib.Path) -> bool:
    """Return whether a folder holds Tiny ImageNet, or is its folder."""
    return _find(root) is not None


def tiny_imagenet_source(root: pathlib.Path) -> Source:
    """Return the source of Tiny ImageNet in a folder; the module says what the folder holds.

    Raises:
      DataError: files are missing, damaged, or do not fit together.
    """
    files = tiny_imagenet_files(root)
    where = files.where
    found = (re.fullmatch(r"train/([^/]+)/images/([^/]+)", name) for name in files.names)
    train = sorted(match.groups() for match in found if match and is_image_name(match[2]))
    _leave_out(files, {f"train/{wnid}/images/{name}" for wnid, name in train})
    wnids = checked_wnids(list({wnid for wnid, _ in train}), f"{where}: train")
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    listed = {
        "train": [
            (f"{wnid}/{name}", f"train/{wnid}/images/{name}", labels[wnid]) for wnid, name in train
        ],
        "validation": _validation(files, labels),
    }
    splits = {
        split: Split(len(rows), functools.partial(_item, files, rows), [row[2] for row in rows])
        for split, rows in listed.items()
    }
    words = ilsvrc2012_words.parsed(_text(files, "words.txt")) if "words.txt" in files.names else {}
    classes: list[dict[str, str | int]] = [{"wnid": w, "words": words.get(w, w)} for w in wnids]
    digest = listing_digest(wnids, splits)
    return Source(wnids, splits, digest, tuple(classes), files.left_out)


def tiny_imagenet_files(root: pathlib.Path) -> Files:
    """Return the files in a folder as they are downloaded, packed or not.

    Raises:
      DataError: they are not there, or the archive is damaged.
    """
    where = _find(root)
    if where is None:
        raise DataError(
            f"expected {_NAME}.zip, or what is in it, in data.dir={root}, but {_ANNOTATIONS} is "
            "not there; add it"
        )
    return _of_folder(where) if where.is_dir() else _of_archive(where)


def _find(root: pathlib.Path) -> pathlib.Path | None:
    """Return the folder or the archive."""
    for folder in (root / _NAME, root):
        if (folder / _ANNOTATIONS).is_file():
            return folder
    archive = root / f"{_NAME}.zip"
    return archive if archive.is_file() else None


def _leave_out(files: Files, train: set[str]) -> None:
    """Count the files of train and val that are neither images of theirs nor of the download."""
    for name in files.names:
        folder, _, file = name.rpartition("/")
        if name in train or not name.startswith(("train/", "val/")) or not file:
            continue
        if not is_image_name(file):
            if not re.fullmatch(r"val_annotations\.txt|n\d{8}_boxes\.txt", file):
                files.left_out.file(file)
        elif folder != "val/images":
            files.left_out["pictures outside train/<wnid>/images and val/images"] += 1


def _validation(files: Files, labels: dict[str, int]) -> list[tuple[str, str, int]]:
    """Return (name, path, label) of the validation images, in the order of their names."""
    rows: list[tuple[str, str, int]] = []
    there = {name for name in files.names if name.startswith("val/images/")}
    for line in filter(None, _text(files, _ANNOTATIONS).splitlines()):
        name, wnid, *_ = [*line.split("\t"), "", ""]
        path = f"val/images/{name}"
        if path not in there:
            again = "twice" if any(row[0] == name for row in rows) else "which is not there"
            raise DataError(f"{files.where}: {_ANNOTATIONS} names {name!r}, {again}")
        if wnid not in labels:
            raise DataError(
                f"{files.where}: {name} is of class {wnid!r}, which train does not have"
            )
        rows.append((name, path, labels[wnid]))
        there.remove(path)
    if more := sorted(name for name in there if is_image_name(name.rpartition("/")[2])):
        raise DataError(f"{files.where}: {_ANNOTATIONS} does not say the class of {more[0]}")
    return sorted(rows, key=lambda row: (len(row[0]), row[0]))  # val_2 before val_10


def _text(files: Files, name: str) -> str:
    try:
        return files.read(name).decode("utf-8-sig")
    except Exception as error:  # zipfile and its decoders each raise their own kinds
        raise DataError(f"{files.where}: {name} cannot be read ({error}); fix that") from error


def _item(files: Files, rows: list[tuple[str, str, int]], index: int) -> Item:
    name, path, label = rows[index]
    return Item(name, label, functools.partial(_load, files, path))


def _load(files: Files, path: str, resize: Resize) -> Square:
    name = f"{files.where}: {path}"
    try:
        data = files.read(path)
    except Exception as error:  # as in _text
        raise BadImageError(name, f"cannot be read ({error})") from error
    return read_square(data, name, resize)


def _of_folder(folder: pathlib.Path) -> Files:
    left_out = LeftOut()
    names = [name for part in ("train", "val") for name in files_below(folder, part, left_out)]
    names += ["words.txt"] if (folder / "words.txt").is_file() else []
    names = [name.replace(os.sep, "/") for name in names]
    return Files(folder, names, lambda name: (folder / name).read_bytes(), left_out)


def _of_archive(path: pathlib.Path) -> Files:
    """List the files of the archive; it is read in place, and nothing is unpacked to disk."""
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # as in _text
        raise DataError(f"{path} cannot be read ({error}); download it again") from error
    lock, left_out, shown = threading.Lock(), LeftOut(), []
    for name in archive.namelist():
        hidden = [folder for folder in name.split("/")[:-1] if not is_shown(folder)]
        if hidden:
            left_out.folder(hidden[0])
        else:
            shown.append(name)
    found = [name for name in shown if f"/{name}".endswith(f"/{_ANNOTATIONS}")]
    if not found:
        raise DataError(f"{path} lacks {_NAME}/{_ANNOTATIONS}; download it again")
    # Who packs it again may name the folder otherwise.
    prefix = min(found, key=len).removesuffix(_ANNOTATIONS)
    names = [name.removeprefix(prefix) for name in shown if name.startswith(prefix)]

    def read(name: str) -> bytes:
        with lock:  # a ZipFile counts its readers, and not safely
            return archive.read(prefix + name)

    return Files(path, names, read, left_out)
