"""The releases of ILSVRC as sources: 2012, 2010 and ImageNet of fall 2011.

They are read from the official archives, packed or unpacked:

    2012      ILSVRC2012_img_train.tar     a tar of 1000 tars, one for each class
              ILSVRC2012_img_val.tar       50,000 images
              ILSVRC2012_devkit_t12.tar.gz
    2010      ILSVRC2010_images_train.tar, ILSVRC2010_images_val.tar, ILSVRC2010_images_test.tar,
              ILSVRC2010_devkit-1.0.tar.gz, ILSVRC2010_test_ground_truth.txt
    fall2011  n<digits>.tar, one for each synset, or fall11_whole.tar, which holds them

A train archive may be replaced by train/<wnid>/<file> or train/<wnid>.tar, a val or test archive by
val/<wnid>/<file>, or by val/<file> with the kit's ground truth. All give the same records, and so
does Kaggle's folder of 2012 (kaggle.py). Hugging Face's files of 2012 give them in another order
(parquet.py, flat.py). Folders that hold nothing but one folder are passed through.

Labels are the indices of the sorted wnids, as in Caffe, PyTorch and TFDS. They are not the ILSVRC
ids of the kit, which are kept beside the class names. Images are in the order of labels and names
(train) or of their numbers (validation, test).
"""

import pathlib
import re

from alexnet_jax.data.sources import flat, ilsvrc2012_words, kaggle, parquet
from alexnet_jax.data.sources.devkit import Devkit, find_devkit
from alexnet_jax.data.sources.folders import files_split
from alexnet_jax.data.sources.listing import LeftOut, class_folders, images, is_image_name, is_shown
from alexnet_jax.data.sources.source import Source, Split, hold_out, listing_digest
from alexnet_jax.data.sources.synsets import checked_wnids, find_synsets
from alexnet_jax.data.sources.tar_images import TarImages, images_of
from alexnet_jax.errors import DataError

_TRAIN = {
    "2012": "ILSVRC2012_img_train.tar",
    "2010": "ILSVRC2010_images_train.tar",
    "fall2011": "fall11_whole.tar",
}
_NUMBERED = {  # the archives of splits whose labels are in the kit, and their folders
    "2012": {"validation": ("ILSVRC2012_img_val.tar", "val")},
    "2010": {
        "validation": ("ILSVRC2010_images_val.tar", "val"),
        "test": ("ILSVRC2010_images_test.tar", "test"),
    },
    "fall2011": {},
}


def ilsvrc_source(
    root: pathlib.Path,
    release: str,
    validation_fraction: float,
    share_of: str = "class",
    only: str | None = None,
) -> Source:
    """Return the source of a release in a folder; the module's docstring says what it may hold.

    Args:
      root: the folder (data.dir).
      release: config.data.release.
      validation_fraction: share of fall2011, in (0, 1), that is held out: that release has no
        validation images.
      share_of: config.data.held_out.
      only: the one split that is needed. For 2012 and 2010 the other splits are then not listed,
        and train may be missing: the classes are those of the kit, or else of val/<wnid>/.

    Raises:
      DataError: something is missing or damaged, or files do not fit together.
    """
    if not root.is_dir():
        raise DataError(f"expected ILSVRC {release} in data.dir={root}, but it is not there")
    root = _unwrapped(root)
    if release == "2012" and (files := parquet.find(root)):
        return parquet.parquet_source(files, only)
    files = flat.find(root) if release == "2012" else {}
    if "train" in files or only in files:
        return flat.flat_source(files, only)
    kit = find_devkit(root, release) if _NUMBERED[release] else None
    if release == "2012" and (found := kaggle.find(root)) is not None:
        root, kit = found[0], kit or found[1]
    left_out = LeftOut()
    train = find_synsets(root, _TRAIN[release], left_out)
    wnids = train.wnids if train else _wnids_without_train(root, release, kit, only)
    splits = {}
    if train and (only is None or not _NUMBERED[release]):
        splits["train"] = train.split()
    for split, (archive, folder) in _NUMBERED[release].items():
        if only not in (None, split):
            continue
        numbered = _numbered(split, root / archive, root / folder, kit, wnids, left_out)
        if numbered is not None:
            splits[split] = numbered
        elif split == (only or "validation"):
            raise DataError(f"expected {archive} or {folder}/ in {root}; add it")
    if not _NUMBERED[release]:
        splits = hold_out(splits["train"], validation_fraction, share_of, str(root))
    classes = _classes(wnids, kit, root)
    return Source(wnids, splits, listing_digest(wnids, splits), classes, left_out)


def is_download(root: pathlib.Path) -> bool:
    """Whether a folder holds ILSVRC-2012 as Kaggle or Hugging Face gives it."""
    root = _unwrapped(root)
    return bool(kaggle.find(root) or parquet.find(root) or flat.find(root))


