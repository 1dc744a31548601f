"""folders: which files of a folder belong to which split and class."""

import errno
import os
import pathlib
import shutil

import pytest

from alexnet_jax.data.sources.folders import folder_source
from alexnet_jax.data.sources.source import Source
from alexnet_jax.errors import ConfigError, DataError


def touch_images(folder: pathlib.Path, count: int) -> None:
    """Make empty files with an image's name: listing opens none."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i:03d}.JPEG").touch()


def names(source: Source, split: str) -> list[str]:
    items = [source.splits[split].item(i) for i in range(source.splits[split].count)]
    assert all(i.name.startswith(source.class_names[i.label]) for i in items)
    return [i.name for i in items]


@pytest.fixture
def source(tmp_path):
    for split, name, count in (("train", "ant", 5), ("train", "bee", 4), ("val", "ant", 3)):
        touch_images(tmp_path / "source" / split / name, count)
    return tmp_path / "source"


def test_lists_sorted_at_any_depth_and_only_images(source):
    touch_images(source / "train" / "bee" / "images", 2)
    touch_images(source / "train" / ".hidden", 2)
    (source / "train" / "bee" / "boxes.txt").touch()
    (source / "train" / "bee" / "._001.JPEG").touch()
    found = folder_source(source, 0.1)
    assert found.class_names == ("ant", "bee")
    train = names(found, "train")
    assert len(train) == 11 and train == sorted(train) and "bee/images/001.JPEG" in train
    assert names(found, "validation") == [f"ant/{i:03d}.JPEG" for i in range(3)]


@pytest.mark.parametrize("train", ["train", "Train", "training"])
@pytest.mark.parametrize("name", ["val", "VAL", "valid", "validation", "test", "Testing"])
def test_names_of_the_splits(source, train, name):
    (source / "train").rename(source / "moved")
    (source / "moved").rename(source / train)
    (source / "val").rename(source / name)
    found = folder_source(source, 0.1)
    assert found.class_names == ("ant", "bee")
    assert {k: split.count for k, split in found.splits.items()} == {"train": 9, "validation": 3}
    said = "".join(found.notes)
    assert ("serves for validation" in said) is name.lower().startswith("test")


def test_validation_is_taken_before_test(source):
    touch_images(source / "test" / "ant", 8)
    (source / "val").rename(source / "valid")
    assert folder_source(source, 0.1).splits["validation"].count == 3


def test_what_stands_beside_the_splits_is_no_class(source):
    (source / "train").rename(source / "Train")
    touch_images(source / "annotations", 3)
    assert folder_source(source, 0.1).class_names == ("ant", "bee")


def test_training_may_be_a_class(tmp_path):
    for name in ("competition", "test", "training"):
        touch_images(tmp_path / name, 9)
    assert folder_source(tmp_path, 0.1).class_names == ("competition", "test", "training")


@pytest.mark.parametrize("with_train_folder", [True, False])
def test_held_out_fraction(tmp_path, with_train_folder):
    source = tmp_path / "source"
    folder = source / "train" if with_train_folder else source
    touch_images(folder / "ant", 300)
    touch_images(folder / "bee", 300)
    if with_train_folder:
        touch_images(source / "test", 3)  # without labels, so no validation split
    held = {}
    for fraction in (0.1, 0.3):
        found = folder_source(source, fraction)
        train, held[fraction] = set(names(found, "train")), set(names(found, "validation"))
        assert len(train) + len(held[fraction]) == 600 and not train & held[fraction]
        assert abs(len(held[fraction]) - 600 * fraction) < 40
    assert held[0.1] < held[0.3]
    touch_images(folder / "cat", 50)  # new files move no others
    again = names(folder_source(source, 0.1), "validation")
    assert {n for n in again if not n.startswith("cat")} == held[0.1]


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_held_out_fraction_of_very_few(tmp_path, fraction):
    touch_images(tmp_path / "ant", 2)
    found = folder_source(tmp_path, fraction)
    assert found.splits["train"].count == found.splits["validation"].count == 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_impossible_fraction(tmp_path, fraction):
    touch_images(tmp_path / "ant", 9)
    with pytest.raises(ConfigError, match="validation_fraction is above 0 and below 1"):
        folder_source(tmp_path, fraction)


def empty(source):
    shutil.rmtree(source)
    source.mkdir()


def empty_class(source):
    (source / "train" / "cat").mkdir()


def strange_class(source):
    (source / "val" / "ant").rename(source / "val" / "aunt")


def flat_validation(source):
    shutil.rmtree(source / "val")
    touch_images(source / "val", 3)


def no_train(source):
    shutil.rmtree(source / "train")


def no_utf8(source):
    os.rename(source / "train" / "ant", os.fsencode(source / "train") + b"/caf\xe9")


def spaces(source):
    (source / "train" / "ant").rename(source / "train" / "ant ")


def dangling_class(source):
    (source / "train" / "cat").symlink_to("/nowhere/cat")


def a_file(source):
    shutil.rmtree(source)
    source.touch()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_utf8, r"class folder 'caf\\udce9' in .*train cannot be a label: expected UTF-8"),
        (spaces, "class folder 'ant ' .*cannot be a label"),
        (dangling_class, "train/cat leads to /nowhere/cat, which is not there"),
        (shutil.rmtree, "expected a folder of images at data.dir=.*not there"),
        (a_file, "expected a folder of images at data.dir=.*but it is no folder"),
        (empty, "holds no folders; expected train/<class>/<file>"),
        (empty_class, "class folder .*cat holds no image"),
        (strange_class, "val has 1 class folders that .*train has not, the first 'aunt'"),
        (flat_validation, "val holds no images in class folders"),
        (no_train, "holds val but no train folder"),
    ],
)
def test_what_is_wrong_with_the_folder(source, spoil, message):
    spoil(source)
    with pytest.raises(DataError, match=message) as caught:
        folder_source(source, 0.1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["", "train", "train/bee", "train/bee/deep", "val/ant"])
def test_a_folder_that_cannot_be_listed_loses_no_image_silently(source, place, monkeypatch):
    touch_images(source / "train" / "bee" / "deep", 2)
    scandir = os.scandir

    def refuse(path):
        if pathlib.Path(path) == source / place:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=f"{source / place} cannot be read .Permission denied"):
        folder_source(source, 0.1)
