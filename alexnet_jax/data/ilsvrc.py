"""The releases of ILSVRC as sources: 2012, 2010 and ImageNet of fall 2011.

Read from the official archives as they are, or from what was unpacked of them:

    2012      ILSVRC2012_img_train.tar     a tar of 1000 tars, one a class
              ILSVRC2012_img_val.tar       50,000 images
              ILSVRC2012_devkit_t12.tar.gz
    2010      ILSVRC2010_images_train.tar, ILSVRC2010_images_val.tar, ILSVRC2010_images_test.tar,
              ILSVRC2010_devkit-1.0.tar.gz, ILSVRC2010_test_ground_truth.txt
    fall2011  n<digits>.tar, one a synset, or fall11_whole.tar, which holds them

In place of a train archive: train/<wnid>/<file>, or train/<wnid>.tar. In place of a val or test
archive: val/<wnid>/<file>, or val/<file> with the kit's truth. Each gives the same records.

Labels are the places of the wnids in sorted order, as in Caffe, PyTorch and TFDS; not the ILSVRC
ids of the kit, which are kept beside the class names. Images are in the order of labels and names
(train), or in the order of their numbers (validation, test).
"""

import functools
import pathlib
import re

from alexnet_jax.data.archives import TarImages, images_of, members
from alexnet_jax.data.devkit import Devkit, find_devkit
from alexnet_jax.data.folders import class_folders, files_split, images, is_image_name
from alexnet_jax.data.sources import Item, Source, Split, held_out, listing_digest
from alexnet_jax.errors import DataError

RELEASES = ("2012", "2010", "fall2011")
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
_WNID = re.compile(r"n\d{8}")


def ilsvrc_source(root: pathlib.Path, release: str, validation_fraction: float) -> Source:
    """Source of one of RELEASES in a folder (data.dir); see the module.

    Args:
      root: the folder.
      release: of RELEASES.
      validation_fraction: share of fall2011, in (0, 1), held out: it has no validation images.

    Raises:
      DataError: something is missing, damaged, or does not fit together.
    """
    if not root.is_dir():
        raise DataError(f"expected ILSVRC {release} in data.dir={root}, but it is not there")
    kit = find_devkit(root, release) if _NUMBERED[release] else None
    train, wnids = _train(root, release)
    splits = {"train": train}
    for split, (archive, folder) in _NUMBERED[release].items():
        found = _numbered(split, root / archive, root / folder, kit, wnids)
        if found is not None:
            splits[split] = found
    if not _NUMBERED[release]:
        splits = _hold_out(train, validation_fraction, str(root))
    elif "validation" not in splits:
        archive, folder = _NUMBERED[release]["validation"]
        raise DataError(f"expected {archive} or {folder}/ in {root}; add it")
    parts = [(s, name, label) for s, split in splits.items() for name, label in _listing(split)]
    return Source(wnids, splits, listing_digest([*wnids, *parts]), _classes(wnids, kit, root))


def _listing(split: Split) -> list[tuple[str, int]]:
    items = (split.item(i) for i in range(split.count))
    return [(item.name, item.label) for item in items]


def _classes(
    wnids: tuple[str, ...], kit: Devkit | None, root: pathlib.Path
) -> tuple[dict[str, str | int], ...]:
    """Return wnid, words and ILSVRC id of each label, as far as the kit or words.txt tells them."""
    known: dict[str, dict[str, str | int]] = {}
    if kit is not None:
        for s in kit.synsets.values():
            known[s.wnid] = {"words": s.words, "ilsvrc_id": s.ilsvrc_id}
        unknown = sorted(set(wnids) - set(known))
        if unknown:
            raise DataError(
                f"{len(unknown)} classes of train are not in {kit.where}, the first {unknown[0]}; "
                "the files are of different releases"
            )
    elif (root / "words.txt").is_file():  # ImageNet's list of all synsets: wnid, tab, words
        for line in (root / "words.txt").read_text("utf-8").splitlines():
            wnid, _, words = line.partition("\t")
            known[wnid] = {"words": words}
    return tuple({"wnid": wnid, **known.get(wnid, {})} for wnid in wnids)


