"""Lay Tiny ImageNet out for the miniature, as folders of class folders.

target/train, target/val   the target classes: trained on, and held out
source/train, source/val   the other classes, for the pretraining
test                       the validation images of the target classes
seen                       50 of target/train of each class, for the error on what was learned
"""

import pathlib
import re
import shutil

from alexnet_jax.data.sources.tiny_imagenet import Files, tiny_imagenet_files
from alexnet_jax.errors import DataError
from experiments.miniature.protocol import EVERY, HELD_OUT_FROM

SEEN = 50
CLASSES = 200


def lay_out(data_dir: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    """Return the folder of pictures in `out`; write it if it is not there, whole or not at all.

    Args:
      data_dir: tiny-imagenet-200.zip, its folder, or the folder that holds one of them.
      out: the miniature's folder.

    Raises:
      DataError: Tiny ImageNet is not there, or not whole.
    """
    folder = out / "pictures"
    if folder.is_dir():
        return folder
    is_archive = data_dir.suffix == ".zip" and data_dir.is_file()
    files = tiny_imagenet_files(data_dir.parent if is_archive else data_dir)
    half = out / "pictures.incomplete"
    shutil.rmtree(half, ignore_errors=True)
    for name, copies in placed(files).items():
        content = files.read(name)
        for copy in copies:
            path = half / copy
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return half.rename(folder)


def placed(files: Files) -> dict[str, list[str]]:
    """Return where each picture goes: name in Tiny ImageNet -> names in the folder of pictures.

    Raises:
      DataError: classes are missing.
    """
    train = [re.fullmatch(r"train/(n\d+)/images/\1_(\d+)\.JPEG", name) for name in files.names]
    found = [(match[0], match[1], int(match[2])) for match in train if match]
    wnids = sorted({wnid for _, wnid, _ in found})
    if len(wnids) != CLASSES:
        raise DataError(f"{files.where}: expected {CLASSES} classes in train, got {len(wnids)}")
    target = set(wnids[::EVERY])
    places: dict[str, list[str]] = {}
    for name, wnid, number in found:
        side = "target" if wnid in target else "source"
        part = "train" if number < HELD_OUT_FROM else "val"
        places[name] = [f"{side}/{part}/{wnid}/{number}.JPEG"]
        if wnid in target and number < SEEN:
            places[name].append(f"seen/{wnid}/{number}.JPEG")
    for line in files.read("val/val_annotations.txt").decode().splitlines():
        name, wnid, *_ = line.split("\t")
        if wnid in target:
            places[f"val/images/{name}"] = [f"test/{wnid}/{name}"]
    return places
