"""ILSVRC-2012 as Kaggle's imagenet-object-localization-challenge.zip has it, unpacked.

    ILSVRC/Data/CLS-LOC/train/<wnid>/<file>, ILSVRC/Data/CLS-LOC/val/<file>
    LOC_val_solution.csv      ImageId,PredictionString: a validation image; its wnid, then boxes
    LOC_synset_mapping.txt    wnid, space, words

The other files are not needed. Both tables may lie in the zip's root folder or beside the images.
"""

import csv
import pathlib
import re

from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.data.sources.devkit import Devkit, Synset
from alexnet_jax.errors import DataError

_IMAGES = "ILSVRC/Data/CLS-LOC"
_SOLUTION, _MAPPING = "LOC_val_solution.csv", "LOC_synset_mapping.txt"


def find(root: pathlib.Path) -> tuple[pathlib.Path, Devkit | None] | None:
    """Return the folder of train and val, and what the tables say in place of a development kit.

    Args:
      root: the zip's root folder, or its ILSVRC/Data/CLS-LOC or a folder between.

    Returns:
      None where root is none of these. The kit is None where LOC_val_solution.csv is missing.

    Raises:
      DataError: a table cannot be read, or is not as described.
    """
    for images in (root / _IMAGES, root / "Data/CLS-LOC", root / "CLS-LOC", root):
        if images.name == "CLS-LOC" and any((images / part).is_dir() for part in ("train", "val")):
            folders = (images, *images.parents[: len(pathlib.PurePath(_IMAGES).parts)])
            tables = [folder / _SOLUTION for folder in folders]
            return images, next((_kit(path) for path in tables if path.is_file()), None)
    return None


def _kit(path: pathlib.Path) -> Devkit:
    """Return the tables as a kit whose ids are of no release: it gives each image its wnid."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
        mapping = path.with_name(_MAPPING)
        words = ilsvrc2012_words.words()
        if mapping.is_file():
            words = ilsvrc2012_words.parsed(mapping.read_text("utf-8"), " ")
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} or {_MAPPING} cannot be read ({error}); fix that") from error
    ids = {wnid: number for number, wnid in enumerate(sorted(words), 1)}
    truth: dict[int, int] = {}
    for row in rows[1:] if rows and rows[0][0] == "ImageId" else rows:
        image = re.fullmatch(r"ILSVRC2012_val_(\d{8})", row[0])
        wnid = row[1].partition(" ")[0] if len(row) == 2 else ""
        if image is None or wnid not in ids:
            raise DataError(
                f"{path}: expected lines of ILSVRC2012_val_<8 digits>, then a wnid of the "
                f"{len(ids)} classes and boxes, but found {','.join(row)!r:.80}"
            )
        truth[int(image[1])] = ids[wnid]
    if sorted(truth) != list(range(1, len(truth) + 1)):
        raise DataError(f"{path} does not list images 1 to {len(truth)}; download it again")
    synsets = {k: Synset(wnid, words[wnid], None, True) for wnid, k in ids.items()}
    return Devkit(str(path), synsets, {"validation": [truth[k] for k in sorted(truth)]})