def _train(root: pathlib.Path, release: str) -> tuple[Split, tuple[str, ...]]:
    """Return the training split and the wnids in the order of their labels."""
    archive, folder = root / _TRAIN[release], root / "train"
    if archive.is_file():
        tars = {
            m.name.rpartition("/")[2][:-4]: (m.path, m.offset, m.size)
            for m in members(archive)
            if m.name.endswith(".tar")
        }
        return _tars_split(tars, str(archive))
    for place in (folder, root):
        if place.is_dir() and any(place.glob("n*.tar")):
            found = {path.stem: (path, 0, None) for path in place.glob("n*.tar")}
            return _tars_split(found, str(place))
    if not folder.is_dir():
        others = "train/" if release != "fall2011" else "n<digits>.tar"
        raise DataError(f"expected {archive.name} or {others} in {root}; add it")
    wnids = _checked_wnids(class_folders(folder), str(folder))
    files = [(name, label) for label, w in enumerate(wnids) for name in images(folder, w)]
    # Named as inside the archives, however deep they lie.
    names = [f"{wnids[label]}/{pathlib.PurePath(name).name}" for name, label in files]
    order = sorted(range(len(files)), key=lambda i: (files[i][1], names[i]))
    return files_split(folder, [files[i] for i in order], [names[i] for i in order]), wnids


def _checked_wnids(names: list[str], where: str) -> tuple[str, ...]:
    wrong = [name for name in names if not _WNID.fullmatch(name)]
    if wrong or not names:
        came = f"{wrong[0]!r}" if wrong else "nothing"
        raise DataError(f"expected classes named n<8 digits> in {where}, but found {came}")
    return tuple(sorted(names))


def _tars_split(tars: dict[str, tuple], where: str) -> tuple[Split, tuple[str, ...]]:
    """Return the split of one archive a class, by wnid, and the sorted wnids."""
    wnids = _checked_wnids(list(tars), where)
    found = TarImages()
    for label, wnid in enumerate(wnids):
        inner = images_of(*tars[wnid])
        found.add(inner, [label] * len(inner))
    if not found.names:
        raise DataError(f"{where} holds no images")

    def item(index: int) -> Item:
        label = found.labels[index]
        name = f"{wnids[label]}/{found.names[index]}"
        return Item(name, label, functools.partial(found.load, index))

    return Split(len(found.names), item), wnids


def _numbered(
    split: str,
    archive: pathlib.Path,
    folder: pathlib.Path,
    kit: Devkit | None,
    wnids: tuple[str, ...],
) -> Split | None:
    """Return the split of an archive or folder of numbered images, None where neither is.

    Raises:
      DataError: no truth where it is needed, or one that does not fit.
    """
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    if archive.is_file():
        found, inside = TarImages(), images_of(archive)
        found.add(inside, _from_kit([m.name for m in inside], split, archive, kit, labels))
        return Split(
            len(inside),
            lambda i: Item(found.names[i], found.labels[i], functools.partial(found.load, i)),
        )
    if not folder.is_dir():
        return None
    classes = class_folders(folder)
    if classes:
        paths = [path for wnid in classes for path in images(folder, wnid, may_be_empty=True)]
        paths.sort(key=lambda path: (pathlib.PurePath(path).name, path))
        given = [_label(pathlib.PurePath(p).parts[0], p, split, labels) for p in paths]
    else:
        paths = sorted(p.name for p in folder.iterdir() if is_image_name(p.name))
        given = _from_kit(paths, split, folder, kit, labels)
    if not paths:
        raise DataError(f"{folder} holds no images")
    names = [pathlib.PurePath(path).name for path in paths]
    return files_split(folder, list(zip(paths, given, strict=True)), names)


def _from_kit(
    names: list[str],
    split: str,
    where: pathlib.Path,
    kit: Devkit | None,
    labels: dict[str, int],
) -> list[int]:
    """Return the labels of numbered images by the development kit's truth."""
    if kit is None:
        raise DataError(
            f"the labels of {split} are in the development kit: add it to {where.parent}"
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


def _hold_out(whole: Split, fraction: float, where: str) -> dict[str, Split]:
    """Divide a split into train and validation."""
    out = held_out([name for name, _ in _listing(whole)], fraction, where)

    def part(held: bool) -> Split:
        places = [i for i, o in enumerate(out) if o == held]
        return Split(len(places), lambda index: whole.item(places[index]))

    return {"train": part(False), "validation": part(True)}
