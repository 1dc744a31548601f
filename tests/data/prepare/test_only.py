"""Copies of one split, for evaluations: train is neither prepared nor looked at."""

import pathlib
import shutil

import numpy as np
import pytest

from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from alexnet_jax.data.sources.folders import folder_source
from alexnet_jax.errors import DataError
from tests.support import official, tiny


def ilsvrc(folder: pathlib.Path, **changes):
    return tiny.data_config(folder, builder="ilsvrc", **changes)


def same(one, other, split: str = "validation") -> None:
    """The split holds the same in both copies."""
    count = other.num_examples(split)
    assert one.num_examples(split) == count and one.class_names == other.class_names
    assert one.file_names(split, range(count)) == other.file_names(split, range(count))
    for a, b in zip(one.read(split, range(count)), other.read(split, range(count)), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in one.directory.glob(f"*-{split}.array_record*"):
        assert name.read_bytes() == (other.directory / name.name).read_bytes()


def test_a_folder(tmp_path, capsys):
    tiny.write_images(tmp_path)
    (tmp_path / "images").rename(tmp_path / "source")
    data = tiny.data_config(tmp_path)
    train = tmp_path / "source" / "train"
    train.rename(tmp_path / "aside")
    for name in tiny.COLOURS:  # an image of train that was opened would stop it
        (train / name).mkdir(parents=True)
        (train / name / "0.jpg").write_bytes(b"none")
    alone = prepare(data, "validation")
    assert f"{tiny.VALIDATION} images, 0 of them done" in capsys.readouterr().err
    assert alone.splits == ("validation",) and alone.statistics is None
    assert alone.num_examples("validation") == tiny.VALIDATION
    assert "-jpeg-only-validation/" in alone.name
    with pytest.raises(DataError, match="has splits validation, not train"):
        alone.num_examples("train")
    assert not prepared_directory(data).exists()  # nobody takes it for the whole
    shutil.rmtree(train)
    assert prepare(data, "validation").directory == alone.directory
    shutil.rmtree(alone.directory)
    without = prepare(data, "validation")  # nor need train be there
    with pytest.raises(DataError, match="but no train folder"):
        prepare(data)
    (tmp_path / "aside").rename(train)
    whole = prepare(data)
    assert whole.directory == prepared_directory(data) and "only" not in whole.name
    assert whole.splits == ("train", "validation") and whole.statistics.images == tiny.TRAIN
    same(without, whole)
    shutil.rmtree(tmp_path / "source")
    again = prepare(data, "validation")  # the whole copy does as well
    assert again.directory == whole.directory and again.statistics is not None


def test_what_is_held_out_is_the_same(tmp_path):
    tiny.write_images(tmp_path)
    data = tiny.data_config(tmp_path, dir=str(tmp_path / "images" / "train"))
    alone = prepare(data, "validation")
    assert 1 <= alone.num_examples("validation") < tiny.TRAIN
    same(alone, prepare(data))


def test_classes_that_train_alone_has_are_kept(tmp_path):
    for place in ("train/ant", "train/bee", "val/bee"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "0.jpg").touch()
    assert folder_source(tmp_path, 0.1, only="validation").class_names == ("ant", "bee")
    (tmp_path / "train" / "bee" / "0.jpg").unlink()  # listing train would stop at this
    found = folder_source(tmp_path, 0.1, only="validation")
    assert list(found.splits) == ["train", "validation"]
    assert found.splits["validation"].item(0).label == 1


@pytest.mark.parametrize("kit", [True, False])
def test_ilsvrc_without_train(tmp_path, kit):
    source = official.write_2012(tmp_path / "source")
    whole = prepare(ilsvrc(tmp_path, prepared_dir=str(tmp_path / "whole")))
    (source / "ILSVRC2012_img_train.tar").unlink()
    if not kit:  # the folders of validation tell the classes
        shutil.rmtree(source)
        official.write_extracted_2012(source, flat=False)
        for wnid in official.WNIDS:  # of two there is no image
            (source / "val" / wnid).mkdir(exist_ok=True)
        shutil.rmtree(source / "train")
        shutil.rmtree(source / "ILSVRC2012_devkit_t12")
    alone = prepare(ilsvrc(tmp_path), "validation")
    assert alone.splits == ("validation",) and alone.statistics is None
    same(alone, whole)
    assert alone.name.startswith("ilsvrc/2012-source-")
    if kit:
        assert alone.classes == whole.classes
    with pytest.raises(DataError, match=r"expected ILSVRC2012_img_train.tar or train/ in"):
        prepare(ilsvrc(tmp_path))
    with pytest.raises(DataError, match="of data.builder=ilsvrc have no split test|img_train.tar"):
        prepare(ilsvrc(tmp_path), "test")
    with pytest.raises(DataError, match="the only split to be validation or test, not train"):
        prepare(ilsvrc(tmp_path), "train")


def test_ilsvrc_lists_no_other_split(tmp_path):
    source = official.write_2010(tmp_path / "source")
    whole = prepare(ilsvrc(tmp_path, release="2010", prepared_dir=str(tmp_path / "whole")))
    train = source / "ILSVRC2010_images_train.tar"
    wnids = {f"{wnid}.tar": b"no archive" for wnid in official.WNIDS}
    train.write_bytes(official.tar(wnids))
    (source / "ILSVRC2010_images_val.tar").unlink()
    alone = prepare(ilsvrc(tmp_path, release="2010"), "test")
    assert alone.splits == ("test",)
    same(alone, whole, "test")
    with pytest.raises(DataError, match="expected ILSVRC2010_images_val.tar or val/ in"):
        prepare(ilsvrc(tmp_path, release="2010"), "validation")


def test_a_split_that_the_whole_copy_lacks_is_prepared_beside_it(tmp_path):
    source = official.write_2010(tmp_path / "source")
    (source / "ILSVRC2010_images_test.tar").rename(tmp_path / "test.tar")
    data = ilsvrc(tmp_path, release="2010")
    assert prepare(data).splits == ("train", "validation")
    with pytest.raises(DataError, match="expected ILSVRC2010_images_test.tar"):
        prepare(data, "test")
    (tmp_path / "test.tar").rename(source / "ILSVRC2010_images_test.tar")
    assert prepare(data, "test").splits == ("test",)
    assert prepare(data, "validation").splits == ("train", "validation")


def test_ilsvrc_without_anything_that_tells_the_classes(tmp_path):
    source = official.write_extracted_2012(tmp_path / "source", flat=True)
    shutil.rmtree(source / "train")
    shutil.rmtree(source / "ILSVRC2012_devkit_t12")
    with pytest.raises(DataError, match="nothing in .* tells the classes: add the development kit"):
        prepare(ilsvrc(tmp_path), "validation")
    with pytest.raises(DataError, match=r"expected fall11_whole.tar or n<digits>.tar in"):
        prepare(ilsvrc(tmp_path, release="fall2011"), "validation")
