"""ILSVRC-2012 in parquet files, as Hugging Face's imagenet-1k has it; read by pyarrow.

    train-00000-of-00294.parquet ..., validation-00000-of-00014.parquet ...   also in data/

A row has image {bytes, path} and label. Paths such as n01440764_10026_n01440764.JPEG carry the
wnid; where they do not, label k is the k-th of the names that the files list if these are wnids, or
else of the 1000 wnids. Images are in the order of the files and rows. The test images have no
labels, and are left out.
"""

import bisect
import functools
import pathlib
import re
import threading
from typing import Any

from alexnet_jax.data.decode.images import BadImageError, Square, read_square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.data.sources.flat import official_name, wnid_in
from alexnet_jax.data.sources.source import Item, Source, Split, listing_digest
from alexnet_jax.errors import DataError
from alexnet_jax.system.json_text import parse_json
from alexnet_jax.system.lines import one_line

_SPLITS = {"train": ("train",), "validation": ("validation", "val")}
_CACHE = 256 << 20  # bytes of groups of rows that are kept; Hugging Face's have 100 images, 11 MB


def find(root: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Return the parquet files of each split in a folder, in order; {} if there are none."""
    found: dict[str, list[pathlib.Path]] = {}
    for folder in (root, root / "data"):
        paths = sorted(folder.glob("*.parquet"))
        for split, names in _SPLITS.items():
            fits = re.compile(rf"({'|'.join(names)})([-_.]|$)")
            there = [path for path in paths if fits.match(path.stem)]
            if there and split not in found:
                found[split] = there
    return found


def parquet_source(files: dict[str, list[pathlib.Path]], only: str | None = None) -> Source:
    """Return the source of the files that `find` gave.

    Args:
      files: by split.
      only: the one split that is needed; the other is then not opened.

    Raises:
      DataError: a split is missing, a file cannot be read, or labels and wnids do not fit.
    """
    folder = next(iter(files.values()))[0].parent
    wanted = [only] if only in _SPLITS else list(_SPLITS)
    if missing := [split for split in wanted if split not in files]:
        raise DataError(f"{folder} has no {missing[0]}-*.parquet; add them")
    rows = {split: _Rows(files[split]) for split in wanted}
    pairs = [pair for each in rows.values() for pair in each.listed]
    order = [] if all(wnid_in(path) for path, _ in pairs) else _order(files)
    wnids = _wnids(pairs, folder, order)
    class_names = tuple(sorted(wnids.values()))
    labels = {label: class_names.index(wnid) for label, wnid in wnids.items()}
    splits = {}
    for split, each in rows.items():
        listed = [(official_name(p, wnids[label]), labels[label]) for p, label in each.listed]
        item = functools.partial(_item, each, listed)
        splits[split] = Split(len(listed), item, [label for _, label in listed])
    classes: list[dict[str, str | int]] = [
        {"wnid": wnid, "words": ilsvrc2012_words.words_of(wnid)} for wnid in class_names
    ]
    return Source(class_names, splits, listing_digest(class_names, splits), tuple(classes))


class _Rows:
    """The rows of some files: paths and labels at once, the images as they are asked for.

    Attributes:
      listed: (path, label) of each row.
    """

    def __init__(self, files: list[pathlib.Path]) -> None:
        self.listed: list[tuple[str, int]] = []
        self._groups: list[tuple[pathlib.Path, int]] = []
        self._starts: list[int] = []  # the first row of each group
        self._lock = threading.Lock()
        largest = 1
        for path in files:
            try:
                file = _open(path)
                table = file.read(columns=["image.path", "label"])
                images, labels = (table.column(name).to_pylist() for name in ("image", "label"))
                pairs = [
                    (str(i["path"] or ""), int(k)) for i, k in zip(images, labels, strict=True)
                ]
            except DataError:  # pyarrow is missing, which is no fault of the file
                raise
            except Exception as error:  # Arrow raises its own kinds
                raise DataError(
                    f"{path} cannot be read as parquet with columns image {{bytes, path}} and "
                    f"label ({one_line(error)}); download it again"
                ) from error
            start = len(self.listed)
            for group in range(file.metadata.num_row_groups):
                self._groups.append((path, group))
                self._starts.append(start)
                start += file.metadata.row_group(group).num_rows
                largest = max(largest, file.metadata.row_group(group).total_byte_size)
            self.listed += pairs
        self._group = functools.lru_cache(maxsize=max(2, _CACHE // largest))(self._read)

    def load(self, index: int, resize: Resize) -> Square:
        """Read image `index` and make its square.

        Raises:
          BadImageError: the image cannot be read or decoded.
        """
        group = bisect.bisect_right(self._starts, index) - 1
        row = index - self._starts[group]
        name = f"{self._groups[group][0]}: {self.listed[index][0] or f'row {index}'}"
        try:
            with self._lock:
                data = self._group(group)[row].as_py()
        except Exception as error:  # as above
            raise BadImageError(name, f"cannot be read ({error})") from error
        if data is None:
            raise BadImageError(name, "the row holds no image")
        return read_square(data, name, resize)

    def _read(self, group: int) -> Any:
        path, number = self._groups[group]
        table = _open(path).read_row_group(number, columns=["image.bytes"], use_threads=False)
        return table.column("image").combine_chunks().field("bytes")


def _open(path: pathlib.Path) -> Any:
    try:
        import pyarrow.parquet  # imported here: it is slow to load, and needed only here
    except ImportError as error:
        raise DataError(f"{path} is read by pyarrow: pip install pyarrow") from error
    return pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)


def _order(files: dict[str, list[pathlib.Path]]) -> list[str]:
    """Return the wnids in the order of the labels.

    Raises:
      DataError: the files list the names of other classes than ImageNet's.
    """
    first = next(iter(files.values()))[0]
    try:
        said = parse_json(_open(first).schema_arrow.metadata[b"huggingface"])
        names = list(said["info"]["features"]["label"]["names"])
    except (ValueError, TypeError, KeyError):  # the files list none
        names = []
    imagenet = list(ilsvrc2012_words.words())
    if names and all(re.fullmatch(r"n\d{8}", name) for name in names):
        return names
    if names and len(names) != len(imagenet):
        raise DataError(
            f"{first} lists {len(names)} classes, {', '.join(map(repr, names[:3]))}, ...: expected "
            f"wnids or ImageNet's {len(imagenet)}; save its images as train/<class>/<file> and "
            "val/<class>/<file>, and read them with data.builder=image_folder"
        )
    return imagenet


def _wnids(listed: list[tuple[str, int]], folder: pathlib.Path, order: list[str]) -> dict[int, str]:
    """Return label -> wnid."""
    wnids: dict[int, str] = {}
    for path, label in listed:
        carried = wnid_in(path)
        if carried is None and not 0 <= label < len(order):
            raise DataError(
                f"{folder}: expected labels 0 to {len(order) - 1}; got {label} ({path})"
            )
        wnid = carried or order[label]
        if wnids.setdefault(label, wnid) != wnid:
            raise DataError(
                f"{folder}: label {label} is {wnids[label]} and, by the name {path}, {wnid}; "
                "download the files again"
            )
    if len(set(wnids.values())) < len(wnids) or not wnids:
        raise DataError(f"{folder}: a class has two labels, or there are none; download it again")
    return wnids


def _item(rows: _Rows, listed: list[tuple[str, int]], index: int) -> Item:
    name, label = listed[index]
    return Item(name, label, functools.partial(rows.load, index))