def _unwrapped(folder: pathlib.Path) -> pathlib.Path:
    """Return the folder below wrappers that hold nothing but one folder, which is no part."""
    while folder.is_dir():
        shown = [path for path in folder.iterdir() if is_shown(path.name)]
        part = re.search(r"^(train|val|test|n\d{8})$|devkit", shown[0].name) if shown else None
        if len(shown) != 1 or part or not shown[0].is_dir():
            break
        (folder,) = shown
    return folder


def _classes(
    wnids: tuple[str, ...], kit: Devkit | None, root: pathlib.Path
) -> tuple[dict[str, str | int], ...]:
    """Return wnid, words and ILSVRC id of each label, as far as the kit or words.txt has them."""
    by_wnid: dict[str, dict[str, str | int]] = {}
    if kit is not None:
        for s in kit.synsets.values():
            number = {} if s.ilsvrc_id is None else {"ilsvrc_id": s.ilsvrc_id}
            by_wnid[s.wnid] = {"words": s.words, **number}
        unknown = sorted(set(wnids) - set(by_wnid))
        if unknown:
            raise DataError(
                f"{len(unknown)} classes of train are not in {kit.where}, the first {unknown[0]}; "
                "the files are of different releases"
            )
    elif (root / "words.txt").is_file():  # ImageNet's list of all synsets: wnid, tab, words
        words = ilsvrc2012_words.parsed((root / "words.txt").read_text("utf-8", "replace"))
        by_wnid = {wnid: {"words": of_wnid} for wnid, of_wnid in words.items()}
    return tuple({"wnid": wnid, **by_wnid.get(wnid, {})} for wnid in wnids)


def _wnids_without_train(
    root: pathlib.Path, release: str, kit: Devkit | None, only: str | None
) -> tuple[str, ...]:
    """Return the sorted classes if train is missing."""
    numbered = _NUMBERED[release]
    if only not in numbered:
        others = "train/" if numbered else "n<digits>.tar"
        raise DataError(f"expected {_TRAIN[release]} or {others} in {root}; add it")
    if kit is not None:
        return tuple(sorted(s.wnid for s in kit.synsets.values() if s.is_class))
    folder = root / numbered[only][1]
    if not folder.is_dir() or not class_folders(folder):
        raise DataError(f"nothing in {root} tells the classes: add the development kit")
    return checked_wnids(class_folders(folder), str(folder))


def _numbered(
    split: str,
    archive: pathlib.Path,
    folder: pathlib.Path,
    kit: Devkit | None,
    wnids: tuple[str, ...],
    left_out: LeftOut,
) -> Split | None:
    """Return the split of an archive or folder of numbered images, None if there is neither."""
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    if archive.is_file():
        tar, inside = TarImages(), images_of(archive, left_out=left_out)
        tar.add(inside, _from_kit([m.name for m in inside], split, archive, kit, labels))
        return tar.split()
    if not folder.is_dir():
        return None
    classes = class_folders(folder)
    if classes:
        class_folders(folder, left_out)
        paths = [
            path
            for wnid in classes
            for path in images(folder, wnid, may_be_empty=True, left_out=left_out)
        ]
        paths.sort(key=lambda path: (pathlib.PurePath(path).name, path))
        given = [_label(pathlib.PurePath(p).parts[0], p, split, labels) for p in paths]
    else:
        names = sorted(p.name for p in folder.iterdir())
        paths = [name for name in names if is_image_name(name)]
        for name in set(names) - set(paths):
            left_out.file(name)
        carried = [flat.wnid_in(name) or "" for name in paths]
        if all(carried):
            given = [_label(w, n, split, labels) for w, n in zip(carried, paths, strict=True)]
        else:
            given = _from_kit(paths, split, folder, kit, labels)
    if not paths:
        raise DataError(f"{folder} holds no images; add them, or name another folder")
    names = [pathlib.PurePath(path).name for path in paths]
    return files_split(folder, list(zip(paths, given, strict=True)), names)


def _from_kit(
    names: list[str],
    split: str,
    where: pathlib.Path,
    kit: Devkit | None,
    labels: dict[str, int],
) -> list[int]:
    """Return the labels of numbered images by the ground truth of the development kit."""
    if kit is None:
        raise DataError(
            f"the labels of {split} are in the development kit, or Kaggle's LOC_val_solution.csv: "
            f"add it to {where.parent}"
        )
    if split in kit.truth and len(kit.truth[split]) != len(names):
        raise DataError(
            f"{kit.where} lists {len(kit.truth[split])} images of {split}, but {where} holds "
            f"{len(names)}"
        )
    return [_label(kit.wnid(split, _number(name)), name, split, labels) for name in names]


def _label(wnid: str, name: str, split: str, labels: dict[str, int]) -> int:
    if wnid not in labels:
        raise DataError(f"{name} of {split} is of class {wnid}, which train does not have")
    return labels[wnid]


def _number(name: str) -> int:
    """Return 7 for ILSVRC2012_val_00000007.JPEG."""
    digits = re.search(r"_(\d+)\.\w+$", name)
    if digits is None:
        raise DataError(f"expected an image named like ILSVRC2012_val_00000007.JPEG, not {name!r}")
    return int(digits.group(1))
