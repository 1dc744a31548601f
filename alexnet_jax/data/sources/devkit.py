"""ILSVRC's development kit: the synset of each ILSVRC id, and the ids of the labelled images.

The kits are ILSVRC2012_devkit_t12.tar.gz and ILSVRC2010_devkit-1.0.tar.gz, packed or unpacked. They
hold data/meta.mat and data/ILSVRC<year>_validation_ground_truth.txt. The labels of the test images
of 2010 came in a separate file, ILSVRC2010_test_ground_truth.txt.
"""

import dataclasses
import io
import pathlib
import tarfile
from collections.abc import Iterator

import numpy as np

from alexnet_jax.errors import DataError

META = "meta.mat"
File = tuple[str, str, bytes]  # where it is, its name, its content


@dataclasses.dataclass(frozen=True)
class Synset:
    """A class, or a node above classes: its WordNet id, its words, and the kit's number from 1.

    The number is None where the kit is not the official one.
    """

    wnid: str
    words: str
    ilsvrc_id: int | None
    is_class: bool


@dataclasses.dataclass(frozen=True)
class Devkit:
    """A release's synsets by ILSVRC id; truth[split][k - 1] is the ILSVRC id of image k."""

    where: str
    synsets: dict[int, Synset]
    truth: dict[str, list[int]]

    def wnid(self, split: str, number: int) -> str:
        """Return the synset of image `number` (from 1) of "validation" or "test".

        Raises:
          DataError: the kit has no such split, image or synset.
        """
        ids = self.truth.get(split)
        if ids is None:
            raise DataError(f"{self.where} holds no ground truth of {split}; add the file")
        if not 1 <= number <= len(ids):
            raise DataError(
                f"image {number} of {split} has no ground truth: {self.where} lists {len(ids)}"
            )
        if ids[number - 1] not in self.synsets:
            raise DataError(
                f"{self.where}: image {number} of {split} has ILSVRC id {ids[number - 1]}, which "
                "meta.mat does not list; the files are of different releases"
            )
        return self.synsets[ids[number - 1]].wnid


def find_devkit(folder: pathlib.Path, year: str) -> Devkit | None:
    """Return the kit of year "2010" or "2012" in a folder, or None if there is no meta.mat.

    Raises:
      DataError: the kit cannot be read.
    """
    names = {
        "validation": f"ILSVRC{year}_validation_ground_truth.txt",
        "test": f"ILSVRC{year}_test_ground_truth.txt",
    }
    wanted = {META, *names.values()}
    try:
        contents: dict[str, bytes] = {}
        tables = {}
        for where, name, content in (
            *_from_archives(folder, wanted),
            *_from_folders(folder, wanted),
        ):
            contents[name] = content
            if name == META and (table := _table(content, year)) is not None:
                tables[where] = table
        if META not in contents:
            return None
        if not tables:
            raise DataError(f"its {META} has no ILSVRC{year}_ID: it is of another release")
        where, table = tables.popitem()
        truth = {
            split: [int(word) for word in contents[name].split()]
            for split, name in names.items()
            if name in contents
        }
        return Devkit(where, _synsets(table, year), truth)
    except Exception as error:  # scipy, zlib, tarfile and int each raise their own kinds
        raise DataError(
            f"the development kit of ILSVRC-{year} in {folder} cannot be read ({error}); download "
            "it again"
        ) from error


def _table(meta: bytes, year: str) -> np.ndarray | None:
    """Return the table of synsets of a meta.mat; None if it has the numbers of another year."""
    import scipy.io  # imported here: it is slow to load, and needed only here

    table: np.ndarray = scipy.io.loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
    return table if f"ILSVRC{year}_ID" in (table.dtype.names or ()) else None


def _synsets(table: np.ndarray, year: str) -> dict[int, Synset]:
    """Return the synsets by ILSVRC id: the classes and the nodes above them."""
    synsets, fields = {}, table.dtype.names or ()
    for row in np.atleast_1d(table):
        is_class = "num_children" not in fields or int(row["num_children"]) == 0
        number = int(row[f"ILSVRC{year}_ID"])
        synsets[number] = Synset(str(row["WNID"]), str(row["words"]), number, is_class)
    return synsets


def _from_archives(folder: pathlib.Path, wanted: set[str]) -> Iterator[File]:
    """Iterate over the wanted files in the kits' archives."""
    for path in sorted([*folder.glob("*devkit*.tar.gz"), *folder.glob("*devkit*.tgz")]):
        with tarfile.open(path, "r:gz") as tar:
            for info in tar:
                name = info.name.rpartition("/")[2]
                file = tar.extractfile(info) if name in wanted else None
                if file is not None:
                    yield str(path), name, file.read()


def _from_folders(folder: pathlib.Path, wanted: set[str]) -> Iterator[File]:
    """Iterate over the wanted files in unpacked kits and beside them."""
    for kit in [*sorted(p for p in folder.glob("*devkit*") if p.is_dir()), folder]:
        for path in (kit / part / name for name in sorted(wanted) for part in ("", "data")):
            if path.is_file():
                yield str(path), path.name, path.read_bytes()
