"""alexnet_jax.data.folders: which files of a folder belong to which split and class."""

import pathlib
import shutil

import pytest

from alexnet_jax.data.folders import folder_source
from alexnet_jax.data.sources import Source
from alexnet_jax.errors import DataError


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


@pytest.mark.parametrize("name", ["val", "validation", "test"])
def test_names_of_the_validation_folder(source, name):
    (source / "val").rename(source / name)
    assert folder_source(source, 0.1).splits["validation"].count == 3


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
    with pytest.raises(DataError, match="validation_fraction between 0 and 1"):
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


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "expected a folder of images at data.dir=.*not there"),
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
