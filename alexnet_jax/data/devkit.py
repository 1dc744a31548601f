"""ILSVRC's development kit: which synset each ILSVRC id is, and the ids of the labelled images.

The kits: ILSVRC2012_devkit_t12.tar.gz and ILSVRC2010_devkit-1.0.tar.gz, packed or unpacked, with
data/meta.mat and data/ILSVRC<year>_validation_ground_truth.txt; the truth of the test images of
2010 came as a file of its own, ILSVRC2010_test_ground_truth.txt.
"""

import dataclasses
import io
import pathlib
import tarfile

import numpy as np
import scipy.io

from alexnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Synset:
    """A class, or a node above classes: WordNet id, its words, and the kit's number, from 1."""

    wnid: str
    words: str
    ilsvrc_id: int
    is_class: bool


@dataclasses.dataclass(frozen=True)
class Devkit:
    """A release's synsets by ILSVRC id; of each labelled split, image k's id at place k - 1."""

    where: str
    synsets: dict[int, Synset]
    truth: dict[str, list[int]]

    def wnid(self, split: str, number: int) -> str:
        """Return the synset of image `number` (from 1) of "validation" or "test".

        Raises:
          DataError: the kit has no such image or no such synset.
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
    """Return the kit of "2010" or "2012" that lies in a folder, or None where no meta.mat is.

    Raises:
      DataError: a kit that cannot be read.
    """
    names = {
        "validation": f"ILSVRC{year}_validation_ground_truth.txt",
        "test": f"ILSVRC{year}_test_ground_truth.txt",
    }
    wanted = {"meta.mat", *names.values()}
    try:
        found = _from_archives(folder, wanted) | _from_folders(folder, wanted)
        if "meta.mat" not in found:
            return None
        where, meta = found["meta.mat"]
        truth = {
            split: [int(word) for word in found[name][1].split()]
            for split, name in names.items()
            if name in found
        }
        return Devkit(where, _synsets(meta), truth)
    except Exception as error:  # scipy, zlib, tarfile and int each have errors of their own
        raise DataError(
            f"the development kit of ILSVRC-{year} in {folder} cannot be read ({error}); download "
            "it again"
        ) from error


def _synsets(meta: bytes) -> dict[int, Synset]:
    """Return the synsets of a meta.mat by ILSVRC id: the classes, and the nodes above them."""
    table = scipy.io.loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
    (id_field,) = [name for name in table.dtype.names if name.endswith("_ID")]
    found = {}
    for row in np.atleast_1d(table):
        is_class = "num_children" not in table.dtype.names or int(row["num_children"]) == 0
        number = int(row[id_field])
        found[number] = Synset(str(row["WNID"]), str(row["words"]), number, is_class)
    return found


def _from_archives(folder: pathlib.Path, wanted: set[str]) -> dict[str, tuple[str, bytes]]:
    """Return (where, content) of the wanted files in the kits' archives, by name."""
    found = {}
    for path in sorted([*folder.glob("*devkit*.tar.gz"), *folder.glob("*devkit*.tgz")]):
        with tarfile.open(path, "r:gz") as tar:
            for info in tar:
                name = info.name.rpartition("/")[2]
                file = tar.extractfile(info) if name in wanted else None
                if file is not None:
                    found[name] = (str(path), file.read())
    return found


def _from_folders(folder: pathlib.Path, wanted: set[str]) -> dict[str, tuple[str, bytes]]:
    """Return (where, content) of the wanted files in unpacked kits and beside them, by name."""
    places = [p for p in folder.glob("*devkit*") if p.is_dir()] + [folder]
    return {
        name: (str(path), path.read_bytes())
        for place in places
        for name in wanted
        for path in (place / name, place / "data" / name)
        if path.is_file()
    }
