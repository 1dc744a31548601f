"""CIFAR-10 as it is downloaded: 50,000 training and 10,000 test images of 32x32 pixels.

The folder holds one of these; the first that is there is read:

    cifar-10-batches-bin/   data_batch_1.bin to data_batch_5.bin, test_batch.bin
    cifar-10-binary.tar.gz  the same files
    cifar-10-batches-py/    data_batch_1 to data_batch_5, test_batch: pickles of Python 2
    cifar-10-python.tar.gz  the same files

It may also be one of the two unpacked folders, or hold a .tar: some browsers decompress what they
download. All forms give the same records. The test batch is the split `validation`: CIFAR-10 has no
other. Some of the training batches may be missing.
"""

import functools
import itertools
import pathlib
import tarfile
from typing import NamedTuple

import numpy as np

from alexnet_jax.data.decode.images import from_pixels
from alexnet_jax.data.sources.source import Item, Source, Split, listing_digest
from alexnet_jax.errors import DataError
from alexnet_jax.system import array_pickle

CLASS_NAMES = (  # in the order of the published labels
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_SIDE = 32  # pixels
_PIXELS = 3 * _SIDE * _SIDE  # bytes of an image: its red, green and blue plane
_BATCHES = {"train": [f"data_batch_{k}" for k in range(1, 6)], "validation": ["test_batch"]}
_LONGEST = 200  # letters of a reason that the content of a file decides
_LARGEST = 32 << 20  # bytes; the published files of a batch have less than 31,100,000
_GZIP = b"\x1f\x8b"  # how a compressed file begins
_MOST_STEPS = 100_000  # of a pickle: three for each of 10,000 images, and some more


class _Form(NamedTuple):
    """A form in which CIFAR-10 is published."""

    folder: str
    archive: str
    ending: str  # of the names of its files


_FORMS = (
    _Form("cifar-10-batches-bin", "cifar-10-binary.tar.gz", ".bin"),
    _Form("cifar-10-batches-py", "cifar-10-python.tar.gz", ""),
)


class Batch(NamedTuple):
    """Images in their order: labels (n,) of 0 to 9, and planes (n, 3072) uint8: R, G, B by rows."""

    labels: np.ndarray
    planes: np.ndarray


def is_cifar10(root: pathlib.Path) -> bool:
    """Return whether a folder holds CIFAR-10 in one of its forms."""
    return _find(root) is not None


def cifar10_source(root: pathlib.Path) -> Source:
    """Return the source of CIFAR-10 in a folder; the module says what the folder holds.

    All images are read: 184 MB.

    Raises:
      DataError: the files are missing or damaged, or hold anything but images of CIFAR-10.
    """
    found = _find(root)
    if found is None:
        archives = " or ".join(form.archive for form in _FORMS)
        raise DataError(f"expected {archives}, or what is in it, in data.dir={root}; add it")
    form, where = found
    files = _from_folder(where, form) if where.is_dir() else _from_archive(where, form)
    read = _binary if form.ending else _pickled
    splits = {}
    for split, names in _BATCHES.items():
        there = [name for name in names if name in files]
        if not there:
            raise DataError(f"{where} lacks {' and '.join(names)}; add {names[0]}, or another form")
        items = [
            (f"{name}_{index:05}", int(label), planes)
            for name in there
            for index, (label, planes) in enumerate(
                zip(*read(files[name], f"{where}: {name}{form.ending}"), strict=True)
            )
        ]
        splits[split] = Split(
            len(items), functools.partial(_item, items), [item[1] for item in items]
        )
    return Source(CLASS_NAMES, splits, listing_digest(CLASS_NAMES, splits))


def _find(root: pathlib.Path) -> tuple[_Form, pathlib.Path] | None:
    """Return the form that is there, and its folder or archive."""
    for form in _FORMS:
        for folder in (root / form.folder, root):
            if (folder / f"test_batch{form.ending}").is_file():
                return form, folder
        for archive in (form.archive, form.archive.removesuffix(".gz")):
            if (root / archive).is_file():
                return form, root / archive
    return None


def _from_folder(folder: pathlib.Path, form: _Form) -> dict[str, bytes]:
    """Return batch -> content of its file."""
    files = {}
    for name in itertools.chain(*_BATCHES.values()):
        path = folder / f"{name}{form.ending}"
        try:
            if path.is_file():
                with path.open("rb") as file:
                    files[name] = file.read(_LARGEST + 1)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); fix that") from error
    return files


def _from_archive(path: pathlib.Path, form: _Form) -> dict[str, bytes]:
    """Return batch -> content of its file."""
    wanted = {f"{name}{form.ending}": name for name in itertools.chain(*_BATCHES.values())}
    files = {}
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP  # whatever its name says
        with tarfile.open(path, "r:gz" if packed else "r:") as archive:
            for member in archive:
                name = wanted.get(member.name.rpartition("/")[2])
                content = archive.extractfile(member) if name and member.isreg() else None
                if name and content is not None:
                    files[name] = content.read(_LARGEST + 1)
    except Exception as error:  # of damaged headers tarfile raises many kinds
        raise DataError(
            f"{path} cannot be read as a tar archive ({error}); download it again"
        ) from error
    return files


def _item(items: list[tuple[str, int, np.ndarray]], index: int) -> Item:
    name, label, planes = items[index]
    pixels = planes.reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)
    return Item(name, label, functools.partial(from_pixels, pixels))


def _binary(content: bytes, where: str) -> Batch:
    """Read records of a label and three planes, one byte for each number."""
    if not content or len(content) % (1 + _PIXELS) or len(content) > _LARGEST:
        raise DataError(
            f"{where} has {len(content)} bytes, expected {1 + _PIXELS} for each image of "
            "CIFAR-10; download it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return _checked(Batch(records[:, 0], records[:, 1:]), where)


def _pickled(content: bytes, where: str) -> Batch:
    """Read a dict of labels, a list of numbers, and data, an array (n, 3072) of uint8."""
    try:
        if len(content) > _LARGEST:
            raise ValueError(f"more than {_LARGEST} bytes")
        # Python 2 wrote text as bytes.
        batch = array_pickle.load(content, encoding="bytes", most_steps=_MOST_STEPS)
        planes, labels = batch[b"data"], batch[b"labels"]
        if any(type(label) is not int for label in labels):
            raise ValueError("a label is no whole number")
        if planes.dtype != np.uint8 or planes.shape != (len(labels), _PIXELS):
            raise ValueError(
                f"{len(labels)} labels for {planes.dtype} data of shape {planes.shape}"
            )
        found = Batch(np.array(labels), planes)
    except Exception as error:  # the content decides which it is, and what it says
        reason = " ".join(str(error).split())[:_LONGEST]
        raise DataError(
            f"{where} cannot be read as a pickled batch of CIFAR-10 ({reason}); download it again"
        ) from error
    return _checked(found, where)


def _checked(batch: Batch, where: str) -> Batch:
    """Refuse labels that CIFAR-10 does not have, and a batch without images."""
    if not len(batch.labels) or not 0 <= batch.labels.min() <= batch.labels.max() <= 9:
        raise DataError(f"{where} has labels other than 0 to 9, or none; download it again")
    return batch
