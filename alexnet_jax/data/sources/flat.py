"""ILSVRC-2012 in flat archives whose files carry the wnid, as Hugging Face's imagenet-1k had it.

    train_images_0.tar.gz ...   n01440764_10026_n01440764.JPEG
    val_images.tar.gz           ILSVRC2012_val_00000001_n01751748.JPEG

They may also be unpacked into train/ and val/, or decompressed (.tar), and lie in data/. Images are
in the order of the archives. Those of test_images.tar.gz have no labels, and are left out.
"""

import os
import pathlib
import re

from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.data.sources.folders import files_split
from alexnet_jax.data.sources.listing import LeftOut, images, is_image_name
from alexnet_jax.data.sources.source import Source, Split, listing_digest
from alexnet_jax.data.sources.tar_images import Member, TarImages, images_in_order
from alexnet_jax.errors import DataError
from alexnet_jax.system.lines import say

_STEMS = {"train": "train_images", "validation": "val_images"}
_FOLDERS = {"train": "train", "validation": "val"}
_LARGE = 1 << 30  # bytes: an archive whose listing takes seconds


def wnid_in(name: str) -> str | None:
    """Return the wnid that a file's name ends with, before its ending."""
    carried = re.search(r"(?:^|_)(n\d{8})(?:\.\w+)?$", name)
    return carried[1] if carried else None


def official_name(name: str, wnid: str) -> str:
    """Return the name as in ILSVRC's archives: n01440764/n01440764_10026.JPEG."""
    file = re.sub(rf"_{wnid}(\.\w+)$", r"\1", pathlib.PurePosixPath(name).name)
    return f"{wnid}/{file}" if file.startswith(f"{wnid}_") else file


def find(root: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Return the archives of each split, or its folder, in order; {} if there are none."""
    found: dict[str, list[pathlib.Path]] = {}
    for folder in (root, root / "data"):
        for split, stem in _STEMS.items():
            fits = re.compile(rf"({stem}(?:_\d+)?)\.(tar|tar\.gz|tgz)")
            there = {}  # by name without ending; where an archive is decompressed too, the .tar
            for path in sorted(folder.glob(f"{stem}*"), reverse=True):
                if match := fits.fullmatch(path.name):
                    there[match[1]] = path
            if not there and _is_flat(folder / _FOLDERS[split]):
                there = {"": folder / _FOLDERS[split]}
            if there and split not in found:
                found[split] = [there[name] for name in sorted(there, key=lambda n: (len(n), n))]
    return found


def _is_flat(folder: pathlib.Path) -> bool:
    """Whether a folder holds images whose names end with a wnid."""
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        first = next((entry.name for entry in entries if is_image_name(entry.name)), "")
    return wnid_in(first) is not None


def flat_source(files: dict[str, list[pathlib.Path]], only: str | None = None) -> Source:
    """Return the source of what `find` gave.

    Args:
      files: by split.
      only: the one split that is needed; the other is then not listed.

    Raises:
      DataError: a split is missing, an archive is damaged, or a name does not carry a wnid.
    """
    folder = next(iter(files.values()))[0].parent
    wanted = [only] if only in _STEMS else list(_STEMS)
    if missing := [split for split in wanted if split not in files]:
        raise DataError(f"{folder} has no {_STEMS[missing[0]]}*.tar.gz; add it")
    left_out = LeftOut()
    listed = {split: _listed(files[split], left_out) for split in wanted}
    wnids = {split: [_wnid(name, folder) for name, _ in pairs] for split, pairs in listed.items()}
    class_names = tuple(sorted({wnid for of_split in wnids.values() for wnid in of_split}))
    label = {wnid: number for number, wnid in enumerate(class_names)}
    splits = {}
    for split, pairs in listed.items():
        labels = [label[wnid] for wnid in wnids[split]]
        names = [official_name(n, w) for (n, _), w in zip(pairs, wnids[split], strict=True)]
        splits[split] = _split(files[split][0], pairs, names, labels)
    classes: list[dict[str, str | int]] = [
        {"wnid": wnid, "words": ilsvrc2012_words.words_of(wnid)} for wnid in class_names
    ]
    digest = listing_digest(class_names, splits)
    return Source(class_names, splits, digest, tuple(classes), left_out)


def _listed(paths: list[pathlib.Path], left_out: LeftOut) -> list[tuple[str, Member | None]]:
    """Return (name, member of an archive) of the images; in a folder the member is None."""
    if paths[0].is_dir():
        return [(name, None) for name in images(paths[0], ".", left_out=left_out)]
    found: list[tuple[str, Member | None]] = []
    for path in paths:
        if path.name.endswith("gz") and path.stat().st_size > _LARGE:
            say(f"listing {path}: {path.stat().st_size / 1e9:.0f} GB are decompressed for it")
        found += [(member.name, member) for member in images_in_order(path, left_out)]
    return found


def _wnid(name: str, folder: pathlib.Path) -> str:
    wnid = wnid_in(name)
    if wnid is None:
        raise DataError(
            f"{folder}: expected names that end with the wnid, as n01440764_10026_n01440764.JPEG; "
            f"got {name!r}"
        )
    return wnid


def _split(
    path: pathlib.Path,
    pairs: list[tuple[str, Member | None]],
    names: list[str],
    labels: list[int],
) -> Split:
    if path.is_dir():
        files = [(name, label) for (name, _), label in zip(pairs, labels, strict=True)]
        return files_split(path, files, names)
    tar = TarImages()
    tar.add([member for _, member in pairs if member is not None], labels)
    return tar.split(names.__getitem__)
